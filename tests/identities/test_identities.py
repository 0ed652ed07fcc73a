"""Settings that must come to the same run, over all tasks of a small scenario."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from engine.small import SCENARIO, members, spec, train

from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.errors import MaskclWarning
from maskcl.mask import Mask
from maskcl.methods import REGISTRY


def _run(key: str, **options: Any) -> Population:
    return train(Population([spec(key, seed=4, **options)], stacked=False))


def assert_same(first: Population, second: Population, *, atol: float = 1e-10) -> None:
    """Whatever the second run's training changes, the first one's has too, with the same numbers."""
    mine = members(first)[0]
    for name, theirs in members(second)[0].items():
        torch.testing.assert_close(mine[name], theirs, rtol=0, atol=atol, msg=name)
    if first.state.memories[0] is not None and second.state.memories[0] is not None:
        np.testing.assert_array_equal(first.state.memories[0].rows, second.state.memories[0].rows)


def assert_different(first: Population, second: Population) -> None:
    weights = [torch.cat([t.flatten() for n, t in members(each)[0].items() if n.startswith("network.")])
               for each in (first, second)]  # fmt: skip
    assert (weights[0] - weights[1]).abs().max() > 1e-4


def _takes_a_mask_by_task(key: str) -> bool:
    return key != "joint" and not REGISTRY[key]().needs.no_mask


@pytest.mark.parametrize("key", [key for key in REGISTRY if _takes_a_mask_by_task(key)])
def test_leak_1_is_no_mask_and_less_is_not(key: str) -> None:
    with pytest.warns(MaskclWarning, match="er_ace without its mask") if key == "er_ace" else nullcontext():
        plain = _run(key, mask=None)
    assert_same(_run(key, mask=Mask(leak=1.0)), plain)
    assert_different(_run(key, mask=Mask(leak=0.1)), plain)


@pytest.mark.parametrize("key", ["finetune", "er", "derpp"])
def test_leak_0_is_minus_inf_and_a_very_low_value_comes_to_it(key: str) -> None:
    gone = _run(key, mask=Mask(value=-math.inf))
    assert_same(_run(key, mask=Mask(leak=0.0)), gone)
    assert_same(_run(key, mask=Mask(value=-1e30)), gone)


def test_mass_is_a_value_where_tasks_are_of_equal_size() -> None:
    of_mass, of_value = Mask(mass=1.0), Mask(value=1.0 - math.log(4))  # four of six classes are inactive
    assert_same(_run("derpp", mask=of_mass), _run("derpp", mask=of_value), atol=1e-6)


def test_er_ace_is_er_with_policy_batch_and_minus_inf() -> None:
    mask = Mask(value=-math.inf, policy="batch", from_task=1)
    ace, er = _run("er_ace"), _run("er", mask=mask, reduction="sum", replay_from_task=1)
    assert_same(ace, er, atol=0)
    assert_different(ace, _run("er", reduction="sum", replay_from_task=1))


def test_der_is_derpp_without_labels_and_fine_tuning_without_logits() -> None:
    der = _run("der", alpha=0.7)
    assert_same(_run("derpp", alpha=0.7, beta=0.0), der)
    fine_tuning = members(_run("finetune"))[0]
    for name, tensor in members(_run("der", alpha=0.0))[0].items():
        torch.testing.assert_close(tensor, fine_tuning[name], rtol=0, atol=1e-12)
    assert_different(_run("der", alpha=0.0), der)


@pytest.mark.parametrize(("key", "off"), [("lwf", {"alpha": 0.0}), ("ewc", {"strength": 0.0}), ("si", {"c": 0.0})])
def test_a_penalty_of_weight_0_is_fine_tuning(key: str, off: dict[str, float]) -> None:
    assert_same(_run(key, **off), _run("finetune"))
    assert_different(_run(key), _run("finetune"))


def test_policies_agree_where_each_batch_holds_all_of_the_task() -> None:
    whole = {"batch_size": 26, "epochs": 3}
    by_task = _run("er", mask=Mask(value=-2.0), training=whole)
    assert_same(_run("er", mask=Mask(value=-2.0, policy="batch"), training=whole), by_task)
    assert_same(_run("er", mask=Mask(value=-2.0, policy="recent", recent_rows=26), training=whole), by_task)


def test_a_window_of_one_batch_is_policy_batch_and_a_longer_one_is_not() -> None:
    even = {"batch_size": 2, "epochs": 1}  # 26 rows: no partial batch
    batch = _run("er", mask=Mask(leak=0.1, policy="batch"), training=even)
    assert_same(_run("er", mask=Mask(leak=0.1, policy="recent", recent_rows=2), training=even), batch)
    assert_different(_run("er", mask=Mask(leak=0.1, policy="recent", recent_rows=6), training=even), batch)


def _classifier_moves(task: int, **options: Any) -> torch.Tensor:
    """Whether each class's row of the classifier moves in a task, bool [C]."""
    population = train(Population([spec(seed=4, **options)], stacked=False), range(task))
    weight = population.model.parts.network[-1].weight
    before = weight.detach().clone()
    population.fit_task(task)
    return (weight.detach() != before).any(1)


@pytest.mark.parametrize("task", [0, 1, 2])
@pytest.mark.parametrize(
    "mask", [Mask(value=-math.inf), Mask(value=-1.0), Mask(mass=0.0), Mask(leak=0.0)], ids=lambda mask: mask.label
)
def test_replaced_and_removed_classes_keep_their_classifier_rows(mask: Mask, task: int) -> None:
    moves = _classifier_moves(task, method="finetune", mask=mask)
    assert moves.tolist() == [c in SCENARIO.tasks[task] for c in range(6)]


def test_leak_moves_every_row_and_from_task_leaves_the_first_task_alone() -> None:
    assert _classifier_moves(1, method="finetune", mask=Mask(leak=0.1)).all()
    later = Mask(value=-math.inf, from_task=1)
    assert _classifier_moves(0, method="finetune", mask=later).all()
    assert _classifier_moves(1, method="finetune", mask=later).tolist() == [False, False, True, True, False, False]


def test_classes_not_seen_yet_keep_their_rows_when_they_are_invisible_or_future() -> None:
    seen = Mask(leak=0.5, visible="seen")
    assert _classifier_moves(1, method="finetune", mask=seen).tolist() == [True] * 4 + [False] * 2
    future = Mask(value=-math.inf, keep_future=True)
    assert _classifier_moves(1, method="finetune", mask=future).tolist() == [False] * 2 + [True] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"method": "er"},
        {"method": "er", "reduction": "sum"},
        {"method": "er_ace", "replay_from_task": 0},
        {"method": "finetune", "cfgm": Cfgm(step=1.0, target="label")},
        {"method": "finetune", "cfgm": Cfgm(step=1.0, target="label", update="joint")},
        {"method": "finetune", "cfgm": Cfgm(step=1.0, target="label", generator="frozen", num_steps=2)},
    ],
    ids=["er", "er sum", "er_ace", "separate cfgm", "joint cfgm", "frozen cfgm"],
)
def test_invisible_classes_are_hidden_from_memory_rows_and_samples_too(options: dict[str, Any]) -> None:
    assert _classifier_moves(1, mask=Mask(leak=0.5, visible="seen"), **options).tolist() == [True] * 4 + [False] * 2
    assert _classifier_moves(1, mask=Mask(leak=0.5), **options).all()


def test_weight_decay_moves_masked_rows_although_their_gradient_is_0() -> None:
    decay = {"lr": 0.1, "weight_decay": 0.01}
    assert _classifier_moves(1, method="finetune", mask=Mask(value=-math.inf), optimizer=decay).all()


def test_memory_rows_move_masked_rows_of_the_classifier() -> None:
    moves = _classifier_moves(1, method="er", mask=Mask(value=-math.inf))
    assert moves.all()
