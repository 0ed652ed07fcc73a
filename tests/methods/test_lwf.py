from __future__ import annotations

import pytest
import torch
from by_hand import LN2, LN3, gradient, logs, step

from maskcl.errors import ConfigError
from maskcl.methods import find

OLD = torch.tensor([True, True, False])
# old classes 0 and 1: the network says 1/4, 3/4 and said 1/2, 1/2; p(y) = 4/8 over all
STEP = step(logs([1, 3, 4]), [2], 1, teacher=logs([5, 5, 1]), old=OLD)
KL = (LN2 - LN3) / 2 + LN2 / 2  # 1/2 log(1/2 / 1/4) + 1/2 log(1/2 / 3/4)


def test_one_step_holds_old_classes_to_the_teacher() -> None:
    method = find("lwf")(alpha=2.0, temperature=1.0)
    assert method.loss(STEP).item() == pytest.approx(LN2 + 2 * KL)
    assert gradient(method, STEP)[0].tolist() == pytest.approx([1 / 8 + 2 * (-1 / 4), 3 / 8 + 2 * (1 / 4), -1 / 2])


def test_the_temperature_softens_both_sides() -> None:
    """At T = 2 the numbers are square roots: 1 and 3 of 9 and 1 become 1/4 and 3/4 again."""
    one = step(logs([1, 9, 10]), [2], 1, teacher=logs([25, 25, 1]), old=OLD)
    assert find("lwf")().loss(one).item() == pytest.approx(LN2 + KL)


def test_matched_old_logits_get_no_gradient_from_the_teacher() -> None:
    one = step(logs([1, 3, 4]), [2], 1, teacher=logs([2, 6, 9]), old=OLD)
    assert gradient(find("lwf")(alpha=50.0), one)[0].tolist() == pytest.approx([1 / 8, 3 / 8, -1 / 2])


def test_in_the_first_task_it_is_fine_tuning() -> None:
    assert find("lwf")().loss(step(logs([1, 3, 4]), [2], 1)).item() == pytest.approx(LN2)


def test_a_temperature_of_0_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"method\.temperature: must be above 0, got 0"):
        find("lwf")(temperature=0)
