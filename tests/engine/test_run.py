from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from engine.small import scenario, spec

from maskcl import class_incremental
from maskcl.engine import Outcome, run_population
from maskcl.engine.auto import Choice, choose
from maskcl.engine.resources import check_fits, member_bytes
from maskcl.errors import ConfigError
from maskcl.machine import available_bytes, free_cores
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.networks import ConvNet, Mlp

MIXED = [
    spec("er", seed=0), spec("finetune", seed=1), spec("er", seed=2, optimizer={"lr": 0.05}), spec("joint", seed=0),
    spec("derpp", seed=3, mask=Mask(value=-2)), spec("derpp", seed=4, mask=Mask(value=1.5)), spec("er", seed=5),
]  # fmt: skip

IMAGES = scenario(2, rows=8, shape=(3, 8, 8), classes=4)


def _equal(first: Outcome, second: Outcome, *, atol: float = 1e-8) -> None:
    for name in ("class_incremental", "task_incremental", "confidence", "newest_share"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=atol, err_msg=name)


def test_anything_may_be_run_together_and_comes_back_in_order() -> None:
    outcomes = run_population(MIXED, executor="stack", threads=1)
    assert [outcome.spec for outcome in outcomes] == MIXED
    for outcome, one in zip(outcomes, MIXED, strict=True):
        assert outcome.status == "finished"
        assert outcome.diverged is None
        _equal(outcome, run_population([one], executor="loop", threads=1)[0])


@pytest.mark.parametrize("group_size", [1, 2, 4])
def test_group_size_bounds_populations_and_changes_no_result(group_size: int) -> None:
    specs = [spec("derpp", seed=k, mask=Mask(leak=0.1 * (k + 1))) for k in range(5)]
    together = run_population(specs, executor="stack", group_size=5, threads=1)
    parts = run_population(specs, executor="stack", group_size=group_size, threads=1)
    assert {outcome.executor["group_size"] for outcome in together} == {5}
    assert max(outcome.executor["group_size"] for outcome in parts) <= group_size
    for mine, other in zip(parts, together, strict=True):
        _equal(mine, other)


def test_outcomes_and_progress_are_told_once_each() -> None:
    told: list[Outcome] = []
    progress: list[float] = []
    outcomes = run_population(MIXED, executor="stack", threads=1, on_progress=progress.append, on_outcome=told.append)
    assert {id(outcome) for outcome in told} == {id(outcome) for outcome in outcomes}
    assert len(told) == len(MIXED)
    assert sum(progress) == pytest.approx(len(MIXED))
    assert min(progress) >= 0


def test_a_diverged_run_is_named_with_its_task_and_counts_as_done() -> None:
    told: list[Outcome] = []
    progress: list[float] = []
    rates = (0.1, 1e200, 0.05)
    specs = [spec("er", seed=k, optimizer={"lr": lr}) for k, lr in enumerate(rates)]
    outcomes = run_population(specs, executor="stack", threads=1, on_progress=progress.append, on_outcome=told.append)
    assert [outcome.status for outcome in outcomes] == ["finished", "diverged", "finished"]
    assert outcomes[1].diverged == {"task": 0, "reason": "its loss or its weights are not finite"}
    assert np.isnan(outcomes[1].class_incremental).all()
    assert told[0] is outcomes[1]
    assert sum(progress) == pytest.approx(3)
    for k in (0, 2):
        _equal(outcomes[k], run_population([specs[k]], executor="loop", threads=1)[0])


def test_a_population_that_diverges_whole_ends() -> None:
    specs = [spec("er", seed=k, optimizer={"lr": 1e200}) for k in range(2)]
    for executor in ("stack", "loop"):
        outcomes = run_population(specs, executor=executor, threads=1)
        assert [outcome.status for outcome in outcomes] == ["diverged", "diverged"]


def test_matrices_are_complete_and_the_untrained_network_is_there() -> None:
    outcome = run_population([spec("er")], threads=1)[0]
    for name in ("class_incremental", "task_incremental", "confidence"):
        matrix = getattr(outcome, name)
        assert matrix.shape == (3, 3)
        assert ((matrix >= 0) & (matrix <= 1)).all()
    assert (outcome.task_incremental >= outcome.class_incremental).all()
    assert ((outcome.newest_share >= 0) & (outcome.newest_share <= 1)).all()
    assert set(outcome.untrained) == {"class_incremental", "task_incremental"}
    assert all(values.shape == (3,) for values in outcome.untrained.values())
    assert outcome.anytime is None
    assert outcome.seconds > 0
    assert set(outcome.timings) == {"planning", "training", "evaluation"}
    assert set(outcome.executor) == {"name", "group_size", "threads", "workers", "reason", "device"}


def test_joint_training_fills_the_last_row_alone() -> None:
    matrix = run_population([spec("joint")], threads=1)[0].class_incremental
    assert np.isnan(matrix[:2]).all()
    assert np.isfinite(matrix[2]).all()


def test_anytime_evaluation_is_of_every_member() -> None:
    specs = [spec("er", seed=k, training={"evaluate_every": 4}) for k in range(2)]
    for outcome in run_population(specs, executor="stack", threads=1):
        assert outcome.anytime is not None
        assert outcome.anytime["step"].tolist() == [4, 8, 12, 16, 20]
        assert outcome.anytime["task"].tolist() == [0, 1, 1, 2, 2]
        assert outcome.anytime["class_incremental"].shape == outcome.anytime["confidence"].shape == (5, 3)
        alone = run_population([outcome.spec], executor="loop", threads=1)[0]
        assert alone.anytime is not None
        np.testing.assert_allclose(outcome.anytime["confidence"], alone.anytime["confidence"], atol=1e-8)
        plain = run_population([spec("er", seed=outcome.spec.seeds.sampling)], executor="loop", threads=1)[0]
        _equal(outcome, plain)  # looking changes nothing


def test_unequal_tasks_one_task_and_many_tasks() -> None:
    data = scenario(classes=12, rows=5).dataset
    unequal = class_incremental(data, task_sizes=[7, 1, 4])
    whole = class_incremental(data, num_tasks=1)
    many = class_incremental(data, num_tasks=12)
    specs = [spec("derpp", tasks=tasks, mask=Mask(leak=0.1)) for tasks in (unequal, whole, many)]
    for outcome, size in zip(run_population(specs, threads=1), (3, 1, 12), strict=True):
        assert outcome.class_incremental.shape == (size, size)
        assert np.isfinite(outcome.class_incremental).all()


def test_several_workers_give_the_same_results_and_leave_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    alone, together = (run_population(MIXED, executor="stack", threads=threads) for threads in (1, 2))
    for mine, other in zip(together, alone, strict=True):
        _equal(mine, other)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_callback_stops_the_run_and_is_raised(threads: int) -> None:
    def fail(outcome: Outcome) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_population(MIXED, executor="stack", threads=threads, on_outcome=fail)


def test_a_rule_chooses_says_why_and_changes_no_result() -> None:
    specs = [spec("er", seed=k) for k in range(4)]
    for outcome, asked in zip(
        run_population(specs, threads=1), run_population(specs, executor="loop", threads=1), strict=True
    ):
        assert outcome.executor["name"] == "stack"
        assert outcome.executor["group_size"] == 4
        assert outcome.executor["reason"] == "networks without convolutions are stacked"
        assert asked.executor["reason"] == "asked for"
        assert asked.executor["name"] == "loop"
        assert asked.executor["group_size"] == 1
        _equal(outcome, asked)


def test_the_rule_looks_at_the_network_and_not_at_how_many_runs_there_are() -> None:
    mlp = [spec("er", seed=k) for k in range(3)]
    convnet = [spec("er", seed=k, tasks=IMAGES, network=ConvNet(hidden=(4,))) for k in range(3)]
    for count in (1, 2, 3):
        stacked = choose(mlp[:count], executor="auto", group_size=None, workers=1)
        assert stacked == Choice(True, count, "networks without convolutions are stacked")
        looped = choose(convnet[:count], executor="auto", group_size=None, workers=1)
        assert looped == Choice(False, 1, "networks with convolutions run one by one")
        asked = choose(convnet[:count], executor="stack", group_size=None, workers=1)
        assert asked == Choice(True, count, "asked for")
    assert choose(mlp, executor="loop", group_size=None, workers=1) == Choice(False, 1, "asked for")
    (outcome,) = run_population(mlp[:1], threads=1)
    assert (outcome.executor["name"], outcome.executor["group_size"]) == ("stack", 1)
    (outcome,) = run_population(convnet[:1], threads=1)
    assert (outcome.executor["name"], outcome.executor["group_size"]) == ("loop", 1)
    assert outcome.executor["reason"] == "networks with convolutions run one by one"


def test_populations_are_cut_to_the_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [spec("er", seed=k) for k in range(8)]
    need = member_bytes(specs[0])
    for members, expected in ((1, 1), (3, 3), (1000, 8)):
        monkeypatch.setattr("maskcl.engine.auto.free_bytes", lambda device, members=members: int(2.01 * members * need))
        choice = choose(specs, executor="stack", group_size=8, workers=1)
        assert choice.group_size == expected
        assert choice.reason == ("asked for" if expected == 8 else f"asked for, {expected} members fit in memory")
    monkeypatch.setattr("maskcl.engine.auto.free_bytes", lambda device: need)
    choice = choose(specs, executor="auto", group_size=None, workers=1)
    assert choice == Choice(True, 1, "networks without convolutions are stacked, 1 members fit in memory")
    monkeypatch.setattr("maskcl.engine.auto.free_bytes", lambda device: int(2.01 * 6 * need))
    assert choose(specs, executor="stack", group_size=8, workers=2).group_size == 3  # they share the memory


def test_no_worker_idles_while_runs_could_be_shared() -> None:
    specs = [spec("er", seed=k) for k in range(6)]
    for executor in ("stack", "auto"):
        assert choose(specs, executor=executor, group_size=None, workers=2).group_size == 3
    many = [spec("er", seed=k) for k in range(40)]
    assert choose(many, executor="auto", group_size=None, workers=1).group_size == 16


TOO_LARGE: dict[str, tuple[dict[str, Any], str]] = {
    "network": ({"network": Mlp(hidden=(10**9,))}, "network of 14,000,000,006 parameters"),
    "epochs": ({"training": {"epochs": 10**12}}, "training.epochs"),
    "replay batch": ({"replay_batch": 10**9}, "method.replay_batch"),
    "both draws": ({"method": "derpp", "replay_batch": 10**9}, "method.replay_batch"),
    "memory": ({"memory": MemoryConfig(size=10**14)}, "memory.size"),
    "stored logits": ({"method": "derpp", "memory": MemoryConfig(size=10**9)}, "memory.size"),
}


@pytest.mark.parametrize("executor", ["auto", "stack", "loop"])
@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_cannot_fit_is_refused_before_anything_is_allocated(
    case: str, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("something was made")

    monkeypatch.setattr("maskcl.engine.resources.free_bytes", lambda device: 10**10)
    for name in ("groups.Data", "group.Population"):
        monkeypatch.setattr(f"maskcl.engine.{name}", never)
    torch.ones(1, device="meta").add(1)  # PyTorch's first computation there imports its compiler
    began = time.process_time()
    specs = [spec("er"), spec(**({"method": "er"} | TOO_LARGE[case][0]))]
    with pytest.raises(ConfigError, match=r"must fit into the 10 GB that are free, and a run needs about .* GB"):
        run_population(specs, executor=executor, threads=1)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_cannot_fit_is_named_by_its_setting(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, where = TOO_LARGE[case]
    monkeypatch.setattr("maskcl.engine.resources.free_bytes", lambda device: 10**10)
    with pytest.raises(ConfigError, match=f"^{where}: must fit into"):
        check_fits([spec(**({"method": "er"} | settings))])


@pytest.mark.parametrize(
    "settings",
    [
        {"network": Mlp(hidden=(10**11,))},
        {"training": {"epochs": 10**12}},
        {"replay_batch": 10**11},
        {"memory": MemoryConfig(size=10**14)},
    ],
    ids=["network", "epochs", "replay batch", "memory"],
)
def test_no_machine_has_that_memory(settings: dict[str, Any]) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError, match="must fit into the"):
        run_population([spec(**({"method": "er"} | settings))], threads=1)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "gdumb", "passes": 10**12},
        {"method": "scr", "projection_size": 10**12},
        {"method": "mir", "candidates": 10**12},
    ],
    ids=lambda settings: settings["method"],
)
def test_what_a_method_makes_large_is_counted_too(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes over the memory, a head's parameters, candidates of a draw."""
    monkeypatch.setattr("maskcl.engine.resources.free_bytes", lambda device: 10**10)
    with pytest.raises(ConfigError, match="must fit into the 10 GB"):
        check_fits([spec(**settings)])


def test_one_of_each_structure_is_held_against_the_memory() -> None:
    check_fits([])
    check_fits([spec("er"), spec("derpp"), spec("joint")])
    with pytest.raises(ConfigError, match=r"training\.epochs: must fit into"):
        check_fits([spec("er"), spec("finetune", training={"epochs": 10**12})])


def test_rows_that_have_to_be_copied_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU as another type; 8-bit images and float32 lie there already."""
    need, rows = member_bytes(spec("er")), spec("er").scenario
    table = 8 * (rows.dataset.train_inputs.size + rows.eval_inputs.size)
    monkeypatch.setattr("maskcl.engine.resources.free_bytes", lambda device: need + table)
    check_fits([spec("er"), spec("er", network=Mlp(hidden=(12, 12)))])
    monkeypatch.setattr("maskcl.engine.resources.free_bytes", lambda device: need + table - 1)
    with pytest.raises(ConfigError, match=r"must fit into the .* a run needs about .* GB beside .* GB of rows"):
        check_fits([spec("er")])
    check_fits([spec("er", training={"dtype": "float32"})])
    wide = scenario(3, rows=400)
    with pytest.raises(ConfigError, match=r"^scenario\.dataset 'arrays': must fit into"):
        check_fits([spec("er", tasks=wide)])


def test_what_a_member_needs_grows_with_what_it_has() -> None:
    plain = member_bytes(spec("er"))
    assert plain > 8 * (7 * 16 + 16 * 12 + 12 * 6)
    assert member_bytes(spec("derpp")) > plain
    assert member_bytes(spec("er", optimizer={"name": "adam", "lr": 0.1})) > plain
    assert member_bytes(spec("er", training={"dtype": "float32"})) < plain
    assert available_bytes() > 0
    assert free_cores() >= 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"executor": "stak"}, r"executor: must be one of auto, stack, loop, got 'stak'\. Did you mean 'stack'\?"),
        ({"group_size": 0}, "group_size: must be 1 or more, got 0"),
        ({"threads": 0}, "threads: must be 1 or more, got 0"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        run_population([spec("er")], **settings)


def test_no_runs_are_no_outcomes() -> None:
    assert run_population([]) == []
