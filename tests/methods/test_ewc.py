from __future__ import annotations

import pytest
import torch
from by_hand import LN2, Ended, logs, step
from engine.small import members, spec, train

from maskcl.engine import Population
from maskcl.errors import ConfigError
from maskcl.methods import find


def test_one_step_is_fine_tuning_with_the_penaltys_gradient() -> None:
    """g + strength F (w - w*) = (1, 2) + 2 * (3, 0.5) * (1 - 0, 1 - 5)."""
    method = find("ewc")(strength=2.0)
    assert method.loss(step(logs([1, 1, 2]), [2], 1)).item() == pytest.approx(LN2)
    state = {"anchor": [torch.tensor([[0.0, 5.0]])], "importance": [torch.tensor([[3.0, 0.5]])]}
    (none,) = method.direction({"loss": [torch.zeros(1, 2)]}, [torch.tensor([[1.0, 1.0]])], state)
    assert none.tolist() == [pytest.approx([6.0, -4.0])]
    (grad,) = method.direction({"loss": [torch.tensor([[1.0, 2.0]])]}, [torch.tensor([[1.0, 1.0]])], state)
    assert grad.tolist() == [pytest.approx([7.0, -2.0])]


def test_a_tasks_end_adds_its_importance_to_gamma_times_the_old_and_moves_the_anchor() -> None:
    method = find("ewc")(gamma=0.5, fisher_rows=7)
    state = {"anchor": [torch.zeros(2)], "importance": [torch.tensor([4.0, 2.0])]}
    ended = Ended([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 0.0])])
    after = method.end_task(state, ended.view)
    assert ended.asked == [7]
    assert after["importance"][0].tolist() == [3.0, 1.0]
    assert after["anchor"][0].tolist() == [1.0, 2.0]
    ended.weights[0].add_(1.0)
    assert after["anchor"][0].tolist() == [1.0, 2.0]  # a copy: the weights go on from here


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"strength": -1.0}, "method.strength: must be a number, 0 or more, got -1.0"),
        ({"gamma": 1.5}, "method.gamma: must be between 0 and 1, got 1.5"),
        ({"fisher_rows": 0}, "method.fisher_rows: must be a whole number, 1 or more, got 0"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("ewc")(**options)


def test_with_strength_0_a_whole_run_is_fine_tuning() -> None:
    found = train(Population([spec("ewc", strength=0.0)], stacked=False))
    plain = train(Population([spec("finetune")], stacked=False))
    for name, tensor in members(plain)[0].items():
        assert torch.equal(members(found)[0][name], tensor), name
    other = train(Population([spec("ewc")], stacked=False))
    assert not all(torch.equal(members(other)[0][name], tensor) for name, tensor in members(plain)[0].items())


def test_the_first_task_of_a_run_is_fine_tuning() -> None:
    found, plain = (train(Population([spec(key)], stacked=False), range(1)) for key in ("ewc", "finetune"))
    for name, tensor in members(plain)[0].items():
        assert torch.equal(members(found)[0][name], tensor), name
