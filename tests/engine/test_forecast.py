"""Estimates before a run: the groups are those that will train, steps and rows are counted, nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from engine.small import SCENARIO, scenario, spec

from maskcl.cfgm import Cfgm
from maskcl.engine import Population, run_population
from maskcl.engine import measuring as module
from maskcl.engine.forecast import forecast
from maskcl.engine.groups import grouped
from maskcl.engine.resources import member_bytes
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import REGISTRY, Method, Needs, Step
from maskcl.networks import ConvNet, Mlp

IMAGES = scenario(2, rows=8, shape=(3, 8, 8), classes=4)


class Clock:
    """Time that stands still, but for what is told to take some."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.parametrize("key", list(REGISTRY))
@pytest.mark.parametrize("executor", ["stack", "loop"])
def test_every_method_is_estimated(key: str, executor: str) -> None:
    found = forecast([spec(key, seed=seed) for seed in range(2)], executor=executor, threads=1)
    assert found.seconds is not None
    assert 0 < found.seconds < np.inf
    assert [len(one.group.indices) for one in found.groups] == ([2] if executor == "stack" else [1, 1])
    assert all(one.seconds is not None and one.seconds > 0 for one in found.groups)


def test_masks_samples_and_evaluations_within_tasks_are_estimated() -> None:
    one = spec("er", cfgm=Cfgm(step=1.0), training={"evaluate_every": 3})
    assert forecast([one], threads=1).seconds is not None


def test_groups_are_those_that_will_train() -> None:
    specs = [spec("er", seed=s) for s in range(3)] + [spec("er", tasks=IMAGES, network=ConvNet(hidden=(4,)))]
    crews = grouped(specs, executor="auto", group_size=None, threads=1)
    found = forecast(specs, threads=1)
    own = [[(g.indices, g.choice.stacked, g.threads, g.workers) for g in crew] for crew in crews]
    told = [
        [(f.group.indices, f.group.choice.stacked, f.group.threads, f.group.workers) for f in c] for c in found.crews
    ]
    assert told == own
    outcomes = run_population(specs, threads=1)
    sizes = {i: len(one.group.indices) for one in found.groups for i in one.group.indices}
    assert [outcome.executor["group_size"] for outcome in outcomes] == [sizes[i] for i in range(len(specs))]


def test_memory_is_that_of_the_members_at_work_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Trial, "seconds", lambda self: 1.0)
    specs = [spec("er", seed=seed) for seed in range(6)]
    one = member_bytes(specs[0])
    tables = 8 * (SCENARIO.dataset.train_inputs.size + SCENARIO.eval_inputs.size)  # float32 becomes float64: copies
    assert [group.num_bytes for group in forecast(specs, threads=2).groups] == [3 * one, 3 * one]
    assert forecast(specs, threads=2).num_bytes == tables + 6 * one
    assert forecast(specs, threads=1).num_bytes == tables + 6 * one
    assert forecast(specs, threads=1, group_size=2).num_bytes == tables + 2 * one


def test_groups_side_by_side_share_the_time_and_the_longest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Trial, "seconds", lambda self: 10.0 * len(self.specs))
    specs = [spec("er", seed=seed) for seed in range(6)]
    assert forecast(specs, threads=1).seconds == 60
    assert forecast(specs, threads=2).seconds == 30
    assert forecast(specs, threads=2, group_size=5).seconds == 30
    assert forecast([*specs, spec("finetune")], threads=1, executor="loop").seconds == 70


def test_processes_share_the_groups_and_have_data_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Trial, "seconds", lambda self: 10.0 * len(self.specs))
    specs = [spec("er", seed=seed) for seed in range(6)] + [spec("finetune")]
    one, two = (forecast(specs, threads=1, processes=count) for count in (1, 2))
    assert [len(group.group.indices) for group in two.groups] == [3, 3, 1]
    assert (one.seconds, two.seconds) == (70, 35)
    tables = 8 * (SCENARIO.dataset.train_inputs.size + SCENARIO.eval_inputs.size)
    assert two.num_bytes == 2 * tables + 6 * member_bytes(specs[0])
    assert forecast(specs[:1], threads=1, processes=9).num_bytes == tables + member_bytes(specs[0])


def test_processes_of_several_cores_train_groups_side_by_side_as_they_do_when_they_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module._Trial, "seconds", lambda self: 10.0 * len(self.specs))
    specs = [spec("er", seed=seed) for seed in range(24)]
    found = forecast(specs, threads=4, processes=2)
    piece = grouped(specs[:12], executor="auto", group_size=None, threads=4)[0]  # a process makes half of them
    assert [len(one.group.indices) for one in found.groups] == 2 * [len(group.indices) for group in piece] == [3] * 8
    assert found.seconds == 30  # all eight at a time


@pytest.mark.parametrize("key", ["er", "joint", "gdumb", "bic", "finetune"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_all_steps_of_all_phases_are_counted(
    key: str, epochs: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spec(key, training={} if key == "gdumb" else {"epochs": epochs})
    monkeypatch.setattr(module._Trial, "_seconds_a_step", lambda *_: 2.0)
    monkeypatch.setattr(module._Trial, "_seconds_a_row", lambda *_: 0.0)
    total = Population([one], stacked=True).num_steps(0)
    assert total > 3
    assert forecast([one], threads=1).seconds == 2 * total


def test_all_evaluations_are_counted(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Trial, "_seconds_a_step", lambda *_: 0.0)
    monkeypatch.setattr(module._Trial, "_seconds_a_row", lambda *_: 1.0)
    rows = sum(map(len, SCENARIO.eval_rows))

    def seconds(*specs: Any) -> float | None:
        return forecast(specs, threads=1).seconds

    assert seconds(spec("finetune")) == 4 * rows  # untrained, and after each of three tasks
    assert seconds(spec("finetune"), spec("finetune", seed=1)) == 8 * rows
    assert seconds(spec("joint")) == 2 * rows
    steps = Population([spec("finetune")], stacked=True).num_steps(0)
    assert seconds(spec("finetune", training={"evaluate_every": 2})) == (4 + steps // 2) * rows
    train = sum(map(len, SCENARIO.train_rows))
    assert seconds(spec("ewc")) == 4 * rows + train  # which are looked at when tasks end


def test_steps_of_the_first_task_and_of_later_ones_are_told_apart_and_each_is_measured_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, tuple[int, ...]]] = []

    def rate(self: Any, crew: Any, task: int, phase: Any, steps: Any) -> float:
        asked.append((task, steps[0].sizes))
        return 5.0 if task else 1.0

    monkeypatch.setattr(module._Trial, "_seconds_a_step", rate)
    monkeypatch.setattr(module._Trial, "_seconds_a_row", lambda *_: 0.0)
    population = Population([spec("er")], stacked=True)
    first, rest = population.num_steps(0, [0]), population.num_steps(0, [1, 2])
    assert forecast([spec("er"), spec("er", seed=1)], threads=1).seconds == first + 5 * rest
    assert asked == [(0, (4,)), (1, (4, 3))]  # with rows of the memory, though nothing was trained before


def test_a_slow_step_is_measured_once_and_many_fast_ones_within_their_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, counts = Clock(), list[int]()
    monkeypatch.setattr(module, "time", clock)

    class Trainer:
        def __init__(self, cost: float) -> None:
            self.cost = cost

        def run(self, steps: Any, *, every: int, tell: Any) -> torch.Tensor:
            counts.append(len(steps))
            clock.now += self.cost * len(steps)
            return torch.zeros(1)

    trial = object.__new__(module._Trial)
    trial.moment = 1.0
    for cost, each in ((30.0, [1]), (0.125, [1, 8]), (0.01, [1, 19])):
        crew: Any = type("Crew", (), {"trainer": lambda self, *_, cost=cost: Trainer(cost)})()
        assert trial._seconds_a_step(crew, 0, None, [None] * 20) == pytest.approx(cost)  # type: ignore[arg-type,list-item]
        assert counts == each
        counts.clear()


@pytest.fixture
def slow(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Looks of 12 s each that find a second for each letter of the method's name; whose were made."""
    looked: list[str] = []

    def seconds(self: Any) -> float:
        clock.now += 12.0
        looked.append(self.specs[0].name)
        return float(len(self.specs[0].method.key) * len(self.specs))

    monkeypatch.setattr(module._Trial, "seconds", seconds)
    return looked


def test_one_of_each_kin_is_measured_first_and_what_there_is_no_time_for_is_taken_to_be_like_it(
    slow: list[str],
) -> None:
    specs = [
        spec("er", seed=1), spec("er", seed=2, mask=Mask(leak=0.1)), spec("er", seed=3, memory=MemoryConfig(size=9)),
        spec("er", seed=4, mask=Mask(value=-1.0)), spec("derpp", seed=5), spec("derpp", seed=6, mask=Mask(leak=0.1)),
    ]  # fmt: skip
    found = forecast(specs, threads=1)
    assert slow == ["er seed 1", "derpp seed 5", "er seed 2"]
    assert (found.structures, found.likened, found.left_out) == (6, 3, 0)
    assert [one.seconds for one in found.groups] == [2, 2, 2, 2, 5, 5]
    assert found.seconds == found.least_seconds == 18


def test_what_is_like_nothing_that_was_measured_is_left_out_and_told(slow: list[str]) -> None:
    methods = ("er", "derpp", "joint", "finetune", "ewc")
    found = forecast([spec(key, seed=seed) for key in methods for seed in range(2)], threads=1)
    assert len(slow) == 3
    assert (found.structures, found.likened, found.left_out) == (5, 0, 2)
    assert [one.seconds for one in found.groups] == [4, 10, 10, None, None]
    assert found.seconds is None
    assert found.least_seconds == 24


@pytest.mark.parametrize(
    "other",
    [
        spec("er", memory=MemoryConfig(size=2)),  # less than it draws
        spec("er", memory=MemoryConfig(size=9, policy="herding")),
        spec("er", cfgm=Cfgm(step=1.0)),
        spec("er", network=Mlp(hidden=(9,))),
        spec("er", training={"batch_size": 5}),
        spec("er", optimizer={"momentum": 0.9}),
        spec("er", tasks=scenario(2)),
        spec("er", replay_batch=4),
    ],
)
def test_what_changes_a_step_is_measured_by_itself(other: Any, slow: list[str]) -> None:
    found = forecast([spec("finetune"), spec("er"), spec("joint"), other], threads=1)
    assert (found.likened, found.left_out) == (0, 1)


def test_a_method_that_tells_nothing_of_its_needs_is_of_no_kin(
    slow: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(part: Any) -> Any:
        if isinstance(part, REGISTRY["derpp"]):
            raise RuntimeError("asked too early")
        return [] if isinstance(part, REGISTRY["lwf"]) else structure(part)  # what has no hash

    structure = module.structure
    specs = [spec(key, mask=mask) for key in ("er", "derpp", "lwf") for mask in (Mask(leak=0.1), Mask(value=-1.0))]
    monkeypatch.setattr(module, "structure", odd)
    found = forecast(specs, threads=1)
    assert slow == ["er seed 0", "derpp seed 0", "derpp seed 0"]
    assert (found.structures, found.likened, found.left_out) == (6, 1, 2)


def test_memories_that_are_gone_through_whole_are_measured_by_size(slow: list[str]) -> None:
    sizes = (8, 9, 10, 11)
    found = forecast([spec("gdumb", memory=MemoryConfig(size=size)) for size in sizes], threads=1)
    assert (found.likened, found.left_out) == (0, 1)


def test_what_a_short_look_cannot_tell_is_not_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = spec("er", tasks=IMAGES, network=ConvNet(hidden=(4,)))
    compiled = replace(compiled, training=replace(compiled.training, compile=True))
    found = forecast([compiled, spec("finetune")], threads=1)
    assert sorted(one.seconds is None for one in found.groups) == [False, True]
    assert found.seconds is None


@dataclass(frozen=True, kw_only=True)
class Expectant(Method):
    """Counts on what it left in the state when the first task ended."""

    key: ClassVar[str] = "expectant"
    title: ClassVar[str] = "Expectant"

    @property
    def needs(self) -> Needs:
        return Needs()

    def loss(self, step: Step) -> torch.Tensor:
        if not step.current.reshape(-1)[0]:  # class 0 is of the first task
            raise RuntimeError("no task has ended")
        return step.split(self.losses(step))[0].mean(-1)


def test_a_method_that_counts_on_a_tasks_end_is_not_estimated_and_nothing_fails() -> None:
    found = forecast([replace(spec("finetune"), method=Expectant())], threads=1)
    assert found.seconds is None
    assert found.num_bytes > 0


def test_an_estimate_changes_nothing() -> None:
    specs = [spec("derpp", seed=seed) for seed in range(2)]
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    alone = run_population(specs, threads=1)
    forecast(specs, threads=1)
    after = run_population(specs, threads=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    for mine, other in zip(alone, after, strict=True):
        assert np.array_equal(mine.confidence, other.confidence, equal_nan=True)


def test_nothing_to_run_takes_nothing() -> None:
    found = forecast([])
    assert (found.crews, found.seconds, found.num_bytes, found.structures) == ((), 0, 0, 0)
