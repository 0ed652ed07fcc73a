"""Stop-gradient without replacement is the gradient of no loss: levels climb without bound.

A linear model: the logits of two old and two new classes all rise with the level of what the layers below give out,
the old ones faster, and the stream shows new classes only. Lifting the new logits lifts the old ones more.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskcl.functional import masked_cross_entropy

ACTIVE, LABELS = torch.tensor([False, False, True, True]), torch.tensor([2, 3, 2, 3])
CLASSIFIER = torch.tensor([[2.0, 0.0], [2.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
INPUTS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [1.0, 0.5], [1.0, -0.5]])


def _level_after(num_steps: int, **form: Any) -> float:
    """Largest logit after so many steps on the layer below the classifier."""
    layer = torch.eye(2).requires_grad_()
    for _ in range(num_steps):
        logits = INPUTS @ layer @ CLASSIFIER.T
        losses = masked_cross_entropy(logits, LABELS, ACTIVE, **form)
        (grad,) = torch.autograd.grad(losses.mean(), layer)
        with torch.no_grad():
            layer -= 0.1 * grad
    return (INPUTS @ layer @ CLASSIFIER.T).abs().max().item()


def test_stop_gradient_without_replacement_runs_away() -> None:
    """Twice the steps, twice the level."""
    levels = [_level_after(steps, leak=1.0, old_scale=0.0) for steps in (200, 400, 800)]
    assert levels[2] > 150
    assert levels[1] / levels[0] == pytest.approx(2, rel=0.05)
    assert levels[2] / levels[1] == pytest.approx(2, rel=0.05)


FORMS = [{"value": 0.0}, {"value": -2.0}, {"mass": 1.0}, {"leak": 0.1}, {"leak": 1.0}]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_replacement_and_leak_stay_level_on_the_same_data(form: dict[str, float]) -> None:
    """Twice the steps, a constant more: the logarithm of a loss that is nearly 0."""
    early, late = _level_after(400, **form), _level_after(800, **form)
    assert late < 8
    assert late - early < 1.1
