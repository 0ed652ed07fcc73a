from __future__ import annotations

import pytest
from by_hand import LN2, LN3, LN7, active, gradient, logs, step

from maskcl.mask import Mask
from maskcl.methods import find

STEP = step(logs([1, 1, 2], [1, 2, 1]), [2, 0], 2)  # p(y) = 1/2 and 1/4


def test_one_step_is_the_mean_cross_entropy_of_stream_rows() -> None:
    method = find("finetune")()
    assert method.needs.draws == ()
    assert not method.needs.uses_memory
    assert method.loss(STEP).item() == pytest.approx((LN2 + 2 * LN2) / 2)
    expected = [[0.25 / 2, 0.25 / 2, -0.5 / 2], [-0.75 / 2, 0.5 / 2, 0.25 / 2]]
    for row, by_hand in zip(gradient(method, STEP).tolist(), expected, strict=True):
        assert row == pytest.approx(by_hand)


def test_a_mask_weighs_old_classes_of_stream_rows() -> None:
    """Class 0 is old: e^z = 3, 1, 2 with y = 2, and leak 1/3 makes 1, 1, 2: p(y) = 2/4."""
    one = step(logs([3, 1, 2]), [2], 1, active=active([0, 1, 1]))
    leaky = find("finetune")(mask=Mask(leak=1 / 3))
    assert leaky.loss(one).item() == pytest.approx(LN2)
    assert gradient(leaky, one)[0].tolist() == pytest.approx([0.25, 0.25, -0.5])
    replaced = find("finetune")(mask=Mask(value=0.0))  # e^0 = 1 in place of 3
    assert replaced.loss(one).item() == pytest.approx(LN2)
    assert gradient(replaced, one)[0].tolist() == pytest.approx([0.0, 0.25, -0.5])
    gone = find("finetune")(mask=Mask(value=-float("inf")))
    assert gone.loss(one).item() == pytest.approx(LN3 - LN2)
    scaled = find("finetune")(mask=Mask(leak=1 / 3, old_scale=0.5, new_scale=2.0))
    assert scaled.loss(one).item() == pytest.approx(LN2)
    assert gradient(scaled, one)[0].tolist() == pytest.approx([0.125, 0.5, -1.0])


def test_no_active_classes_given_is_no_mask_yet() -> None:
    assert find("finetune")(mask=Mask(leak=0.1)).loss(STEP).item() == pytest.approx(1.5 * LN2)


def test_invisible_classes_are_out_of_the_softmax() -> None:
    one = step(logs([1, 1, 5]), [0], 1, visible=active([1, 1, 0]))
    assert find("finetune")().loss(one).item() == pytest.approx(LN2)
    assert find("finetune")().loss(step(logs([1, 1, 5]), [0], 1)).item() == pytest.approx(LN7)
