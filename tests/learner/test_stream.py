"""Steps of a stream: what enters the memory, what is drawn, what is learnt; and that a seed says it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskcl import Learner
from maskcl.errors import ConfigError, DataError

MLP = {"name": "mlp", "hidden": [16]}
STREAM = {"network": MLP, "method": {"name": "er", "replay_batch": 4}, "batch_size": 1, "lr": 0.05}


def rows(count: int, *, seed: int = 0, classes: int = 4, shape: tuple[int, ...] = (8,)) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    inputs = rng.random((count, *shape), np.float32)
    inputs.reshape(count, -1)[np.arange(count), labels] += 2
    return inputs, labels


def weights(learner: Learner) -> list[torch.Tensor]:
    return list(learner.network_.state_dict().values())


def same(one: Learner, other: Learner) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def fed(learner: Learner, inputs: Any, labels: Any, size: int = 1) -> Learner:
    for start in range(0, len(labels), size):
        learner.partial_fit(inputs[start : start + size], labels[start : start + size])
    return learner


def test_a_step_is_one_step_of_plain_sgd_on_the_new_row_and_the_drawn_ones() -> None:
    inputs, labels = rows(40)
    learner = fed(Learner(**STREAM, memory=10, classes=range(4), input_range=(0, 3)), inputs[:-1], labels[:-1])
    stream, plans = learner._core.stream, []
    run = stream.trainer.run_one
    stream.trainer.run_one = lambda plan: (plans.append(plan), run(plan))[1]  # type: ignore[method-assign, func-returns-value]
    before, slots, kinds = learner.network_, learner._core.slots.copy(), learner._core.state.memories[0].labels.copy()
    learner.partial_fit(inputs[-1:], labels[-1:])
    (plan,) = plans
    picks = plan.rows[1:].numpy()
    assert len(set(picks)) == 4, "a draw has no row twice"
    x = torch.from_numpy(np.concatenate([inputs[-1:], slots[picks]]))
    y = torch.from_numpy(np.concatenate([labels[-1:], kinds[picks]]))
    assert torch.equal(plan.labels, y)
    torch.nn.functional.cross_entropy(before(x), y).backward()
    for old, new in zip(before.parameters(), learner.network_.parameters(), strict=True):
        assert torch.allclose(new, old - 0.05 * old.grad, atol=1e-7)


@pytest.mark.parametrize("size", [1, 3])
def test_the_memory_is_a_uniform_sample_of_the_stream_so_far(size: int) -> None:
    inputs, labels = rows(30)
    kept = np.zeros(30)
    for seed in range(40):
        learner = fed(
            Learner(**{**STREAM, "batch_size": size}, memory=6, classes=range(4), seed=seed), inputs, labels, size
        )
        memory, slots = learner._core.state.memories[0], learner._core.slots
        assert memory is not None
        found = [int(np.flatnonzero((inputs == row).all(1))[0]) for row in slots]
        assert len(set(found)) == 6
        assert memory.labels.tolist() == labels[found].tolist()
        assert memory.rows.tolist() == list(range(6))
        assert (memory.num_seen, memory.class_counts.tolist()) == (30, np.bincount(labels, minlength=4).tolist())
        kept[found] += 1
    expected = 40 * 6 / 30
    assert ((kept - expected) ** 2 / expected).sum() < 58, "chi square of 29 degrees, one in a thousand"


def test_every_slot_is_drawn_alike() -> None:
    inputs, labels = rows(20)
    learner = fed(Learner(**STREAM, memory=20, classes=range(4), input_range=(0, 3)), inputs, labels)
    stream, counts = learner._core.stream, np.zeros(20)
    run = stream.trainer.run_one
    stream.trainer.run_one = lambda plan: (np.add.at(counts, plan.rows[1:].numpy(), 1), run(plan))[1]  # type: ignore[method-assign, func-returns-value]
    fed(learner, *rows(400, seed=1))
    assert counts.sum() == 1600
    assert ((counts - 80) ** 2 / 80).sum() < 44, "chi square of 19 degrees, one in a thousand"


@pytest.mark.parametrize("method", ["er", "derpp", "er_ace", "agem", "mir"])
@pytest.mark.parametrize("policy", ["reservoir", "ring", "class_balanced"])
def test_the_same_stream_gives_the_same_weights(method: str, policy: str) -> None:
    def made(seed: int) -> Learner:
        settings = {**STREAM, "method": method, "batch_size": 5}
        learner = Learner(**settings, memory={"size": 12, "policy": policy}, classes=range(4), seed=seed)
        return fed(learner, *rows(60), size=5)

    first = made(0)
    assert same(first, made(0))
    assert not same(first, made(1))


@pytest.mark.parametrize("method", ["er", "derpp"])
def test_a_stream_goes_on_from_a_file_as_if_it_had_not_stopped(method: str, tmp_path: Path) -> None:
    inputs, labels = rows(60)
    mask = {"leak": 0.1, "policy": "recent", "recent_rows": 8}
    settings = {**STREAM, "method": method, "batch_size": 2, "mask": mask}
    whole = fed(Learner(**settings, memory=10, classes=range(4)), inputs, labels, 2)
    half = fed(Learner(**settings, memory=10, classes=range(4)), inputs[:30], labels[:30], 2)
    half.save(tmp_path / "half")
    assert same(fed(Learner.load(tmp_path / "half"), inputs[30:], labels[30:], 2), whole)
    assert not same(half, whole), "the one that was saved stays where it was"


def test_a_batch_is_cut_into_steps_of_the_batch_size() -> None:
    inputs, labels = rows(24)
    one, other = (Learner(**{**STREAM, "batch_size": 4}, memory=10, classes=range(4)) for _ in range(2))
    assert same(one.partial_fit(inputs, labels), fed(other, inputs, labels, 4))
    assert int(one._core.state.steps[0]) == 6


def test_a_fit_after_a_stream_leaves_the_streams_rows_in_the_memory() -> None:
    inputs, labels = rows(40)
    learner = fed(Learner(**STREAM, memory=10, classes=range(6)), inputs, labels)
    new, kinds = rows(6, seed=5)
    learner.fit(new, kinds + 2)
    for row in learner._core.slots:
        assert (np.concatenate([inputs, new]) == row).all(1).any()
    fed(learner, inputs, labels)
    assert learner.score(inputs, labels) > 0.8


@pytest.mark.parametrize("policy", [{"policy": "batch"}, {"policy": "recent", "recent_rows": 6}])
def test_the_mask_goes_by_the_rows_of_the_stream(policy: Any) -> None:
    inputs, labels = rows(6, classes=2)
    settings = {**STREAM, "memory": 0, "method": "finetune", "batch_size": 6, "classes": range(4)}
    learner = Learner(**settings, mask={"value": -np.inf, **policy}).partial_fit(inputs, labels)
    before = learner.network_[-1].weight.clone()  # type: ignore[index]
    learner.partial_fit(inputs, labels)
    after = learner.network_[-1].weight  # type: ignore[index]
    assert torch.equal(after[2:], before[2:])
    assert not torch.equal(after[:2], before[:2])


def test_a_mask_from_counts_goes_by_the_last_rows_and_the_slots() -> None:
    """A window of 6 rows, 10 slots; at each step the larger of both, this step's rows in the window alone."""
    inputs, labels = rows(60)
    labels[:20] %= 2
    mask = {"leak": "auto", "policy": "recent", "recent_rows": 6}
    settings = {**STREAM, "batch_size": 2, "classes": range(5), "mask": mask}
    learner, looked_at = Learner(**settings, memory=10).partial_fit(inputs[:2], labels[:2]), 0
    for start in range(2, 60, 2):
        kept = learner._core.state.memories[0].labels.copy()
        trainer, plans = learner._core.stream.trainer, []
        run = type(trainer).run_one.__get__(trainer)
        trainer.run_one = lambda plan, run=run, plans=plans: (plans.append(plan), run(plan))[1]  # type: ignore[method-assign, func-returns-value, misc]
        fed(learner, inputs[start : start + 2], labels[start : start + 2], 2)
        if len(plans) == 0:  # a new class came, and the stream was made anew
            continue
        looked_at += 1
        last = np.bincount(labels[max(0, start - 4) : start + 2], minlength=5)
        counts = np.maximum(last, np.bincount(kept[kept >= 0], minlength=5)).clip(min=1)
        np.testing.assert_allclose(plans.pop().prior.exp().numpy(), [counts / counts.max()], rtol=1e-5)
    assert looked_at > 10


def test_what_needs_tasks_that_end_is_refused_whenever_it_is_met() -> None:
    learner = Learner(**STREAM, memory=10, mask={"leak": 0.1})
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"mask\.policy: must be 'batch' or 'recent' in a stream without tasks"):
            learner.partial_fit(*rows(4))
    with pytest.raises(ConfigError, match=r"mask\.policy: must be 'recent' in a stream without tasks, got 'task'"):
        Learner(**STREAM, memory=10, mask={"leak": "auto"}).partial_fit(*rows(4))
    learner.fit(*rows(40))
    with pytest.raises(ConfigError, match=r"in a stream without tasks"):
        learner.partial_fit(*rows(4))


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        (np.zeros((1, 7), np.float32), [0], "X has 7 features, but Learner is expecting 8 features as input."),
        (np.zeros((1, 8, 1), np.float32), [0], "must have the shape of the first fit's rows, [8], got [8, 1]."),
        (np.full((1, 8), np.nan, np.float32), [0], "must be finite in float32, and row 0 has NaN or inf."),
        (np.full((1, 8), 1e300), [0], "must be finite in float32, and row 0 has NaN or inf."),
        (np.zeros((1, 8), np.float32), [0, 1], "must be one for each of the 1 rows, got 2."),
        (np.zeros((0, 8), np.float32), [], "must have rows, and has 0."),
        (np.zeros(8, np.float32), [0], "must have shape [rows, ...], got (8,).\nhint: one row has shape [1, ...]"),
        (np.zeros((1, 8), np.float32), [[0, 1]], "must be hashable labels that equal themselves, got [0, 1]."),
        (np.zeros((1, 8), np.float32), np.array([[0, 1]]), "must have one label a row, shape [n], got (1, 2)."),
        (np.zeros((1, 8), np.complex64), [0], "Complex data not supported"),
    ],
)
def test_bad_rows_are_refused_and_change_nothing(inputs: Any, labels: Any, words: str) -> None:
    learner = fed(Learner(**STREAM, memory=10, classes=range(4)), *rows(20))
    before = weights(learner)
    with pytest.raises(DataError) as caught:
        learner.partial_fit(inputs, labels)
    assert words in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(learner), strict=True))


def test_a_loss_that_runs_away_is_told() -> None:
    learner = Learner(**{**STREAM, "lr": 1e30}, memory=10, classes=range(4))
    with pytest.raises(DataError, match=r"Learner\.partial_fit: must leave weights that are finite, and so are"):
        fed(learner, *rows(20))


def test_inputs_are_not_changed_and_may_be_reused() -> None:
    inputs, labels = rows(20)
    room, kept = np.empty((1, 8), np.float32), inputs.copy()
    one, other = (Learner(**STREAM, memory=10, classes=range(4)) for _ in range(2))
    for x, y in zip(inputs, labels, strict=True):
        room[0] = x
        one.partial_fit(room, y[None])
    assert same(one, fed(other, inputs, labels))
    assert np.array_equal(inputs, kept)
