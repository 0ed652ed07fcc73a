from __future__ import annotations

import pytest
from by_hand import LN2, logs, step

from maskcl.cfgm import Cfgm
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.methods import Phase, find


def test_one_step_is_the_mean_cross_entropy_of_all_rows() -> None:
    assert find("joint")().loss(step(logs([1, 1, 2], [1, 2, 1]), [2, 0], 2)).item() == pytest.approx(1.5 * LN2)


def test_a_mask_by_task_has_nothing_to_mask_and_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be 'batch' or 'recent' with method 'joint', which has no old classes"):
        find("joint")(mask=Mask(leak=0.1))
    assert find("joint")(mask=Mask(leak=0.1, policy="batch")).mask is not None


def test_it_trains_once_on_all_rows_when_the_last_task_has_come() -> None:
    assert [find("joint")().phases(task, 3) for task in range(3)] == [(), (), (Phase(rows="all"),)]
    assert find("joint")().phases(0, 1) == (Phase(rows="all"),)


def test_it_has_no_old_classes_that_cfgm_could_make() -> None:
    with pytest.raises(
        ConfigError, match="cfgm: must be left out with method 'joint', which has no old classes to make"
    ):
        find("joint")(cfgm=Cfgm(step=1.0))
