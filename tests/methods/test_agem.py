from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import LN2, LN3, active, logs, step
from engine.small import members, spec, train
from torch import Tensor
from whole_runs import assert_stack_is_loop, record

from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.methods import Draw, find

# one stream row with p(y) = 1/2, two memory rows with p(y) = 1/4 and 1/8
LOGITS, LABELS = logs([1, 1, 2], [1, 2, 1], [5, 1, 2]), [2, 0, 1]


def direction(stream: list[Any], memory: list[Any] | None) -> list[list[float]]:
    """The step's direction for gradients given by parameter, with a member dimension."""
    given = {"stream": [torch.tensor(part) for part in stream]}
    if memory is not None:
        given["memory"] = [torch.tensor(part) for part in memory]
    return [part.tolist() for part in find("agem")().direction(given, [], {})]


def test_two_means_are_told_apart() -> None:
    found = find("agem")().loss(step(LOGITS, LABELS, 1, 2))
    assert list(found) == ["stream", "memory"]
    assert found["stream"].item() == pytest.approx(LN2)
    assert found["memory"].item() == pytest.approx((2 + 3) * LN2 / 2)


def test_without_memory_rows_there_is_one_loss_and_its_gradient_is_the_direction() -> None:
    found = find("agem")().loss(step(LOGITS[:1], [2], 1))
    assert list(found) == ["stream"]
    assert found["stream"].item() == pytest.approx(LN2)
    assert direction([[[1.0, -3.0]]], None) == [[[1.0, -3.0]]]


def test_memory_rows_are_not_masked() -> None:
    one = step(LOGITS, LABELS, 1, 2, active=active([0, 1, 1], [1, 1, 1], [1, 1, 1]))
    found = find("agem")(mask=Mask(value=-math.inf)).loss(one)
    assert found["stream"].item() == pytest.approx(LN3 - LN2)
    assert found["memory"].item() == pytest.approx(5 * LN2 / 2)


def test_a_step_against_the_memory_loses_its_part_along_the_memorys_gradient() -> None:
    assert direction([[[1.0, 0.0]]], [[[-1.0, 1.0]]]) == [[[0.5, 0.5]]]
    assert direction([[[1.0, 0.0]]], [[[-4.0, 4.0]]]) == [[[0.5, 0.5]]]  # whatever its length


def test_a_step_that_helps_the_memory_is_left_alone() -> None:
    assert direction([[[1.0, 0.0]]], [[[1.0, 1.0]]]) == [[[1.0, 0.0]]]
    assert direction([[[1.0, 0.0]]], [[[0.0, 1.0]]]) == [[[1.0, 0.0]]]


def test_a_memory_without_a_gradient_asks_for_nothing() -> None:
    assert direction([[[1.0, 2.0]]], [[[0.0, 0.0]]]) == [[[1.0, 2.0]]]
    assert direction([[[0.0, 0.0]]], [[[0.0, 0.0]]]) == [[[0.0, 0.0]]]


def test_the_products_are_over_all_parameters_of_a_member() -> None:
    """g = (1, 0 | 2), r = (-1, 1 | -1): g r = -3, r r = 3; by single parameters it would be -1 / 2 and -2."""
    assert direction([[[1.0, 0.0]], [[2.0]]], [[[-1.0, 1.0]], [[-1.0]]]) == [[[0.0, 1.0]], [[1.0]]]
    # in the second parameter g and r agree, in all they do not: g r = -1 + 0.5
    found = direction([[[1.0, 0.0]], [[0.5]]], [[[-1.0, 1.0]], [[1.0]]])
    assert found[0][0] == pytest.approx([1 - 0.5 / 3, 0.5 / 3])
    assert found[1][0] == pytest.approx([0.5 + 0.5 / 3])


def test_each_member_is_projected_by_itself() -> None:
    found = direction([[[1.0, 0.0], [1.0, 0.0], [3.0, 4.0]]], [[[-1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]])
    assert found == [[[0.5, 0.5], [1.0, 0.0], [3.0, 4.0]]]


def test_what_is_left_is_at_right_angles_to_the_memorys_gradient() -> None:
    shapes = [(3, 4, 5), (3, 6)]
    rng = torch.Generator().manual_seed(0)
    stream, memory = ([torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes] for _ in range(2))
    stream = [g * torch.tensor([-1.0, 1.0, -1.0]).view(-1, *[1] * (g.ndim - 1)) for g in stream]
    found = find("agem")().direction({"stream": stream, "memory": memory}, [], {})

    def product(first: list[Tensor], second: list[Tensor], k: int) -> float:
        return sum(float((a[k] * b[k]).sum()) for a, b in zip(first, second, strict=True))

    against = [product(stream, memory, k) < 0 for k in range(3)]
    assert any(against)
    assert not all(against)
    for k in range(3):
        assert product(found, memory, k) == pytest.approx(0 if against[k] else product(stream, memory, k), abs=1e-12)


def test_gradients_are_not_changed_in_place() -> None:
    stream, memory = [torch.tensor([[1.0, 0.0]])], [torch.tensor([[-1.0, 1.0]])]
    find("agem")().direction({"stream": stream, "memory": memory}, [], {})
    assert stream[0].tolist() == [[1.0, 0.0]]
    assert memory[0].tolist() == [[-1.0, 1.0]]


def test_it_asks_for_one_draw_of_a_ring_from_the_second_task_on() -> None:
    needs = find("agem")(replay_batch=7).needs
    assert needs.draws == (Draw(7),)
    assert needs.policy == "ring"
    assert needs.replay_from_task == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"replay_batch": 0}, "method.replay_batch: must be a whole number, 1 or more, got 0"),
        ({"replay_batch": True}, "method.replay_batch: must be a whole number, 1 or more, got True"),
        ({"replay_from_task": -1}, "method.replay_from_task: must be a whole number, 0 or more, got -1"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("agem")(**options)


@pytest.mark.parametrize("optimizer", [{}, {"lr": 0.05, "momentum": 0.9}], ids=["sgd", "momentum"])
def test_a_whole_run_is_that_of_plain_pytorch(optimizer: dict[str, float]) -> None:
    """One long vector a gradient; momentum goes on from the projected one."""
    run = record(spec("agem", optimizer=optimizer))
    network, o, projected = run.network(), run.spec.optimizer, 0
    params = list(network.parameters())
    sgd = torch.optim.SGD(params, o.lr, o.momentum)

    def gradient(rows: Any) -> Tensor:
        loss = F.cross_entropy(network(run.inputs[rows]), run.labels[rows])
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, params)])

    for task, steps in enumerate(run.steps):
        for one in steps:
            g = gradient(one.stream)
            assert len(one.drawn) == (task > 0)
            if one.drawn:
                r = gradient(one.drawn[0])
                if g @ r < 0:
                    g, projected = g - (g @ r) / (r @ r) * r, projected + 1
            for p, part in zip(params, g.split([p.numel() for p in params]), strict=True):
                p.grad = part.view_as(p)
            sgd.step()
    assert 0 < projected < sum(map(len, run.steps[1:]))
    for mine, theirs in zip(run.weights, params, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-9)


def test_the_first_task_of_a_run_is_fine_tuning() -> None:
    found, plain = (train(Population([spec(key)], stacked=False), range(1)) for key in ("agem", "finetune"))
    for name, tensor in members(plain)[0].items():
        torch.testing.assert_close(members(found)[0][name], tensor, rtol=0, atol=1e-12)


MASKS = {"none": [None] * 3, "leak": [Mask(leak=w) for w in (0.01, 0.1, 0.5)], "minus inf": [Mask(value=-math.inf)] * 3}
CFGMS = {
    "separate": [Cfgm(step=s, weight=w) for s, w in ((0.5, 1.0), (1.0, 0.5), (2.0, 2.0))],
    "joint": [Cfgm(step=s, update="joint") for s in (0.5, 1.0, 2.0)],
}


@pytest.mark.parametrize("optimizer", [{}, {"momentum": 0.9, "clip_norm": 0.5}], ids=["sgd", "momentum"])
@pytest.mark.parametrize("mask", MASKS)
def test_a_stack_is_its_members_one_by_one(mask: str, optimizer: dict[str, float]) -> None:
    rates = (0.02, 0.05, 0.1)
    specs = [spec("agem", seed=k, mask=MASKS[mask][k], optimizer=optimizer | {"lr": rates[k]}) for k in range(3)]
    assert_stack_is_loop(specs)


@pytest.mark.parametrize("cfgm", CFGMS)
def test_a_stack_is_its_members_with_cfgm(cfgm: str) -> None:
    assert_stack_is_loop([spec("agem", seed=k, cfgm=CFGMS[cfgm][k], mask=Mask(leak=0.1)) for k in range(3)])


def test_a_separate_update_of_cfgm_is_not_projected() -> None:
    """It has the samples' loss alone: the memory's gradient is 0 there, and the step is along the samples'."""
    kind, seen = find("agem"), []
    original = kind.direction

    def noting(method: Any, gradients: Any, weights: Any, state: Any) -> Any:
        found = original(method, gradients, weights, state)
        memory = gradients.get("memory")
        straight = all(torch.equal(a, b) for a, b in zip(found, gradients["stream"], strict=True))
        seen.append((memory is not None and any(bool(g.any()) for g in memory), straight))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "direction", noting)
        train(Population([spec("agem", cfgm=Cfgm(step=0.5))], stacked=False))
    later = seen[next(i for i, (held, _) in enumerate(seen) if held) :]
    assert all(held for held, _ in later[::2])
    assert not all(straight for _, straight in later[::2])
    assert later[1::2] == [(False, True)] * (len(later) // 2)
