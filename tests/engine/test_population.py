from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from engine.small import SCENARIO, logits, members, scenario, spec, train
from torch import Tensor

from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.engine.evaluate import Evaluation
from maskcl.engine.state import State, named_tensors
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import REGISTRY
from maskcl.networks import ConvNet


def tensors(state: State) -> list[tuple[str, Tensor]]:
    """All tensors of a state by name."""
    return named_tensors(state.tensors())


def numbers(state: State) -> list[Any]:
    """Everything else in a state, as plain numbers."""
    memories = [
        None if m is None else (m.rows.tolist(), m.labels.tolist(), m.num_seen, m.class_counts.tolist())
        for m in state.memories
    ]
    counters = (state.position, state.steps, state.updates)
    return [memories, [seen.tolist() for seen in state.last_seen], [counter.tolist() for counter in counters]]


MOMENTUM = {"momentum": 0.9, "weight_decay": 1e-3, "clip_norm": 1.0}


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("key", REGISTRY)
def test_seeds_repeat_to_the_last_bit(key: str, stacked: bool) -> None:
    first, again = (train(Population([spec(key, seed=3)], stacked=stacked)) for _ in range(2))
    for (name, mine), other in zip(members(first)[0].items(), members(again)[0].values(), strict=True):
        assert torch.equal(mine, other), name
    assert torch.equal(first.state.stored, again.state.stored)


def test_initialisation_and_stream_have_seeds_of_their_own() -> None:
    one = spec("er", seed=3)
    other = type(one)(**{**one.__dict__, "seeds": type(one.seeds)(initialisation=3, sampling=4)})
    first, second = (Population([each], stacked=False) for each in (one, other))
    assert torch.equal(first.parts.network[1].weight, second.parts.network[1].weight)
    train(first)
    train(second)
    assert not torch.equal(first.parts.network[1].weight, second.parts.network[1].weight)
    assert first.state.memories[0] is not None
    assert second.state.memories[0] is not None
    assert first.state.memories[0].rows.tolist() != second.state.memories[0].rows.tolist()


def test_the_global_random_state_neither_matters_nor_moves() -> None:
    torch.manual_seed(1)
    first = train(Population([spec("derpp")], stacked=False))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = train(Population([spec("derpp")], stacked=False))
    assert torch.equal(torch.get_rng_state(), before)
    for mine, other in zip(members(first)[0].values(), members(second)[0].values(), strict=True):
        assert torch.equal(mine, other)


KEPT: dict[str, list[dict[str, Any]]] = {
    "derpp momentum": [
        {"method": "derpp", "alpha": a, "optimizer": MOMENTUM | {"lr": a / 10}} for a in (0.1, 0.5, 1.0)
    ],
    "er adam mask": [{"mask": Mask(leak=a), "optimizer": {"name": "adam", "lr": a / 50}} for a in (0.1, 0.5, 1.0)],
    "sgd": [{"mask": Mask(value=a), "optimizer": {"lr": a / 5}} for a in (0.1, 0.5, 1.0)],
    "herding": [
        {"method": "derpp", "memory": MemoryConfig(size=9, policy="herding"), "beta": b} for b in (0.1, 0.5, 1.0)
    ],
    "ewc": [{"method": "ewc", "strength": s} for s in (0.5, 1.0, 3.0)],
    "si": [{"method": "si", "c": c} for c in (0.5, 1.0, 2.0)],
    "lwf": [{"method": "lwf", "alpha": a} for a in (0.5, 1.0, 2.0)],
    "cfgm": [{"method": "finetune", "cfgm": Cfgm(step=s)} for s in (0.5, 1.0, 2.0)],
}


@pytest.mark.parametrize("kind", KEPT)
def test_members_that_are_kept_go_on_as_if_alone(kind: str) -> None:
    specs = [spec(**({"method": "er", "seed": k} | settings)) for k, settings in enumerate(KEPT[kind])]
    population = train(Population(specs, stacked=True), range(1))
    population.keep([0, 2])
    assert population.num_members == 2
    train(population, range(1, 3))
    for place, k in enumerate((0, 2)):
        alone = train(Population([specs[k]], stacked=False))
        for (name, mine), other in zip(members(population)[place].items(), members(alone)[0].values(), strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-8, msg=name)
        torch.testing.assert_close(logits(population, place), logits(alone, 0), rtol=0, atol=1e-8)
        if alone.state.memories[0] is not None:
            assert population.state.memories[place].rows.tolist() == alone.state.memories[0].rows.tolist()  # type: ignore[union-attr]
        found, expected = population.evaluate(2)[place], alone.evaluate(2)[0]
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-8)
        np.testing.assert_array_equal(found.class_incremental, expected.class_incremental)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [2, 2], [3, 1]], ids=str)
def test_grouping_does_not_matter(sizes: list[int]) -> None:
    specs = [spec("derpp", seed=k, mask=Mask(leak=0.1 * (k + 1)), optimizer={"lr": 0.05 * (k + 1)}) for k in range(4)]
    together, start = members(train(Population(specs, stacked=True))), 0
    for size in sizes:
        part = members(train(Population(specs[start : start + size], stacked=True)))
        for k in range(size):
            for name, tensor in part[k].items():
                torch.testing.assert_close(tensor, together[start + k][name], rtol=0, atol=1e-10)
        start += size


def test_running_statistics_of_batch_norm_are_those_of_each_member_alone() -> None:
    images = scenario(2, rows=8, shape=(3, 32, 32), classes=4)
    network = ConvNet(hidden=(4,))
    specs = [spec("derpp", seed=k, tasks=images, network=network, optimizer={"lr": 0.05}) for k in range(2)]
    stacked = train(Population(specs, stacked=True), range(1))
    for k, one in enumerate(specs):
        alone = train(Population([one], stacked=False), range(1))
        norm = alone.parts.network[1]
        assert norm.num_batches_tracked.item() == 4 + 2 * 3  # four steps, the last three with two draws each
        assert not torch.equal(norm.running_mean, torch.zeros(4, dtype=torch.float64))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(
                stacked.model.weights.buffers[f"1.{name}"][k], getattr(norm, name), rtol=0, atol=1e-10
            )


def test_er_joins_stream_and_memory_rows_in_one_forward_where_batch_norm_can_tell() -> None:
    images = scenario(2, rows=8, shape=(3, 8, 8), classes=4)
    network = ConvNet(hidden=(4,))
    for key, forwards in (("er", 4), ("er_ace", 4 + 3), ("der", 4 + 3), ("derpp", 4 + 2 * 3)):
        one = spec(key, tasks=images, network=network, **({"replay_from_task": 0} if key == "er_ace" else {}))
        population = train(Population([one], stacked=False), range(1))
        assert population.parts.network[1].num_batches_tracked.item() == forwards


def test_evaluation_leaves_training_mode_and_statistics_alone() -> None:
    images = scenario(2, rows=8, shape=(3, 8, 8), classes=4)
    for stacked in (True, False):
        population = Population([spec("er", tasks=images, network=ConvNet(hidden=(4,)))], stacked=stacked)
        before = {name: tensor.detach().clone() for name, tensor in tensors(population.state)}
        population.evaluate(0)
        for name, tensor in tensors(population.state):
            assert torch.equal(tensor, before[name])
        assert all(module.training for module in population.parts.network.modules())


def test_joint_training_happens_once_at_the_last_task_on_all_rows() -> None:
    population = Population([spec("joint")], stacked=False)
    before = {name: tensor.detach().clone() for name, tensor in tensors(population.state)}
    train(population, range(2))
    for name, tensor in tensors(population.state):
        assert torch.equal(tensor, before[name])
    assert [population.method.phases(t, 3) for t in range(2)] == [(), ()]
    (phase,) = population.method.phases(2, 3)
    assert sorted(population.stream_rows(0, phase, 2).tolist()) == list(range(78))
    train(population, range(2, 3))
    assert population.state.steps.tolist() == [population.num_steps(0)] == [20]  # 78 rows in batches of 4


def test_a_state_is_a_copy_and_comes_back_whole() -> None:
    population = train(Population([spec("derpp", optimizer={"name": "adam", "lr": 0.01})], stacked=False), range(1))
    state = population.state.copy()
    kept, counters = {name: tensor.clone() for name, tensor in tensors(state)}, numbers(state)
    train(population, range(1, 3))
    after = {name: tensor.detach().clone() for name, tensor in tensors(population.state)}
    counted = numbers(population.state)
    for _ in range(2):  # going on from a state leaves it as it was
        for name, tensor in tensors(state):
            assert torch.equal(tensor, kept[name])
        assert numbers(state) == counters
        population.load_state(state)
        train(population, range(1, 3))
        assert set(after) == {name for name, _ in tensors(population.state)}
        for name, tensor in tensors(population.state):
            assert torch.equal(tensor, after[name]), name
        assert numbers(population.state) == counted
    assert counters != counted


def test_sizes_are_those_of_one_member() -> None:
    specs = [spec("derpp", seed=k) for k in range(3)]
    for population in (Population(specs, stacked=True), Population(specs[:1], stacked=False)):
        assert population.num_parameters == 7 * 16 + 16 + 16 * 12 + 12 + 12 * 6 + 6
        assert population.memory_bytes == 8 * (8 + 8) + 8 * 6 * 8  # ids and labels, float64 logits
    assert Population([spec("er")], stacked=False).memory_bytes == 8 * 16
    assert Population([spec("finetune")], stacked=False).memory_bytes == 0


def test_a_member_whose_weights_overflow_is_told_from_the_others() -> None:
    specs = [spec("finetune", seed=k, optimizer={"lr": lr}) for k, lr in enumerate((0.1, 1e300, 0.1))]
    assert train(Population(specs, stacked=True), range(1)).finite() == [True, False, True]
    assert [train(Population([one], stacked=False), range(1)).finite() for one in specs] == [[True], [False], [True]]


def test_progress_counts_every_step() -> None:
    counts: list[int] = []

    def note(members: Sequence[int], count: int) -> None:
        assert list(members) == [0]
        counts.append(count)

    Population([spec("er", training={"epochs": 20})], stacked=False).fit_task(0, on_steps=note)
    assert sum(counts) == 20 * 7
    assert min(counts) > 0
    counts.clear()
    long = spec("er", tasks=scenario(rows=80), training={"batch_size": 1})
    Population([long], stacked=False).fit_task(0, on_steps=note)
    assert sum(counts) == 160
    assert max(counts) == 50


def test_evaluation_within_a_task_comes_every_so_many_steps_of_the_run() -> None:
    population = Population([spec("er", training={"evaluate_every": 5})], stacked=True)
    calls: list[tuple[int, int, int]] = []
    found: list[Evaluation] = []

    def note(member: int, step: int, task: int, evaluation: Evaluation) -> None:
        calls.append((member, step, task))
        found.append(evaluation)

    for task in range(SCENARIO.num_tasks):
        population.fit_task(task, on_evaluation=note)
    assert calls == [(0, 5, 0), (0, 10, 1), (0, 15, 2), (0, 20, 2)]
    assert all(evaluation.class_incremental.shape == (3,) for evaluation in found)
