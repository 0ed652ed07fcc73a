"""Samples of old classes in training: their classes, what they are held to, and whole tasks against plain PyTorch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from engine.small import SCENARIO, members, spec, train
from reference.uniformity import uniform_pvalue
from scipy import stats
from torch import Tensor, nn

from maskcl.cfgm import Cfgm
from maskcl.engine import Population, RunSpec, run_population
from maskcl.engine.synthesis import Synthesis, plan_old_labels
from maskcl.mask import Mask

OLD = [3, 0, 7, 5]


def test_uniform_draws_every_old_class_equally_often_and_no_other() -> None:
    drawn = plan_old_labels(OLD, [10] * 400, draw="uniform", seed=0, task=2)
    classes, counts = np.unique(drawn, return_counts=True)
    assert drawn.shape == (4000,)
    assert drawn.dtype == np.int64
    assert classes.tolist() == sorted(OLD)
    assert stats.chisquare(counts).pvalue > 1e-3
    pairs = np.unique(drawn.reshape(-1, 2) @ [10, 1], return_counts=True)[1]  # a row says nothing of the next one
    assert len(pairs) == 16
    assert stats.chisquare(pairs).pvalue > 1e-3


@pytest.mark.parametrize("size", [1, 3, 4, 10])
def test_balanced_draws_each_class_once_before_any_twice_in_a_step(size: int) -> None:
    steps = plan_old_labels(OLD, [size] * 600, draw="balanced", seed=0, task=2).reshape(-1, size)
    for step in steps:
        for start in range(0, size, len(OLD)):
            part = step[start : start + len(OLD)].tolist()
            assert len(set(part)) == len(part)
            assert set(part) <= set(OLD)
    extra = steps[:, len(OLD) * (size // len(OLD)) :]
    counts = np.array([(extra == c).sum() for c in OLD])
    if size % len(OLD):
        assert uniform_pvalue(counts, chosen=size % len(OLD), trials=600) > 1e-3
    assert len({tuple(step) for step in steps.tolist()}) > 3  # not one order in all steps


@pytest.mark.parametrize("draw", ["uniform", "balanced"])
def test_partial_batches_are_filled_to_the_row_and_balanced_by_themselves(draw: str) -> None:
    sizes = [6, 6, 2, 6, 2]
    drawn = plan_old_labels([1, 2, 4], sizes, draw=draw, seed=0, task=1)
    assert len(drawn) == sum(sizes)
    assert set(drawn.tolist()) <= {1, 2, 4}
    if draw == "balanced":
        edges = np.cumsum([0, *sizes])
        assert [len(set(drawn[a:b].tolist())) for a, b in pairwise(edges)] == [3, 3, 2, 3, 2]


@pytest.mark.parametrize("draw", ["uniform", "balanced"])
def test_draws_repeat_for_a_seed_and_differ_between_seeds_and_tasks(draw: str) -> None:
    def drawn(seed: int, task: int) -> list[int]:
        return plan_old_labels(OLD, [5] * 20, draw=draw, seed=seed, task=task).tolist()

    assert drawn(0, 1) == drawn(0, 1)
    assert drawn(0, 1) != drawn(1, 1)
    assert drawn(0, 1) != drawn(0, 2)


def test_a_single_old_class_is_what_every_sample_is_of() -> None:
    for draw in ("uniform", "balanced"):
        assert plan_old_labels([6], [3, 2], draw=draw, seed=0, task=1).tolist() == [6] * 5


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 6)).double()


CURRENT, FROZEN = network(1), network(2)
INPUTS = torch.rand(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 1, 0])


def moved(model: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor, step: float) -> Tensor:
    """One plain step of each row towards its class."""
    leaf = inputs.clone().requires_grad_()
    (grad,) = torch.autograd.grad(F.cross_entropy(model(leaf), labels, reduction="sum"), leaf)
    return inputs - step * grad


def synthesis(bounds: tuple[float, float] = (0.0, 1.0), visible: Tensor | None = None, **settings: Any) -> Synthesis:
    cfgm = Cfgm(**({"step": 1.5} | settings))
    return Synthesis(cfgm, current=CURRENT, frozen=FROZEN, bounds=bounds, visible=visible)


@pytest.mark.parametrize(("generator", "model"), [("current", CURRENT), ("frozen", FROZEN)])
def test_samples_follow_the_chosen_network_and_are_held_to_the_frozen_one(generator: str, model: nn.Module) -> None:
    made, target = synthesis(generator=generator).make(INPUTS, LABELS)
    expected = moved(model, INPUTS, LABELS, 1.5)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(target, FROZEN(expected), rtol=0, atol=1e-12)
    assert not made.requires_grad
    assert not target.requires_grad
    assert all(p.grad is None for model in (CURRENT, FROZEN) for p in model.parameters())


def test_each_step_has_its_own_classes() -> None:
    made, target = synthesis(target="label").make(INPUTS, LABELS + 1)
    assert torch.equal(target, LABELS + 1)
    torch.testing.assert_close(made, moved(CURRENT, INPUTS, LABELS + 1, 1.5), rtol=0, atol=1e-12)


def test_several_samples_a_row_lie_side_by_side() -> None:
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 0, 2])
    made, target = synthesis(per_row=2, target="label").make(INPUTS, labels)
    assert torch.equal(target, labels)
    for i, c in enumerate(labels.tolist()):
        row = moved(CURRENT, INPUTS[i // 2][None], torch.tensor([c]), 1.5)[0]
        torch.testing.assert_close(made[i], row, rtol=0, atol=1e-12)


@pytest.mark.parametrize("black", [0.0, torch.tensor([-2.0, 0.5], dtype=torch.float64)[:, None, None]])
def test_starts_are_shifted_and_mirrored_with_black_beyond_the_edge(black: Tensor | float) -> None:
    """Views are (down, right, mirrored) in an image with a border of one pixel: (1, 1, 0) leaves it where it is."""
    images = torch.rand(2, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Flatten(), nn.Linear(18, 4)).double()
    cfgm = Cfgm(step=1.5, per_row=2, crop=1, flip=True)
    makes = Synthesis(cfgm, current=network, frozen=network, bounds=(0.0, 1.0), black=black)
    labels = torch.tensor([0, 1, 2, 3])
    made, target = makes.make(images, labels, torch.tensor([[1, 1, 0], [0, 1, 0], [1, 2, 0], [1, 1, 1]]))
    starts = images.repeat_interleave(2, 0)
    edge = torch.as_tensor(black, dtype=torch.float64).expand(2, 1, 1)
    starts[1] = torch.cat([edge.expand(2, 1, 3), starts[1][:, :2]], 1)
    starts[2] = torch.cat([starts[2][:, :, 1:], edge.expand(2, 3, 1)], 2)
    starts[3] = starts[3].flip(2)
    torch.testing.assert_close(made, moved(network, starts, labels, 1.5), rtol=0, atol=1e-12)
    torch.testing.assert_close(target, network(made).detach(), rtol=0, atol=1e-12)


def test_clamped_samples_stay_in_the_range_of_the_data() -> None:
    free = synthesis(step=9.0).make(INPUTS, LABELS)[0]
    held, target = synthesis(step=9.0, clamp=True, bounds=(0.1, 0.8)).make(INPUTS, LABELS)
    assert free.min() < 0.1
    assert free.max() > 0.8
    torch.testing.assert_close(held, free.clamp(0.1, 0.8), rtol=0, atol=1e-12)
    torch.testing.assert_close(target, FROZEN(held), rtol=0, atol=1e-12)


def test_mse_is_the_mean_over_rows_and_classes_times_the_weight() -> None:
    logits, target = CURRENT(INPUTS).detach(), FROZEN(INPUTS).detach()
    squares = [(a - b) ** 2 for a, b in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True)]
    expected = 0.3 * sum(squares) / 24
    assert synthesis(weight=0.3).loss(logits, target).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_kl_is_of_softmaxes_at_the_temperature(temperature: float) -> None:
    logits, target = CURRENT(INPUTS), FROZEN(INPUTS)
    p, q = ((z / temperature).exp() for z in (logits, target))
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    expected = 0.3 * (q * (q / p).log()).sum() / len(INPUTS)
    found = synthesis(loss="kl", temperature=temperature, weight=0.3).loss(logits, target)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert synthesis(loss="kl", temperature=temperature).loss(target, target).abs() < 1e-15


def test_a_label_target_takes_cross_entropy() -> None:
    found = synthesis(target="label", weight=2.0).loss(CURRENT(INPUTS), LABELS)
    torch.testing.assert_close(found, 2 * F.cross_entropy(CURRENT(INPUTS), LABELS), rtol=0, atol=1e-12)


@pytest.mark.parametrize("generator", ["current", "frozen"])
def test_classes_that_are_not_visible_are_in_neither_softmax_of_samples(generator: str) -> None:
    """The last two of six classes are out: of the gradient that moves a row, and of the loss of its label."""
    visible = torch.tensor([True] * 4 + [False] * 2)
    cut = {"current": CURRENT, "frozen": FROZEN}[generator]
    made, target = synthesis(visible=visible, generator=generator, target="label").make(INPUTS, LABELS)
    expected = moved(lambda x: cut(x)[:, :4], INPUTS, LABELS, 1.5)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)
    assert not torch.allclose(made, moved(cut, INPUTS, LABELS, 1.5))
    found = synthesis(visible=visible, target="label", weight=2.0).loss(CURRENT(made), target)
    torch.testing.assert_close(found, 2 * F.cross_entropy(CURRENT(made)[:, :4], LABELS), rtol=0, atol=1e-12)


def test_members_have_their_own_visible_classes() -> None:
    visible = torch.tensor([[[True] * 4 + [False] * 2], [[True] * 6]])
    both = synthesis(visible=visible, target="label")
    made, target = both.make(INPUTS.expand(2, -1, -1), LABELS.expand(2, -1))
    loss = both.loss(CURRENT(made), target)
    for k, own in enumerate(visible[:, 0]):
        one = synthesis(visible=own, target="label")
        torch.testing.assert_close(made[k], one.make(INPUTS, LABELS)[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(loss[k], one.loss(CURRENT(made[k]), LABELS), rtol=0, atol=1e-12)


def test_members_have_their_own_steps_weights_and_temperatures() -> None:
    cfgm = copy.copy(Cfgm(step=1.0, loss="kl"))
    dials = {name: torch.tensor([1.0, 2.0], dtype=torch.float64) for name in ("step", "weight", "temperature")}
    for name, dial in dials.items():
        object.__setattr__(cfgm, name, dial)
    labels = torch.stack([LABELS, LABELS.flip(0)])
    both = Synthesis(cfgm, current=CURRENT, frozen=FROZEN, bounds=(0.0, 1.0))
    made, target = both.make(INPUTS.expand(2, -1, -1), labels)
    loss = both.loss(CURRENT(made), target)
    for k, dial in enumerate((1.0, 2.0)):
        one = synthesis(step=dial, weight=dial, loss="kl", temperature=dial)
        alone, goal = one.make(INPUTS, labels[k])
        torch.testing.assert_close(made[k], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(loss[k], one.loss(CURRENT(alone), goal), rtol=0, atol=1e-12)


def first_rows(population: Population) -> Tensor:
    """The first ten training rows, as they are judged."""
    return population.data.train.rows(np.arange(10))


def predictions(population: Population) -> Tensor:
    """Logits of every member on a few rows, [K, n, C]."""
    rows = first_rows(population)
    return torch.stack([population.model.one(k)(rows).logits for k in range(population.num_members)])


def frozen(population: Population) -> Tensor:
    """What the frozen networks say of the same rows, [K, n, C]."""
    assert population.state.frozen is not None
    rows = first_rows(population).expand(*population.model.leading, -1, -1)
    return population.model.at(population.state.frozen, rows).logits.view(population.num_members, 10, -1)


@pytest.mark.parametrize("settings", [{"cfgm": Cfgm(step=1.0)}, {}], ids=["CFGM", "LwF"])
@pytest.mark.parametrize("stacked", [True, False])
def test_the_frozen_network_is_that_of_the_last_tasks_end(stacked: bool, settings: dict[str, Any]) -> None:
    key = "finetune" if settings else "lwf"
    specs = [spec(key, seed=k, training={"evaluate_every": 1}, **settings) for k in range(2 if stacked else 1)]
    population = Population(specs, stacked=stacked)
    assert population.state.frozen is None
    population.fit_task(0)
    for task in (1, 2):
        end = predictions(population)
        steps = []

        def look(k: int, step: int, task: int, found: Any, end: Tensor = end, steps: Any = steps) -> None:
            torch.testing.assert_close(frozen(population), end, rtol=0, atol=1e-12)
            assert not torch.allclose(predictions(population), end)  # training has moved on
            steps.append((k, step))

        population.fit_task(task, on_evaluation=look)
        assert steps == [(k, 7 * task + i) for i in range(1, 8) for k in range(len(specs))]
        torch.testing.assert_close(frozen(population), predictions(population), rtol=0, atol=1e-12)


def test_without_cfgm_or_distillation_no_copy_is_kept() -> None:
    assert train(Population([spec("finetune")], stacked=False)).state.frozen is None


def test_the_first_task_and_tasks_before_from_task_are_fine_tuning() -> None:
    plain = Population([spec("finetune")], stacked=False)
    late = Population([spec("finetune", cfgm=Cfgm(step=1.0, from_task=2))], stacked=False)
    early = Population([spec("finetune", cfgm=Cfgm(step=1.0))], stacked=False)
    for task, (late_differs, early_differs) in enumerate([(False, False), (False, True), (True, True)]):
        for population in (plain, late, early):
            population.fit_task(task)
        same = [
            all(torch.equal(mine, members(plain)[0][name]) for name, mine in members(population)[0].items())
            for population in (late, early)
        ]
        assert same == [not late_differs, not early_differs]
    outcomes = run_population([spec("finetune", cfgm=Cfgm(step=1.0, from_task=n)) for n in (1, 2)], threads=1)
    found = [[record["task"] for record in outcome.samples or []] for outcome in outcomes]
    assert found == [[1, 2], [2]]


def plain_run(one: RunSpec, cfgm: Cfgm) -> nn.Sequential:
    """The authors' zero-memory learner in plain PyTorch; the order of the stream and the old classes are the plan's."""
    order = Population([one], stacked=False)
    start = order.parts.network
    net = nn.Sequential(nn.Flatten(), nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 6))
    net = net.double()
    net.load_state_dict(start.state_dict())
    rate = one.optimizer
    optimizer = torch.optim.SGD(net.parameters(), lr=rate.lr, momentum=rate.momentum, weight_decay=rate.weight_decay)
    inputs, labels = torch.from_numpy(SCENARIO.dataset.train_inputs).double(), SCENARIO.dataset.train_labels
    teacher = copy.deepcopy(net)

    def made_and_target(x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        made = moved(net, x, c, cfgm.step).detach()
        return made, teacher(made).detach()

    for task, classes in enumerate(SCENARIO.tasks):
        steps = [step for chunk in order.plan(task).chunks() for step in chunk.steps]
        others = torch.tensor([c not in classes for c in range(6)])
        sizes = [step.sizes[0] for step in steps]
        old = [c for group in SCENARIO.tasks[:task] for c in group]
        drawn = torch.zeros(sum(sizes), dtype=torch.int64)
        if task:
            drawn = torch.from_numpy(plan_old_labels(old, sizes, draw="uniform", seed=one.seeds.sampling, task=task))
        for step, c in zip(steps, drawn.split(sizes), strict=True):
            x, y = inputs[step.rows], torch.from_numpy(labels)[step.rows]
            loss = F.cross_entropy(net(x).masked_fill(others, -math.inf), y)
            if task and cfgm.update == "joint":
                made, target = made_and_target(x, c)
                loss = loss + cfgm.weight * F.mse_loss(net(made), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if task and cfgm.update == "separate":
                made, target = made_and_target(x, c)
                optimizer.zero_grad()
                (cfgm.weight * F.mse_loss(net(made), target)).backward()
                optimizer.step()
        teacher = copy.deepcopy(net)
    return net


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("update", ["separate", "joint"])
def test_whole_tasks_equal_a_plain_pytorch_loop(update: str, momentum: float, stacked: bool) -> None:
    cfgm = Cfgm(step=3.0, update=update, weight=0.7)
    rate = {"lr": 0.05, "momentum": momentum, "weight_decay": 1e-2 if momentum else 0.0}
    specs = [spec("finetune", seed=k, mask=Mask(value=-math.inf), cfgm=cfgm, optimizer=rate) for k in range(2)]
    specs = specs if stacked else specs[:1]
    ours = train(Population(specs, stacked=stacked))
    for k, one in enumerate(specs):
        expected = list(plain_run(one, cfgm).parameters())
        found = [tensor for name, tensor in members(ours)[k].items() if name.startswith("network.")]
        assert len(found) == len(expected) == 6
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)
    unlike = train(Population([spec("finetune", mask=Mask(value=-math.inf), optimizer=rate)], stacked=False))
    assert not torch.allclose(next(iter(members(unlike)[0].values())), next(iter(members(ours)[0].values())))
