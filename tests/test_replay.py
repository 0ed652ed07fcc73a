from __future__ import annotations

import io
import pickle

import pytest
import torch
from reference.uniformity import uniform_pvalue
from scipy import stats
from torch import Tensor

from maskcl import ReplayMemory
from maskcl.errors import ShapeError


def _rows(start: int, count: int, num_classes: int = 3) -> tuple[Tensor, Tensor]:
    """Inputs that say which row they are; labels take turns."""
    row = torch.arange(start, start + count)
    return row[:, None].float(), row % num_classes


def _filled(
    *, policy: str = "reservoir", num_classes: int | None = None, seed: int = 0, rows: int = 40
) -> ReplayMemory:
    memory = ReplayMemory(9, policy=policy, num_classes=num_classes, seed=seed)
    for start in range(0, rows, 8):
        inputs, labels = _rows(start, 8)
        memory.add(inputs, labels, logits=inputs.expand(8, 3) * 0.5)
    return memory


def _everything(memory: ReplayMemory) -> Tensor:
    return memory.draw(len(memory)).inputs[:, 0].sort().values


KINDS = [("reservoir", None), ("ring", 3), ("class_balanced", 3)]


@pytest.mark.parametrize(("policy", "num_classes"), KINDS)
def test_a_row_keeps_its_label_and_fields(policy: str, num_classes: int | None) -> None:
    replay = _filled(policy=policy, num_classes=num_classes).draw(9)
    row = replay.inputs[:, 0]
    assert torch.equal(replay.labels, row.long() % 3)
    assert torch.equal(replay.logits, (row * 0.5)[:, None].expand(9, 3))
    assert set(replay.fields) == {"logits"}


def test_draws_are_distinct_rows_while_there_are_enough() -> None:
    memory = _filled()
    for _ in range(50):
        assert len(set(memory.draw(7).inputs[:, 0].tolist())) == 7


def test_one_draw_after_the_other_is_uniform_over_the_memory() -> None:
    memory, counts = ReplayMemory(9), torch.zeros(9, dtype=torch.int64)
    memory.add(*_rows(0, 9))
    for _ in range(1000):
        counts[memory.draw(4).inputs[:, 0].long()] += 1
    assert uniform_pvalue(counts.numpy(), chosen=4, trials=1000) > 0.01


def test_the_first_rows_of_a_draw_are_as_uniform_as_all_of_it() -> None:
    """Whoever cuts a draw in two, say for two losses, must not find the classes of late slots in the second part."""
    memory, trials = ReplayMemory(50, policy="ring", num_classes=5), 2000
    memory.add(torch.arange(50.0)[:, None], torch.arange(50) // 10)
    slots, classes = torch.zeros(50).long(), torch.zeros(5).long()
    for _ in range(trials):
        replay = memory.draw(20)
        slots[replay.inputs[:10, 0].long()] += 1
        classes += torch.bincount(replay.labels[:10], minlength=5)
    assert uniform_pvalue(slots.numpy(), chosen=10, trials=trials) > 0.01
    variance = trials * 10 * 0.2 * 0.8 * 40 / 49  # 10 of 50 without replacement, 10 of each class
    spread = ((classes - trials * 2) ** 2).sum().item() / (variance * 5 / 4)
    assert stats.chi2.sf(spread, 4) > 0.01


def test_all_of_a_large_memory_can_be_drawn() -> None:
    memory = ReplayMemory(200_000)
    memory.add(torch.arange(200_000)[:, None], torch.zeros(200_000, dtype=torch.int64))
    assert torch.equal(memory.draw(200_000).inputs[:, 0].sort().values, torch.arange(200_000))


def test_draws_repeat_rows_below_the_replay_batch() -> None:
    memory = ReplayMemory(9)
    memory.add(*_rows(0, 2))
    rows = memory.draw(64).inputs[:, 0]
    assert set(rows.tolist()) == {0.0, 1.0}


def test_a_reservoir_is_uniform_over_the_stream_whatever_the_batches() -> None:
    kept = torch.zeros(30, dtype=torch.int64)
    for seed in range(1500):
        memory = ReplayMemory(6, seed=seed)
        for start, count in [(0, 4), (4, 13), (17, 1), (18, 12)]:
            memory.add(*_rows(start, count))
        kept[_everything(memory).long()] += 1
    assert uniform_pvalue(kept.numpy(), chosen=6, trials=1500) > 0.01


def test_a_ring_keeps_the_last_rows_of_each_class() -> None:
    assert _everything(_filled(policy="ring", num_classes=3)).tolist() == [31, 32, 33, 34, 35, 36, 37, 38, 39]


def test_class_balanced_slots_are_shared_equally_between_unequal_classes() -> None:
    memory = ReplayMemory(9, policy="class_balanced", num_classes=3)
    for label, count in [(0, 50), (1, 5), (2, 20)]:
        memory.add(torch.zeros(count, 1), torch.full((count,), label))
    assert torch.bincount(memory.draw(9).labels).tolist() == [3, 3, 3]


def test_the_last_of_two_rows_of_one_batch_for_one_slot_stays() -> None:
    memory = ReplayMemory(3, policy="ring", num_classes=3)
    memory.add(torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 1, 1, 2]))
    assert _everything(memory).tolist() == [2, 4, 5]


def test_fields_are_kept_without_a_graph_and_copied() -> None:
    memory = ReplayMemory(4)
    inputs, labels = _rows(0, 4)
    memory.add(inputs, labels, logits=torch.ones(4, 3, requires_grad=True) * 2)
    inputs.fill_(-1)
    replay = memory.draw(4)
    assert not replay.logits.requires_grad
    assert (replay.inputs >= 0).all()
    replay.inputs.fill_(-1)
    assert (memory.draw(4).inputs >= 0).all()


def test_bytes_are_those_of_all_slots() -> None:
    memory = ReplayMemory(10)
    assert memory.num_bytes == 0
    memory.add(torch.zeros(2, 3, 4), torch.tensor([0, 1]), logits=torch.zeros(2, 5, dtype=torch.float16))
    assert memory.num_bytes == 10 * (3 * 4 * 4 + 8 + 5 * 2)


def test_seeds_repeat_exactly_and_differ_from_each_other() -> None:
    first, again, other = _filled(seed=3), _filled(seed=3), _filled(seed=4)
    assert torch.equal(first.draw(9).inputs, again.draw(9).inputs)
    assert not torch.equal(_everything(first), _everything(other))


def test_the_global_random_state_is_neither_used_nor_moved() -> None:
    torch.manual_seed(0)
    before, first = torch.get_rng_state(), _filled()
    rows = first.draw(5).inputs
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(_filled().draw(5).inputs, rows)


@pytest.mark.parametrize(("policy", "num_classes"), KINDS)
def test_resuming_gives_the_same_draws_as_going_on(policy: str, num_classes: int | None) -> None:
    memory = _filled(policy=policy, num_classes=num_classes, seed=5)
    memory.draw(4)
    file = io.BytesIO()
    torch.save(memory.state_dict(), file)
    file.seek(0)
    resumed = ReplayMemory(9, policy=policy, num_classes=num_classes, seed=77)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for start in (40, 48):
        for each in (memory, resumed):
            inputs, labels = _rows(start, 8)
            each.add(inputs, labels, logits=inputs.expand(8, 3) * 0.5)
        assert torch.equal(memory.draw(4).inputs, resumed.draw(4).inputs)
    assert (len(resumed), resumed.num_seen) == (9, 56)


def test_a_state_is_a_copy_both_ways() -> None:
    memory, resumed = _filled(), ReplayMemory(9)
    state = memory.state_dict()
    resumed.load_state_dict(state)
    rows = _everything(memory)
    for start in range(100, 200, 8):
        inputs, labels = _rows(start, 8)
        resumed.add(inputs, labels, logits=inputs.expand(8, 3))
    assert torch.equal(_everything(memory), rows)
    assert torch.equal(state["slots"]["inputs"], memory.state_dict()["slots"]["inputs"])


def test_rows_follow_to_a_device_and_those_that_come_must_be_there() -> None:
    """On "meta", a device without values that every machine has."""
    memory = ReplayMemory(4)
    assert memory.to("meta") is memory  # nothing to move yet: rows of any device are taken
    memory.add(torch.ones(3, 2), torch.tensor([0, 1, 2]), logits=torch.ones(3, 5))
    before = memory.state_dict()
    drawn = memory.to(torch.device("meta")).draw(2)
    assert {x.device.type for x in (drawn.inputs, drawn.labels, drawn.logits)} == {"meta"}
    assert (len(memory), memory.num_bytes) == (3, 4 * (2 * 4 + 8 + 5 * 4))
    with pytest.raises(ShapeError, match=r"add: inputs: must have rows like the first call's, \[2\] float32 on meta"):
        memory.add(torch.ones(1, 2), torch.tensor([0]), logits=torch.ones(1, 5))
    memory.load_state_dict(before)
    assert torch.equal(memory.to("cpu").draw(3).inputs, torch.ones(3, 2))


def test_a_replay_pickles() -> None:
    replay = _filled().draw(3)
    assert torch.equal(pickle.loads(pickle.dumps(replay)).logits, replay.logits)


def test_an_unknown_field_is_named_with_those_that_are_there() -> None:
    with pytest.raises(AttributeError, match="no field 'logit'; there are: logits"):
        _ = _filled().draw(3).logit
