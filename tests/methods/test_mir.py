from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import LN2, LN3, active, gradient, logs, step
from engine.small import scenario, spec
from torch import Tensor
from torch.func import functional_call
from whole_runs import assert_stack_is_loop, record

from maskcl.cfgm import Cfgm
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Draw, find
from maskcl.networks import ConvNet
from maskcl.schedule import Schedule

# p(y) of four candidates: 1/8 -> 1/8 (hard, unharmed), 1/2 -> 1/8, 1/4 -> 1/2 (helped), 3/4 -> 3/8
BEFORE = logs([1, 7], [2, 2], [1, 3], [3, 1])
AFTER = logs([1, 7], [1, 7], [2, 2], [3, 5])
LABELS = torch.tensor([0, 0, 0, 0])  # losses rise by 0, 2 ln 2, -ln 2 and ln 2

# one stream row with p(y) = 1/2, two memory rows with p(y) = 1/4 and 1/8
LOGITS, CLASSES = logs([1, 1, 2], [1, 2, 1], [5, 1, 2]), [2, 0, 1]
STEP = step(LOGITS, CLASSES, 1, 2)


def test_it_selects_the_rows_whose_loss_rises_most_not_those_whose_loss_is_largest() -> None:
    for size, expected in ((1, [1]), (2, [1, 3]), (3, [1, 3, 0])):
        found = find("mir")(replay_batch=size).select(BEFORE, AFTER, LABELS)
        assert found.tolist() == expected


def test_the_rise_is_of_the_rows_own_label() -> None:
    found = find("mir")(replay_batch=1).select(BEFORE, AFTER, torch.tensor([1, 1, 1, 1]))
    assert found.tolist() == [2]  # p(1): 7/8 -> 7/8, 1/2 -> 7/8, 3/4 -> 1/2, 1/4 -> 5/8


def test_each_member_selects_for_itself() -> None:
    before, after = (torch.stack([rows, rows.flip(0)]) for rows in (BEFORE, AFTER))
    found = find("mir")(replay_batch=2).select(before, after, torch.zeros(2, 4, dtype=torch.int64))
    assert found.tolist() == [[1, 3], [2, 0]]


def test_one_step_is_the_sum_of_two_means() -> None:
    method = find("mir")()
    assert method.loss(STEP).item() == pytest.approx(LN2 + (2 + 3) * LN2 / 2)
    grad = gradient(method, STEP)
    assert grad[0].tolist() == pytest.approx([1 / 4, 1 / 4, -1 / 2])
    assert grad[2].tolist() == pytest.approx([5 / 16, -7 / 16, 2 / 16])


def test_without_memory_rows_it_is_fine_tuning() -> None:
    assert find("mir")().loss(step(LOGITS[:1], [2], 1)).item() == pytest.approx(LN2)


def test_memory_rows_are_not_masked() -> None:
    one = step(LOGITS, CLASSES, 1, 2, active=active([0, 1, 1], [1, 1, 1], [1, 1, 1]))
    assert find("mir")(mask=Mask(value=-math.inf)).loss(one).item() == pytest.approx((LN3 - LN2) + 5 * LN2 / 2)


def test_it_asks_for_candidates_of_earlier_tasks() -> None:
    needs = find("mir")(replay_batch=3, candidates=7).needs
    assert needs.draws == (Draw(3, candidates=7, classes="old"),)
    assert needs.replay_from_task == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"replay_batch": 0}, "method.replay_batch: must be a whole number, 1 or more, got 0"),
        ({"candidates": 2.5}, "method.candidates: must be a whole number, 1 or more, got 2.5"),
        ({"candidates": 9}, "method.candidates: must be replay_batch, 10, or more, got 9"),
        ({"replay_from_task": -1}, "method.replay_from_task: must be a whole number, 0 or more, got -1"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("mir")(**options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask": Mask(value=-math.inf)},
        {"optimizer": {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2}},
        {"optimizer": {"lr": 1.0}, "training": {"schedule": Schedule(name="cosine", final=0.1)}},
    ],
    ids=["plain", "masked", "momentum", "schedule"],
)
def test_a_whole_run_is_that_of_plain_pytorch(options: dict[str, Any]) -> None:
    """The virtual step is plain SGD on the stream's loss; candidates are judged by a second network that made it."""
    run = record(spec("mir", replay_batch=3, candidates=6, **options))
    network, o, mask = run.network(), run.spec.optimizer, run.spec.method.mask
    optimizer = torch.optim.SGD(network.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay)
    chosen_early = 0
    for task, steps in enumerate(run.steps):
        tasks = run.spec.scenario.tasks
        old, others = {c for classes in tasks[:task] for c in classes}, sorted(set(range(6)) - set(tasks[task]))
        for one in steps:
            loss = _stream_loss(network(run.inputs[one.stream]), run.labels[one.stream], others if mask else [])
            assert len(one.drawn) == (task > 0)
            if one.drawn:
                rows = torch.from_numpy(one.drawn[0])
                assert set(run.labels[rows].tolist()) <= old
                params = dict(network.named_parameters())
                grads = torch.autograd.grad(loss, list(params.values()), retain_graph=True)
                moved = {n: p - o.lr * one.rate * g for (n, p), g in zip(params.items(), grads, strict=True)}
                x, y = run.inputs[rows], run.labels[rows]
                worse = F.cross_entropy(functional_call(network, moved, (x,)), y, reduction="none")
                rise = (worse - F.cross_entropy(network(x), y, reduction="none")).tolist()
                best = sorted(range(6), key=rise.__getitem__)[-3:]
                chosen_early += sorted(best) == [0, 1, 2]
                loss = loss + F.cross_entropy(network(x[best]), y[best])
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] = o.lr * one.rate
            optimizer.step()
    assert chosen_early < sum(map(len, run.steps[1:])) / 2
    for mine, theirs in zip(run.weights, network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-9)


def _stream_loss(logits: Tensor, labels: Tensor, removed: list[int]) -> Tensor:
    logits = logits.clone()
    logits[:, removed] = -math.inf
    return F.cross_entropy(logits, labels)


def test_with_as_many_candidates_as_replayed_rows_it_is_er_with_the_sum_of_two_means() -> None:
    """Where the memory holds old rows alone: in the second of two tasks, with herding."""
    memory, tasks = MemoryConfig(size=12, policy="herding"), scenario(2)
    mir = record(spec("mir", replay_batch=3, candidates=3, memory=memory, tasks=tasks))
    er = record(spec("er", replay_batch=3, reduction="sum", memory=memory, tasks=tasks))
    for one, other in zip(mir.steps[1], er.steps[1], strict=True):
        assert one.stream.tolist() == other.stream.tolist()
        assert len(one.drawn) == len(other.drawn) == 1
    plain = [run.network() for run in (mir, er)]
    for run, network in zip((mir, er), plain, strict=True):
        for one in [one for steps in run.steps for one in steps]:
            rows = [torch.from_numpy(each) for each in (one.stream, *one.drawn)]
            loss = sum(F.cross_entropy(network(run.inputs[each]), run.labels[each]) for each in rows)
            for p, g in zip(network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True):
                p.data -= 0.1 * g
        for mine, theirs in zip(run.weights, network.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-9)


def test_the_virtual_step_moves_neither_weights_nor_batch_norms_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection that is made the same whatever it is shown leaves a run as if nothing had been looked at."""
    kind, tasks = find("mir"), scenario(2, rows=8, shape=(3, 32, 32), classes=4)
    shown: list[tuple[Tensor, Tensor]] = []

    def first(method: Any, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
        shown.append((before, after))
        return torch.arange(3)

    monkeypatch.setattr(kind, "select", first)
    options: dict[str, Any] = {"tasks": tasks, "network": ConvNet(hidden=(4, 6)), "replay_batch": 3}
    looked = record(spec("mir", candidates=3, **options))
    assert shown
    assert all(not torch.equal(before, after) for before, after in shown)
    seen: list[int] = []
    monkeypatch.setattr("maskcl.engine.training.TaskTraining._select", lambda self, s, x: seen.append(1) or (s, x))
    plain = record(spec("mir", candidates=3, **options))
    assert len(seen) == len(shown)
    state = [run.population.model.weights for run in (looked, plain)]
    for name, tensor in (state[0].params | state[0].buffers).items():
        assert torch.equal(tensor, (state[1].params | state[1].buffers)[name]), name


MASKS = {"none": [None] * 3, "leak": [Mask(leak=w) for w in (0.01, 0.1, 0.5)], "minus inf": [Mask(value=-math.inf)] * 3}
CFGMS = {
    "separate": [Cfgm(step=s, weight=w) for s, w in ((0.5, 1.0), (1.0, 0.5), (2.0, 2.0))],
    "joint": [Cfgm(step=s, update="joint") for s in (0.5, 1.0, 2.0)],
}


@pytest.mark.parametrize("optimizer", [{}, {"momentum": 0.9, "weight_decay": 1e-2}], ids=["sgd", "momentum"])
@pytest.mark.parametrize("mask", MASKS)
def test_a_stack_is_its_members_one_by_one(mask: str, optimizer: dict[str, float]) -> None:
    rates = (0.02, 0.05, 0.1)
    assert_stack_is_loop(
        [
            spec("mir", seed=k, mask=MASKS[mask][k], candidates=7, optimizer=optimizer | {"lr": rates[k]})
            for k in range(3)
        ]
    )


@pytest.mark.parametrize("cfgm", CFGMS)
def test_a_stack_is_its_members_with_cfgm(cfgm: str) -> None:
    assert_stack_is_loop([spec("mir", seed=k, cfgm=CFGMS[cfgm][k], mask=Mask(leak=0.1)) for k in range(3)])
