from __future__ import annotations

import pytest
from by_hand import LN2, LN3, active, gradient, logs, step

from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.methods import Draw, find

# one stream row with p(y) = 1/2, two memory rows with p(y) = 1/4 and 1/8
LOGITS, LABELS = logs([1, 1, 2], [1, 2, 1], [5, 1, 2]), [2, 0, 1]
STEP = step(LOGITS, LABELS, 1, 2)


def test_joined_is_one_mean_over_stream_and_memory_rows() -> None:
    assert find("er")().loss(STEP).item() == pytest.approx((1 + 2 + 3) * LN2 / 3)


def test_sum_is_the_sum_of_two_means() -> None:
    method = find("er")(reduction="sum")
    assert method.loss(STEP).item() == pytest.approx(LN2 + (2 + 3) * LN2 / 2)
    grad = gradient(method, STEP)
    assert grad[0].tolist() == pytest.approx([1 / 4, 1 / 4, -1 / 2])
    assert grad[2].tolist() == pytest.approx([5 / 16, -7 / 16, 2 / 16])


@pytest.mark.parametrize("reduction", ["joined", "sum"])
def test_without_memory_rows_it_is_fine_tuning(reduction: str) -> None:
    assert find("er")(reduction=reduction).loss(step(LOGITS[:1], [2], 1)).item() == pytest.approx(LN2)


def test_memory_rows_are_not_masked() -> None:
    """m = -inf takes class 0 out of the stream row: p(y) = 2/3; memory rows see every class."""
    one = step(LOGITS, LABELS, 1, 2, active=active([0, 1, 1], [1, 1, 1], [1, 1, 1]))
    method = find("er")(mask=Mask(value=-float("inf")), reduction="sum")
    assert method.loss(one).item() == pytest.approx((LN3 - LN2) + 5 * LN2 / 2)


def test_gradient_scales_act_on_stream_rows_alone() -> None:
    one = step(LOGITS, LABELS, 1, 2, active=active([0, 1, 1], [1, 1, 1], [1, 1, 1]))
    plain, scaled = (find("er")(mask=mask) for mask in (None, Mask(leak=1.0, old_scale=3.0, new_scale=0.5)))
    factor = gradient(scaled, one) / gradient(plain, one)
    assert factor[0].tolist() == pytest.approx([3.0, 0.5, 0.5])
    assert factor[1:].flatten().tolist() == pytest.approx([1.0] * 6)


def test_it_asks_for_one_draw() -> None:
    assert find("er")(replay_batch=7).needs.draws == (Draw(7),)
    assert find("er")().needs.joint_forward
    assert not find("er")().needs.stores_logits


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"replay_batch": 0}, "method.replay_batch: must be a whole number, 1 or more, got 0"),
        ({"replay_batch": 2.5}, "method.replay_batch: must be a whole number"),
        ({"replay_from_task": -1}, "method.replay_from_task: must be a whole number, 0 or more, got -1"),
        ({"reduction": "mean"}, "method.reduction: must be one of joined, sum, got 'mean'"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("er")(**options)
