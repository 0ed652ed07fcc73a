from __future__ import annotations

import pytest
import torch
from by_hand import LN2, logs, step
from engine.small import members, spec, train

from maskcl.engine import Population
from maskcl.errors import ConfigError
from maskcl.methods import find


def test_one_step_is_fine_tuning_with_the_penaltys_gradient() -> None:
    """2 c Omega (w - w*) = 2 * 0.5 * (3, 0.5) * (1 - 0, 1 - 5)."""
    method = find("si")(c=0.5)
    assert method.loss(step(logs([1, 1, 2]), [2], 1)).item() == pytest.approx(LN2)
    state = {"anchor": [torch.tensor([0.0, 5.0])], "importance": [torch.tensor([3.0, 0.5])]}
    (grad,) = method.penalty_gradients(state, [torch.tensor([1.0, 1.0])])
    assert grad.tolist() == pytest.approx([3.0, -2.0])


def test_moves_against_the_gradient_gather_importance_and_a_tasks_end_takes_stock() -> None:
    method = find("si")(xi=0.75)
    state = {"anchor": [torch.zeros(3)], "importance": [torch.ones(3)], "path": [torch.zeros(3)]}
    for _ in range(2):  # the second weight moves with its gradient: it raised the loss
        method.after_step(state, [torch.tensor([-2.0, 1.0, 0.0])], [torch.tensor([0.25, 0.5, 1.0])])
    assert state["path"][0].tolist() == [1.0, -1.0, 0.0]
    method.end_task(state, [torch.tensor([0.5, 1.0, 2.0])], lambda rows: [])
    assert state["importance"][0].tolist() == pytest.approx([1 + 1 / (0.25 + 0.75), 1.0, 1.0])
    assert state["path"][0].tolist() == [0.0, 0.0, 0.0]
    assert state["anchor"][0].tolist() == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"c": -1.0}, "method.c: must be a number, 0 or more, got -1.0"),
        ({"xi": 0}, "method.xi: must be above 0, got 0"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("si")(**options)


def test_with_c_0_a_whole_run_is_fine_tuning() -> None:
    found = train(Population([spec("si", c=0.0)], stacked=False))
    plain = train(Population([spec("finetune")], stacked=False))
    for name, tensor in members(plain)[0].items():
        assert torch.equal(members(found)[0][name], tensor), name
    other = train(Population([spec("si")], stacked=False))
    assert not all(torch.equal(members(other)[0][name], tensor) for name, tensor in members(plain)[0].items())


def test_the_first_task_of_a_run_is_fine_tuning() -> None:
    found, plain = (train(Population([spec(key)], stacked=False), range(1)) for key in ("si", "finetune"))
    for name, tensor in members(plain)[0].items():
        assert torch.equal(members(found)[0][name], tensor), name
