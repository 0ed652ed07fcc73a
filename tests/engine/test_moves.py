"""How far weights move, and how high scores of the true class are: by hand, in runs, and stacked as alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from engine.small import SCENARIO, spec

from maskcl.engine import Population, run_population
from maskcl.engine.evaluate import Evaluation
from maskcl.engine.moves import EACH, shift, sketch_weights
from maskcl.engine.record import Record


def test_small_tensors_are_kept_whole_and_the_shift_is_that_of_all_weights() -> None:
    old = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([3.0])}
    new = {"a": old["a"] + 1, "b": torch.tensor([5.0])}
    before, now = sketch_weights(old), sketch_weights(new)
    assert before.tolist() == [0, 1, 2, 3, 4, 5, 3]
    assert shift(before, now) == pytest.approx((6 + 4) ** 0.5 / (55 + 9) ** 0.5)


def test_of_large_tensors_some_stand_for_all() -> None:
    generator = torch.Generator().manual_seed(0)
    old = {"a": torch.randn(300, 200, generator=generator), "b": torch.randn(50, generator=generator)}
    new = {name: t + 0.1 * torch.randn(t.shape, generator=generator) for name, t in old.items()}
    whole = [torch.cat([t.flatten() for t in tree.values()]).numpy() for tree in (old, new)]
    assert len(sketch_weights(old)) <= EACH + 50
    found = shift(sketch_weights(old), sketch_weights(new))
    assert found == pytest.approx(np.linalg.norm(whole[1] - whole[0]) / np.linalg.norm(whole[0]), rel=0.05)


@pytest.mark.parametrize(
    ("before", "now"),
    [(None, [1.0]), ([1.0], None), ([1.0], [1.0, 2.0]), ([0.0], [0.0]), ([1.0], [np.inf]), ([1.0], [np.nan])],
)
def test_what_cannot_be_told_is_no_number(before: list[float] | None, now: list[float] | None) -> None:
    old, new = (None if part is None else np.array(part, np.float32) for part in (before, now))
    assert np.isnan(shift(old, new))


def test_a_run_tells_how_far_each_task_moved_its_weights() -> None:
    """Networks of this size are kept whole, so that the numbers are those of the weights themselves."""
    one = spec("er", training={"evaluate_every": 1})
    (outcome,) = run_population([one], executor="loop", threads=1)
    population = Population([one], stacked=False)
    before = flat(population)
    for task in range(SCENARIO.num_tasks):
        population.fit_task(task)
        now = flat(population)
        far = np.linalg.norm(now - before) / np.linalg.norm(before)
        assert outcome.weight_shift[task] == pytest.approx(far, rel=1e-5)
        assert outcome.level[task] == pytest.approx(population.evaluate(task)[0].level)
        before = now
    assert outcome.anytime is not None
    last = [np.flatnonzero(outcome.anytime["task"] == t)[-1] for t in range(3)]
    assert outcome.anytime["weight_shift"][last].tolist() == outcome.weight_shift.tolist()
    assert outcome.anytime["level"][last].tolist() == outcome.level.tolist()
    first = np.flatnonzero(outcome.anytime["task"] == 1)[0]
    assert 0 < outcome.anytime["weight_shift"][first] < outcome.weight_shift[1]  # since this task began


def test_stacked_runs_move_as_far_as_alone() -> None:
    specs = [spec("derpp", seed=k, training={"evaluate_every": 4}) for k in range(3)]
    for mine in run_population(specs, executor="stack", threads=1):
        (alone,) = run_population([mine.spec], executor="loop", threads=1)
        np.testing.assert_allclose(mine.weight_shift, alone.weight_shift, rtol=1e-5)
        np.testing.assert_allclose(mine.level, alone.level, atol=1e-6)


def test_a_task_that_trains_nothing_has_no_shift() -> None:
    (outcome,) = run_population([spec("joint")], threads=1)
    assert np.isnan(outcome.weight_shift[:2]).all()
    assert outcome.weight_shift[2] > 0


def test_an_evaluation_of_an_older_checkpoint_leaves_gaps() -> None:
    one = spec("er")
    (found,) = Population([one], stacked=False).evaluate(0)
    old: Evaluation = dataclasses.replace(found, level=None, weights=None)
    content = {k: v for k, v in Record(one, old).content().items() if k not in ("weight_shift", "began_at")}
    record = Record.restored(one, content)
    record.add(0, found)
    record.add_anytime(1, 1, old)
    assert np.isnan(record.weight_shift).all()
    assert np.isnan(record.anytime[0][4]).all()
    record.add(1, found)
    assert record.weight_shift[1] == 0


def test_scores_beyond_all_measure_are_gaps() -> None:
    one = spec("er")
    (found,) = Population([one], stacked=False).evaluate(0)
    record = Record(one, found)
    record.add(0, dataclasses.replace(found, level=np.array([1.0, -np.inf, 1e300])))
    assert record.matrices["level"][0].tolist() == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)


def flat(population: Population) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in population.model.weights.params.values()]).double().numpy()
