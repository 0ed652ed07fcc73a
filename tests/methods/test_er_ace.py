from __future__ import annotations

import math

import pytest
from by_hand import LN2, LN3, active, logs, step

from maskcl.errors import MaskclWarning
from maskcl.mask import Mask
from maskcl.methods import find

LOGITS, LABELS = logs([1, 1, 2], [1, 2, 1], [5, 1, 2]), [2, 0, 1]
STEP = step(LOGITS, LABELS, 1, 2)


def test_one_step_compares_only_classes_of_the_batch_and_adds_plain_replay() -> None:
    """Class 0 is not among the stream rows: p(y) = 2/3 there; memory rows: 1/4 and 1/8."""
    one = step(LOGITS, LABELS, 1, 2, active=active([0, 1, 1], [1, 1, 1], [1, 1, 1]))
    assert find("er_ace")().loss(one).item() == pytest.approx(LN3 - LN2 + 5 * LN2 / 2)


def test_before_the_second_task_it_is_fine_tuning() -> None:
    method = find("er-ace")()
    assert method.loss(step(LOGITS[:1], [2], 1)).item() == pytest.approx(LN2)
    assert method.needs.replay_from_task == 1
    assert (method.replay_from_task, method.mask) == (1, Mask(value=-math.inf, policy="batch", from_task=1))


def test_without_its_mask_it_warns_and_is_er_with_a_sum_of_two_means() -> None:
    with pytest.warns(MaskclWarning, match="er_ace without its mask is er with reduction = 'sum'"):
        method = find("er_ace")(mask=None)
    assert method.loss(STEP).item() == find("er")(reduction="sum").loss(STEP).item() == pytest.approx(7 * LN2 / 2)
