from __future__ import annotations

import pytest
import torch
from by_hand import LN2, Ended, logs, step
from engine.small import members, spec, train

from maskcl.engine import Population
from maskcl.errors import ConfigError
from maskcl.methods import find


def test_one_step_is_fine_tuning_with_the_penaltys_gradient() -> None:
    """g + 2 c Omega (w - w*) = (1, 2) + 2 * 0.5 * (3, 0.5) * (1 - 0, 1 - 5)."""
    method = find("si")(c=0.5)
    assert method.loss(step(logs([1, 1, 2]), [2], 1)).item() == pytest.approx(LN2)
    state = {"anchor": [torch.tensor([[0.0, 5.0]])], "importance": [torch.tensor([[3.0, 0.5]])]}
    (none,) = method.direction({"loss": [torch.zeros(1, 2)]}, [torch.tensor([[1.0, 1.0]])], state)
    assert none.tolist() == [pytest.approx([3.0, -2.0])]
    (grad,) = method.direction({"loss": [torch.tensor([[1.0, 2.0]])]}, [torch.tensor([[1.0, 1.0]])], state)
    assert grad.tolist() == [pytest.approx([4.0, 0.0])]


def test_moves_against_the_gradient_gather_importance_and_a_tasks_end_takes_stock() -> None:
    method = find("si")(xi=0.75)
    state = {"anchor": [torch.zeros(3)], "importance": [torch.ones(3)], "path": [torch.zeros(3)]}
    for _ in range(2):  # the second weight moves with its gradient: it raised the loss
        method.after_step({"loss": [torch.tensor([-2.0, 1.0, 0.0])]}, [torch.tensor([0.25, 0.5, 1.0])], state)
    assert state["path"][0].tolist() == [1.0, -1.0, 0.0]
    ended = Ended([torch.tensor([0.5, 1.0, 2.0])])
    after = method.end_task(state, ended.view)
    assert ended.asked == []
    assert after["importance"][0].tolist() == pytest.approx([1 + 1 / (0.25 + 0.75), 1.0, 1.0])
    assert after["path"][0].tolist() == [0.0, 0.0, 0.0]
    assert after["anchor"][0].tolist() == [0.5, 1.0, 2.0]
    ended.weights[0].add_(1.0)
    assert after["anchor"][0].tolist() == [0.5, 1.0, 2.0]  # a copy: the weights go on from here


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
