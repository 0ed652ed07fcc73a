from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import LN2, LN3
from engine.small import scenario, spec, train
from torch import Tensor, nn
from whole_runs import Recorded, Shown, assert_stack_is_loop, record, scores

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.engine.build import build_parts
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.methods import Draw, Outputs, Step, find


def step(projected: Tensor, labels: list[int], *sizes: int) -> Step:
    """A step whose projections are given, view after view."""
    return Step(torch.zeros(len(labels), 3), torch.tensor(labels), sizes, projected=projected)


def contrast(projected: Tensor, labels: list[int], temperature: float) -> float:
    """The loss as a loop over pairs of views; a view's row is its number modulo the number of rows."""
    units = [[x / math.sqrt(sum(v * v for v in u)) for x in u] for u in projected.tolist()]
    views, rows = len(units), len(labels)
    total = 0.0
    for i in range(views):
        weights = {k: math.exp(sum(a * b for a, b in zip(units[i], units[k], strict=True)) / temperature)
                   for k in range(views) if k != i}  # fmt: skip
        alike = [j for j in weights if labels[j % rows] == labels[i % rows]]
        total += sum(-math.log(weights[j] / sum(weights.values())) for j in alike) / len(alike)
    return total / views


def test_two_rows_of_two_classes_whose_views_agree() -> None:
    """One other view at similarity 1, two at 0; T = 1 / log 2 makes weights 2, 1, 1, and p = 1/2."""
    views = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 2.0]]).double()
    assert find("scr")(temperature=1 / LN2).loss(step(views, [0, 1], 1, 1)).item() == pytest.approx(LN2)


def test_rows_of_one_class_are_positives_of_each_other() -> None:
    """Each view has one positive at similarity 1 (weight 2) and two at 0 (weight 1): -(log 2/4 + 2 log 1/4) / 3."""
    views = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 2.0]]).double()
    found = find("scr")(temperature=1 / LN2).loss(step(views, [0, 0], 1, 1)).item()
    assert found == pytest.approx((LN2 + 2 * 2 * LN2) / 3)


def test_the_mean_of_logs_is_outside_the_logarithm() -> None:
    """Similarities -1, 0 and 1 with weights 1/3, 1, 3; each of the three positives counts by itself."""
    views = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 1.0]]).double()
    lying = ((math.log(7 / 3) + LN3) + 2 * math.log(7 / 3)) / 3  # weights 1/3, 1, 1
    upright = ((math.log(5) - LN3) + 2 * math.log(5)) / 3  # weights 3, 1, 1
    expected = (2 * lying + 2 * upright) / 4
    assert contrast(views, [0, 0], 1 / LN3) == pytest.approx(expected)
    assert find("scr")(temperature=1 / LN3).loss(step(views, [0, 0], 1, 1)).item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 3.0])
@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 0, 1, 1, 0], [0] * 7, list(range(7))], ids=["mixed", "one class", "apart"]
)
def test_one_step_is_a_loop_over_pairs_of_views(labels: list[int], temperature: float) -> None:
    projected = torch.randn(14, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = find("scr")(temperature=temperature).loss(step(projected, labels, 3, 4))
    assert found.shape == ()
    assert found.item() == pytest.approx(contrast(projected, labels, temperature), rel=1e-9)


def test_members_have_their_own_rows_and_temperature() -> None:
    rng = torch.Generator().manual_seed(2)
    projected, labels = torch.randn(2, 8, 3, generator=rng, dtype=torch.float64), [[0, 1, 0, 2], [1, 1, 0, 1]]
    method = find("scr")()
    object.__setattr__(method, "temperature", torch.tensor([0.2, 1.5]).double())  # as in a population
    both = replace(step(projected, [], 2, 2), labels=torch.tensor(labels))
    expected = [contrast(projected[k], labels[k], t) for k, t in enumerate((0.2, 1.5))]
    assert method.loss(both).tolist() == pytest.approx(expected)


def test_while_the_memory_is_empty_the_loss_is_0_and_nothing_is_learnt() -> None:
    projected = torch.randn(6, 3, requires_grad=True)
    loss = find("scr")().loss(step(projected, [0, 1, 0], 3))
    assert loss.item() == 0
    loss.backward()
    assert projected.grad is not None
    assert not projected.grad.any()


def test_prediction_is_the_nearest_mean_of_memory_rows_features() -> None:
    features = torch.tensor([[9.0, 0.0], [1.0, 0.0], [5.0, 0.0], [0.0, 0.1]])
    shown = Shown(features, torch.zeros(4, 3), torch.tensor([0, 0, 1, 1]), memory_rows=np.arange(4))
    state = find("scr")().before_evaluation({}, shown.view)
    rows = torch.tensor([[9.0, 3.0], [9.0, 4.0], [0.9, 0.4], [0.0, 7.0]])
    predicted = find("scr")().predict(Outputs(torch.tensor([[0.0, 0.0, 9.0]]).expand(4, 3), rows), state)
    assert predicted.argmax(-1).tolist() == [0, 1, 1, 1]


def test_before_there_is_a_memory_logits_predict() -> None:
    shown = Shown(torch.zeros(0, 2), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    state = find("scr")().before_evaluation({}, shown.view)
    assert find("scr")().predict(Outputs(torch.tensor([[1.0, 3.0, 2.0]]), torch.ones(1, 2)), state).argmax(
        -1
    ).tolist() == [1]


def test_it_asks_for_one_draw_two_views_and_features() -> None:
    needs = find("scr")(replay_batch=7).needs
    assert needs.draws == (Draw(7),)
    assert needs.views == 2
    assert needs.features
    assert needs.joint_forward


def test_the_projection_has_one_hidden_layer_as_wide_as_the_features() -> None:
    head = find("scr")(projection_size=7).head(12)
    assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Linear]
    assert [tuple(p.shape) for p in head.parameters()] == [(12, 12), (12,), (7, 12), (7,)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"replay_batch": 0}, "method.replay_batch: must be a whole number, 1 or more, got 0"),
        ({"temperature": 0.0}, r"method.temperature: must be above 0, got 0\.0"),
        ({"projection_size": 0}, "method.projection_size: must be a whole number, 1 or more, got 0"),
        ({"mask": Mask(leak=0.1)}, "mask: must be left out with method 'scr', which has no softmax over classes"),
        ({"cfgm": Cfgm(step=1.0)}, "cfgm: must be left out with method 'scr', which trains no classifier"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("scr")(**options)


def plain_run(run: Recorded) -> tuple[nn.Sequential, nn.Module]:
    """Network and projection, trained by torch.optim on the rows that the run was trained on."""
    network, head, o = run.network(), build_parts(run.spec).head, run.spec.optimizer
    assert head is not None
    body, classifier = network[:-1], {id(p) for p in network[-1].parameters()}
    params = [p for p in [*network.parameters(), *head.parameters()] if id(p) not in classifier]
    sgd = torch.optim.SGD(params, o.lr, o.momentum)
    for one in [one for steps in run.steps for one in steps]:
        if not one.drawn:
            continue
        rows = torch.from_numpy(np.concatenate([one.stream, *one.drawn]))
        u = F.normalize(head(body(run.inputs[rows])), dim=1).repeat(2, 1)  # without augmentation both views are equal
        y, total = run.labels[rows].repeat(2), []
        for i in range(len(u)):
            others = [k for k in range(len(u)) if k != i]
            log_p = (u[others] @ u[i] / run.spec.method.temperature).log_softmax(0)
            total.append(-log_p[y[others] == y[i]].mean())
        sgd.zero_grad()
        torch.stack(total).mean().backward()
        sgd.step()
    return network, head


@pytest.mark.parametrize("optimizer", [{"lr": 0.05}, {"lr": 0.01, "momentum": 0.9}], ids=["sgd", "momentum"])
def test_a_whole_run_is_that_of_plain_pytorch(optimizer: dict[str, float]) -> None:
    """The body and the projection learn, the classifier does not, and class means of the memory predict."""
    run = record(spec("scr", optimizer=optimizer, projection_size=5, temperature=0.3))
    assert [bool(one.drawn) for one in run.steps[0]] == [False] + [True] * (len(run.steps[0]) - 1)
    network, head = plain_run(run)
    expected = [*network.parameters(), *head.parameters()]
    for mine, theirs in zip(run.weights, expected, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-9)
    initial = run.network()
    for mine, theirs in zip(run.weights[-6:-4], initial[-1].parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with torch.no_grad():
        unit = F.normalize(network[:-1](run.inputs), dim=1)
    memory = run.memories[-1]
    means = {
        c: F.normalize(unit[memory[run.labels[memory] == c]].mean(0), dim=0) for c in set(run.labels[memory].tolist())
    }
    nearest = [min(means, key=lambda c, u=u: float((u - means[c]).norm())) for u in unit]
    assert scores(run.population, 0, 2).argmax(-1).tolist() == nearest


def test_views_differ_where_training_augments_and_are_equal_where_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, seen = find("scr"), []
    loss = kind.loss

    def noting(method: Any, one: Step) -> Tensor:
        assert one.features is not None
        seen.append((one.features.detach(), one.logits.detach(), len(one.labels)))
        return loss(method, one)

    monkeypatch.setattr(kind, "loss", noting)
    tasks = scenario(2, rows=8, shape=(1, 6, 6), classes=4)
    for augment, equal in ((None, True), (Augment(crop=2), False), (Augment(flip=True), False)):
        seen.clear()
        one = spec("scr", tasks=tasks, training={"augment": augment})
        population = train(Population([one], stacked=False), range(1))
        for features, logits, count in seen:
            assert len(features) == 2 * count
            assert len(logits) == count
        alike = [torch.allclose(*features.chunk(2), rtol=0, atol=1e-12) for features, _, _ in seen]
        assert all(alike) if equal else sum(alike) < len(alike) / 2  # a step may flip all its rows alike
        last_layer = list(population.model.weights.params.values())[-6:-4]  # untrained: logits are the first view's
        features, logits, count = seen[-1]
        torch.testing.assert_close(logits, F.linear(features[:count], *[p.detach() for p in last_layer]))


AUGMENTS = {"plain": None, "crop and flip": Augment(crop=1, flip=True)}


@pytest.mark.parametrize("optimizer", [{}, {"momentum": 0.9, "weight_decay": 1e-2}], ids=["sgd", "momentum"])
@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_stack_is_its_members_one_by_one(augment: str, optimizer: dict[str, float]) -> None:
    rates, tasks = (0.01, 0.02, 0.05), scenario(3, shape=(1, 5, 5))
    specs = [
        spec("scr", seed=k, tasks=tasks, temperature=0.1 + 0.2 * k, optimizer=optimizer | {"lr": rates[k]},
             training={"augment": AUGMENTS[augment]})
        for k in range(3)
    ]  # fmt: skip
    assert_stack_is_loop(specs)
