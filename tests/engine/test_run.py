from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine.small import scenario, spec

from maskcl import class_incremental
from maskcl.engine import Outcome, run_population
from maskcl.engine.auto import Choice, choose
from maskcl.engine.evaluate import load_data
from maskcl.engine.resources import available_bytes, free_cores, member_bytes
from maskcl.errors import ConfigError
from maskcl.mask import Mask

MIXED = [
    spec("er", seed=0), spec("finetune", seed=1), spec("er", seed=2, optimizer={"lr": 0.05}), spec("joint", seed=0),
    spec("derpp", seed=3, mask=Mask(value=-2)), spec("derpp", seed=4, mask=Mask(value=1.5)), spec("er", seed=5),
]  # fmt: skip


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
    assert set(outcome.executor) == {"name", "group_size", "threads", "workers", "reason"}


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


def test_a_measurement_chooses_says_why_and_changes_no_result() -> None:
    specs = [spec("er", seed=k) for k in range(4)]
    for outcome, asked in zip(
        run_population(specs, threads=1), run_population(specs, executor="loop", threads=1), strict=True
    ):
        assert "is fastest: loop" in outcome.executor["reason"]
        assert asked.executor["reason"] == "asked for"
        assert asked.executor["name"] == "loop"
        _equal(outcome, asked)
    assert run_population(specs[:1], threads=1)[0].executor["reason"] == "a single run"


def test_populations_are_cut_to_the_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [spec("er", seed=k) for k in range(8)]
    need = member_bytes(specs[0])
    for members, expected in ((1, 1), (3, 3), (1000, 8)):
        monkeypatch.setattr("maskcl.engine.auto.available_bytes", lambda members=members: int(2.01 * members * need))
        choice = choose(specs, load_data(specs[0]), executor="stack", group_size=8, workers=1)
        assert choice.group_size == expected
    monkeypatch.setattr("maskcl.engine.auto.available_bytes", lambda: need)
    choice = choose(specs, load_data(specs[0]), executor="auto", group_size=None, workers=1)
    assert choice == Choice(False, 1, "two members do not fit in memory")


def test_no_worker_idles_while_runs_could_be_shared() -> None:
    specs = [spec("er", seed=k) for k in range(6)]
    assert choose(specs, load_data(specs[0]), executor="stack", group_size=None, workers=2).group_size == 3


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
