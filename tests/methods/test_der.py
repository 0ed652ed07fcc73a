from __future__ import annotations

import pytest
import torch
from by_hand import LN2, LN3, active, gradient, logs, step

from maskcl.engine.dials import stack_settings
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.methods import Draw, Step, find

# a stream row with p(y) = 1/2; two memory rows whose logits are off by (1, 0, 2) and (0, 3, 0)
LOGITS = logs([1, 1, 2], [1, 2, 1], [5, 1, 2])
STORED = LOGITS[1:] - torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
STEP = step(LOGITS, [2, 0, 1], 1, 2, stored=(STORED,))


def test_one_step_adds_alpha_times_the_mean_over_rows_and_classes() -> None:
    method = find("der")(alpha=0.3)
    assert method.loss(STEP).item() == pytest.approx(LN2 + 0.3 * (1 + 4 + 9) / 6)
    grad = gradient(method, STEP)
    assert grad[0].tolist() == pytest.approx([1 / 4, 1 / 4, -1 / 2])
    assert grad[1].tolist() == pytest.approx([0.3 * 2 * 1 / 6, 0.0, 0.3 * 2 * 2 / 6])
    assert grad[2].tolist() == pytest.approx([0.0, 0.3 * 2 * 3 / 6, 0.0])


def test_distillation_is_on_raw_logits_whatever_the_mask() -> None:
    one = step(LOGITS, [2, 0, 1], 1, 2, stored=(STORED,), active=active([0, 1, 1], [1, 1, 1], [1, 1, 1]))
    method = find("der")(alpha=0.3, mask=Mask(value=-float("inf")))
    assert method.loss(one).item() == pytest.approx(LN3 - LN2 + 0.3 * 14 / 6)


def test_without_memory_rows_it_is_fine_tuning() -> None:
    assert find("der")().loss(step(LOGITS[:1], [2], 1)).item() == pytest.approx(LN2)


def test_it_asks_for_one_draw_with_its_logits() -> None:
    assert find("der")(replay_batch=4).needs.draws == (Draw(4, stored_logits=True),)
    assert find("der")().needs.stores_logits


@pytest.mark.parametrize("key", ["der", "derpp"])
def test_logits_are_stored_before_or_after_the_update(key: str) -> None:
    assert [find(key)(store=when).needs.store_after for when in ("before", "after")] == [False, True]


def test_each_member_of_a_population_has_its_own_alpha() -> None:
    method = stack_settings([find("der")(alpha=a) for a in (0.0, 0.3, 1.0)], torch.float64)
    labels = torch.tensor([2, 0, 1]).expand(3, 3)
    one = Step(LOGITS.expand(3, 3, 3), labels, (1, 2), stored=(STORED.expand(3, 2, 3),))
    assert method.loss(one).tolist() == pytest.approx([LN2, LN2 + 0.3 * 14 / 6, LN2 + 14 / 6])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"alpha": -0.1}, "method.alpha: must be a number, 0 or more, got -0.1"),
        ({"alpha": float("nan")}, "method.alpha: must be a number, 0 or more, got nan"),
        ({"alpha": True}, "method.alpha: must be a number, 0 or more, got True"),
        ({"store": "later"}, "method.store: must be one of before, after, got 'later'"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict, text: str) -> None:
    for key in ("der", "derpp"):
        with pytest.raises(ConfigError, match=text):
            find(key)(**options)
