"""What every method has to hold. Each check takes a `Trial` and raises AssertionError with a sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcl.cfgm import Cfgm
from maskcl.engine import run_population
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.methods import Method
from maskcl.methods.base import overrides
from maskcl.networks import ConvNet, Mlp
from maskcl.schedule import Schedule
from maskcl.testing.cutting import assert_same_outcome, in_pieces
from maskcl.testing.small import Trial, assert_same, difference, evaluations, scenario, train

__all__ = ["CHECKS"]

CLOSE = 1e-8
MASKS: dict[str, list[Mask | None]] = {
    "no mask": [None] * 3,
    "m": [Mask(value=v) for v in (-math.inf, -2.0, 1.5)],
    "leak": [Mask(leak=w) for w in (0.0, 0.1, 0.5)],
    "batch": [Mask(value=v, policy="batch") for v in (-5.0, 0.0, 1.0)],
    "seen": [Mask(leak=w, visible="seen", from_task=1) for w in (0.1, 0.2, 0.5)],
    "auto": [Mask(leak="auto", power=p) for p in (0.3, 0.5, 1.0)],
    "auto, recent": [Mask(leak="auto", policy="recent", recent_rows=20)] * 3,
}
OPTIMIZERS = {
    "sgd": [{"lr": lr} for lr in (0.05, 0.1, 0.2)],
    "momentum": [{"lr": lr, "momentum": 0.9, "weight_decay": 1e-2, "clip_norm": 0.5} for lr in (0.01, 0.02, 0.05)],
    "adam": [{"name": "adam", "lr": lr} for lr in (1e-3, 3e-3, 1e-2)],
}
CFGMS = {
    "separate": [Cfgm(step=s, weight=0.5) for s in (0.5, 1.0, 2.0)],
    "joint": [Cfgm(step=s, update="joint", clamp=True, loss="kl") for s in (0.5, 1.0, 2.0)],
}
SOONEST = 1e-7
"""What has changed by less has not changed."""


def declaration(trial: Trial) -> None:
    """It is a frozen dataclass with key and title, and says what each setting is."""
    kind = trial.method
    for name in ("key", "title"):
        assert isinstance(getattr(kind, name, None), str), f"{name} must be a class attribute, a string"
    params: Any = vars(kind).get("__dataclass_params__")
    assert params is not None, "must be a dataclass"
    assert params.frozen, "must be frozen: @dataclass(frozen=True, kw_only=True)"
    for field in dataclasses.fields(kind):
        described = field.metadata.get("doc")
        assert described, f"{field.name} must be declared with option(...) or dial(...) and a description"


def finite(trial: Trial) -> None:
    """A small run ends with finite weights, having moved them."""
    start, end = train([trial.spec()], stacked=False, tasks=()), train([trial.spec()], stacked=False)
    assert end.finite() == [True], "weights must stay finite; give options that suit a small run"
    assert _moved(start, end), "weights must move"


def seeds(trial: Trial) -> None:
    """The same seed gives the same run to the last bit, another seed another one; nothing global is touched."""
    for stacked in (False, True):
        torch.manual_seed(1)
        first = train([trial.spec(3)], stacked=stacked)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        second = train([trial.spec(3)], stacked=stacked)
        assert torch.equal(torch.get_rng_state(), before), "PyTorch's global random state must be left as it was"
        assert_same(first, second, atol=0.0, what="the same seed again")
        assert _moved(first, train([trial.spec(4)], stacked=stacked)), "another seed must give another run"


def stack_equals_loop(trial: Trial) -> None:
    """K stacked runs are K runs: weights, optimiser, what the method remembers, memory, predictions."""
    for optimizer, rates in OPTIMIZERS.items():
        _stacked_and_alone(trial, _with(trial, optimizer=rates), optimizer)


def masks(trial: Trial) -> None:
    """It takes every mask alike in both executors, and the mask acts; or it refuses one in words."""
    if trial.needs.no_mask:
        _refused(trial, "mask", mask=Mask(leak=0.1))
        return
    tried = 0
    for name, each in MASKS.items():
        try:
            specs = [trial.spec(k, mask=mask) for k, mask in enumerate(each)]
        except ConfigError as error:  # a method may refuse some masks
            assert "mask" in str(error), f"{name}: a refusal must name the mask: {error}"
            continue
        tried += 1
        _stacked_and_alone(trial, specs, f"mask {name}")
    assert tried > 1, "must take some mask, or say in needs.no_mask why it cannot"
    plain, masked = (train([trial.spec(mask=m)], stacked=False) for m in (None, Mask(leak=0.1, policy="batch")))
    assert _moved(plain, masked), "a mask must act"


def cfgm(trial: Trial) -> None:
    """It takes CFGM alike in both executors, and CFGM acts, in a joint and in a separate update; or it refuses it."""
    if trial.needs.no_cfgm:
        _refused(trial, "cfgm", cfgm=Cfgm(step=1.0))
        return
    plain = train([trial.spec()], stacked=False)
    for name, each in CFGMS.items():
        specs = [trial.spec(k, cfgm=one) for k, one in enumerate(each)]
        _stacked_and_alone(trial, specs, f"CFGM, {name} update")
        for stacked in (False, True):
            assert _moved(plain, train(specs[:1], stacked=stacked)), f"the {name} update of CFGM must act"
    rates = {"lr": 0.01, "momentum": 0.5}
    twice = train([trial.spec(cfgm=CFGMS["separate"][0], optimizer=rates)], stacked=False)
    first = train([trial.spec(cfgm=CFGMS["separate"][0], optimizer=rates)], stacked=False, tasks=(0,))
    steps = int(twice.state.steps[0]) - int(first.state.steps[0])
    updates = int(twice.state.updates[0]) - int(first.state.updates[0])
    assert updates == 2 * steps, f"a separate update must come with each of {steps} steps, and {updates} were made"


def hooks(trial: Trial) -> None:
    """Each hook that it overrides acts: without it the run, or its predictions, are others, or there is none."""
    whole = train([trial.spec()], stacked=False)
    expected = evaluations(whole)[0]
    for name, neutral in _NEUTRAL.items():
        if not overrides(trial.spec().method, name):
            continue
        kind = _without(trial.method, name, neutral(trial))
        try:
            other = train([trial.spec(kind=kind)], stacked=False)
            found = evaluations(other)[0]
        except Exception:  # of other hooks, which stand on what this one does: so it acts
            continue
        judged = bool((np.abs(found.confidence - expected.confidence) > SOONEST).any())
        assert judged or max(difference(whole, other).values()) > SOONEST, f"{name} must act, and does not"


def memory(trial: Trial) -> None:
    """Where it has a memory, what is in it matters."""
    if trial.needs.uses_memory:
        small, large = (train([trial.spec(size=size)], stacked=False) for size in (12, 60))
        judged = [evaluations(each)[0].confidence for each in (small, large)]
        acts = _moved(small, large) or bool((judged[0] != judged[1]).any())
        assert acts, "the memory's size must matter"


def resuming(trial: Trial) -> None:
    """A run that goes on from the state between two tasks is the same to the last bit."""
    for stacked in (False, True):
        specs = [trial.spec(k, optimizer={"lr": 0.02, "momentum": 0.9}) for k in range(2 if stacked else 1)]
        whole, first = train(specs, stacked=stacked), train(specs, stacked=stacked, tasks=(0, 1))
        second = train(specs, stacked=stacked, tasks=())
        second.load_state(first.state)
        second.fit_task(2)
        for k in range(len(specs)):
            assert_same(whole, second, (k, k), atol=0.0, what="a resumed run")


def interruptions(trial: Trial) -> None:
    """A run that is cut within tasks, and goes on from its checkpoints, is the same to the last bit."""
    training = {"dtype": "float32", "checkpoint_every": 1, "save_weights": True}
    for executor, count in (("loop", 1), ("stack", 2)):
        specs = [trial.spec(k, optimizer={"name": "adam", "lr": 0.003}, training=training) for k in range(count)]
        whole = run_population(specs, executor=executor, threads=1)
        for one, other in zip(whole, in_pieces(specs, executor=executor), strict=True):
            assert_same_outcome(one, other, what=f"a run ({executor}) that was cut")


def keeping(trial: Trial) -> None:
    """Members that others have left go on as if alone."""
    specs = trial.specs()
    population = train(specs, stacked=True, tasks=(0,))
    population.keep([0, 2])
    for task in (1, 2):
        population.fit_task(task)
    for place, k in enumerate((0, 2)):
        alone = train([specs[k]], stacked=False)
        assert_same(population, alone, (place, 0), atol=CLOSE, what="a member that was kept")


def waiting(trial: Trial) -> None:
    """Members with tasks of their own, and other numbers of rows, are as if alone."""
    orders = [None, (5, 0, 3, 1, 2, 4), (3, 4, 2, 5, 0, 1)]
    for rates in ({"lr": 0.05}, {"name": "adam", "lr": 0.003}):
        specs = [trial.spec(k, tasks=scenario((7,), order), optimizer=rates) for k, order in enumerate(orders)]
        _stacked_and_alone(trial, specs, "members with other class orders")
    training = {"schedule": Schedule(name="cosine"), "dtype": "float32"}  # a rate of its own for each member
    specs = [trial.spec(k, tasks=scenario((7,), order), training=training) for k, order in enumerate(orders)]
    assert all(train(specs, stacked=True).finite()), "members with rates of their own must train in float32"


def batch_norm(trial: Trial) -> None:
    """Networks with BatchNorm, and with a cosine classifier, are trained alike in both executors."""
    images, rates = scenario((3, 8, 8)), {"lr": 0.05}
    specs = [trial.spec(k, tasks=images, network=ConvNet(hidden=(4,)), optimizer=rates) for k in range(2)]
    _stacked_and_alone(trial, specs, "BatchNorm")
    specs = [trial.spec(k, network=Mlp(hidden=(10,), classifier="cosine"), optimizer=rates) for k in range(2)]
    _stacked_and_alone(trial, specs, "a cosine classifier")


CHECKS: dict[str, Callable[[Trial], None]] = {
    check.__name__: check
    for check in (
        declaration, finite, seeds, stack_equals_loop, masks, cfgm, hooks, memory, resuming, interruptions,
        keeping, waiting, batch_norm,
    )
}  # fmt: skip
"""The contract, by name."""


def _with(trial: Trial, **each: Any) -> list[Any]:
    """Runs that differ in seeds, dials, and what is given for each."""
    count = len(next(iter(each.values())))
    dialled = trial.specs(count)
    return [
        dataclasses.replace(
            trial.spec(k, **{name: values[k] for name, values in each.items()}), method=dialled[k].method
        )
        for k in range(count)
    ]


def _stacked_and_alone(trial: Trial, specs: list[Any], what: str) -> None:
    stacked = train(specs, stacked=True)
    for k, one in enumerate(specs):
        assert_same(stacked, train([one], stacked=False), (k, 0), atol=CLOSE, what=f"{what}: stack and loop")


def _refused(trial: Trial, name: str, **given: Any) -> None:
    try:
        trial.spec(**given)
    except ConfigError as error:
        assert name in str(error), f"a refusal must name {name}: {error}"
    else:
        raise AssertionError(f"needs.no_{name} gives a reason, and yet one is taken")


def _moved(first: Any, second: Any) -> bool:
    """Whether the networks of two runs differ."""
    return any(far > SOONEST for name, far in difference(first, second).items() if name.startswith("network"))


def _without(kind: type[Method], name: str, neutral: Any) -> type[Method]:
    """The method with one hook that does nothing."""
    changed = type(kind.__name__, (kind,), {name: neutral, "__doc__": kind.__doc__})
    return dataclasses.dataclass(frozen=True, kw_only=True)(changed)


def _first_candidates(self: Method, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
    """The first of the candidates, as many as the draw that has so many replays."""
    size = next(draw.size for draw in self.needs.draws if draw.candidates == labels.shape[-1])
    return torch.zeros_like(labels[..., :size]) + torch.arange(size, device=labels.device)


_NEUTRAL: dict[str, Callable[[Trial], Any]] = {
    "phases": lambda trial: Method.phases,
    "direction": lambda trial: lambda self, gradients, weights, state: next(iter(gradients.values())),
    "after_step": lambda trial: lambda self, gradients, moves, state: None,
    "select": lambda trial: _first_candidates,
    "end_task": lambda trial: Method.end_task,
    "before_evaluation": lambda trial: Method.before_evaluation,
    "predict": lambda trial: Method.predict,
}
