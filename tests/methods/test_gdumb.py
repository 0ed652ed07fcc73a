from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import LN2, gradient, logs, step
from engine.small import SCENARIO, scenario, spec, train
from whole_runs import assert_stack_is_loop, record

from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig, MemoryState, plan_writes
from maskcl.methods import Phase, find
from maskcl.networks import ConvNet
from maskcl.rng import generator
from maskcl.schedule import Schedule

A, B, C = 0, 1, 2


def test_one_step_is_the_mean_cross_entropy() -> None:
    one = step(logs([1, 1, 2], [1, 2, 1]), [2, 0], 2)
    assert find("gdumb")().loss(one).item() == pytest.approx((1 + 2) * LN2 / 2)
    assert gradient(find("gdumb")(), one)[0].tolist() == pytest.approx([1 / 8, 1 / 8, -1 / 4])


def test_each_task_is_one_phase_on_the_memory_from_fresh_weights() -> None:
    method = find("gdumb")(passes=7)
    assert method.phases(0, 3) == method.phases(2, 3) == (Phase(rows="memory", epochs=7, fresh=True),)
    assert method.needs.memory
    assert method.needs.draws == ()
    assert method.needs.policy == "greedy"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"passes": 0}, "method.passes: must be a whole number, 1 or more, got 0"),
        ({"passes": 1.5}, "method.passes: must be a whole number, 1 or more, got 1.5"),
        ({"mask": Mask(leak=0.1)}, "mask: must be left out with method 'gdumb', which learns all classes from the mem"),
        ({"cfgm": Cfgm(step=1.0)}, "cfgm: must be left out with method 'gdumb', which starts from scratch"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("gdumb")(**options)


def greedy(size: int, labels: list[int], *, seed: int = 0, cuts: tuple[int, ...] = ()) -> tuple[list[int], MemoryState]:
    """Where each row of a stream goes, planned in one go or in several, and the memory after it."""
    state, slots, rng = MemoryState.empty(size, max(labels) + 1), [], np.random.default_rng(seed)
    for rows in np.split(np.arange(len(labels)), cuts):
        part = np.array(labels)[rows]
        found = plan_writes("greedy", state, part, rng)
        state = state.after(found, rows, part)
        slots += found.tolist()
    return slots, state


@pytest.mark.parametrize("cuts", [(), (4, 6)], ids=["in one plan", "in three"])
def test_the_sampler_of_the_checked_example(cuts: tuple[int, ...]) -> None:
    """k = 4, A A A A B B C: four A; each B drops an A; C drops one of the two largest, and may hit A or B."""
    found = Counter()
    for seed in range(40):
        slots, state = greedy(4, [A, A, A, A, B, B, C], seed=seed, cuts=cuts)
        assert min(slots) >= 0
        found[tuple(np.bincount(state.labels, minlength=3).tolist())] += 1
    assert set(found) == {(1, 2, 1), (2, 1, 1)}


@pytest.mark.parametrize("cuts", [(), (50,), (10, 20, 30, 77)], ids=str)
@pytest.mark.parametrize("size", [1, 4, 10, 200])
def test_every_decision_of_the_sampler_is_the_papers(size: int, cuts: tuple[int, ...]) -> None:
    """Row by row: whether it enters, and whose place it takes; only which of the largest is left to chance."""
    for seed in range(5):
        labels = np.random.default_rng(seed).choice(5, 120, p=[0.5, 0.3, 0.1, 0.06, 0.04]).tolist()
        labels = sorted(labels[:60]) + labels[60:]  # classes that come one after the other, then mixed
        slots, state = greedy(size, labels, seed=seed, cuts=cuts)
        memory: dict[int, int] = {}  # class in each slot in use
        seen: set[int] = set()
        for label, slot in zip(labels, slots, strict=True):
            counts, is_new = Counter(memory.values()), label not in seen
            seen.add(label)
            enters = is_new or counts[label] < size // len(seen)
            assert (slot >= 0) is enters
            if enters and len(memory) < size:
                assert slot not in memory
            elif enters:
                assert counts[memory[slot]] == max(counts.values())
            if enters:
                memory[slot] = label
        assert [memory.get(slot, -1) for slot in range(size)] == state.labels.tolist()
        assert all(labels[row] == label for row, label in zip(state.rows, state.labels, strict=True) if row >= 0)


def test_the_row_that_makes_room_is_any_of_a_largest_class_with_equal_chance() -> None:
    labels, trials = [A, A, A, B, B, B, C], 3000
    dropped = Counter(greedy(6, labels, seed=seed)[0][-1] for seed in range(trials))
    assert set(dropped) == set(range(6))
    expected = trials / 6
    assert sum((count - expected) ** 2 / expected for count in dropped.values()) < 20.5  # chi-square 5, p = .001


TRAININGS: list[dict[str, Any]] = [
    {},
    {"optimizer": {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2, "clip_norm": 0.5}},
    {"training": {"schedule": Schedule(name="cosine", final=0.01, warmup=0.2)}},
]


@pytest.mark.parametrize("options", TRAININGS, ids=["sgd", "momentum", "schedule"])
def test_a_run_is_a_fresh_network_trained_on_the_final_memory(options: dict[str, Any]) -> None:
    """Nothing of earlier tasks is left but the memory: neither weights nor momentum nor the schedule's place."""
    run = record(spec("gdumb", passes=5, **options))
    network, o, memory = run.network(), run.spec.optimizer, run.memories[-1]
    sgd = torch.optim.SGD(network.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay)
    batches = [
        rows[i : i + 4]
        for epoch in range(5)
        for rows in [memory[generator(0, "stream", 2, epoch).permutation(len(memory))]]
        for i in range(0, len(memory), 4)
    ]
    schedule = run.spec.training.schedule
    rates = [1.0] * len(batches) if schedule is None else schedule.factors(len(batches)).tolist()
    for batch, rate in zip(batches, rates, strict=True):
        sgd.param_groups[0]["lr"] = o.lr * rate
        sgd.zero_grad()
        F.cross_entropy(network(run.inputs[batch]), run.labels[batch]).backward()
        if o.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), o.clip_norm)
        sgd.step()
    for mine, theirs in zip(run.weights, network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-9)


def test_the_memory_of_a_run_has_as_many_rows_of_each_class_of_the_tasks_so_far() -> None:
    run = record(spec("gdumb", passes=1, memory=MemoryConfig(size=12)))
    for task, rows in enumerate(run.memories):
        share = 12 // (2 * task + 2)
        counts = np.bincount(run.labels[rows], minlength=6)
        assert counts.sum() == len(set(rows.tolist())) == 12
        assert counts[: 2 * task + 2].min() == counts.max() == share
        assert set(rows) <= {row for rows in SCENARIO.train_rows[: task + 1] for row in rows}


def test_what_a_run_has_learnt_before_a_task_does_not_matter() -> None:
    """Two runs whose memories end alike end alike, whatever number of passes went before."""
    runs = [train(Population([spec("gdumb", passes=3)], stacked=False), range(2)) for _ in range(2)]
    for p in runs[1].model.weights.params.values():
        p.data.mul_(-3.0)
    for run in runs:
        train(run, range(2, 3))
    for name, tensor in runs[0].model.weights.params.items():
        assert torch.equal(tensor, runs[1].model.weights.params[name]), name


def test_batch_norms_statistics_start_afresh_too() -> None:
    tasks = scenario(2, rows=8, shape=(3, 32, 32), classes=4)
    settings = {"tasks": tasks, "network": ConvNet(hidden=(4, 6)), "passes": 2}
    runs = [train(Population([spec("gdumb", **settings)], stacked=False), range(1)) for _ in range(2)]
    assert runs[1].model.weights.buffers
    for buffer in runs[1].model.weights.buffers.values():
        buffer.add_(5)
    for run in runs:
        train(run, range(1, 2))
    for name, tensor in runs[0].model.weights.buffers.items():
        assert torch.equal(tensor, runs[1].model.weights.buffers[name]), name


@pytest.mark.parametrize("options", TRAININGS, ids=["sgd", "momentum", "schedule"])
def test_a_stack_is_its_members_one_by_one(options: dict[str, Any]) -> None:
    rates = (0.02, 0.05, 0.1)
    optimizer = options.get("optimizer", {})
    rest = {name: value for name, value in options.items() if name != "optimizer"}
    specs = [spec("gdumb", seed=k, passes=4, optimizer=optimizer | {"lr": rates[k]}, **rest) for k in range(3)]
    assert_stack_is_loop(specs)
