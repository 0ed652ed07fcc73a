"""For every method, mask, CFGM and optimiser: K stacked runs are K runs, weights, memory and all."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from engine.small import SCENARIO, logits, members, scenario, spec, train

from maskcl import class_incremental
from maskcl.cfgm import Cfgm
from maskcl.data import load
from maskcl.engine import Population, RunSpec, run_population
from maskcl.errors import MaskclWarning
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import REGISTRY
from maskcl.methods.base import overrides
from maskcl.networks import ConvNet, Mlp
from maskcl.schedule import Schedule

MASKS = {
    "none": [None, None, None],
    "minus inf": [Mask(value=-math.inf)] * 3,
    "value": [Mask(value=v) for v in (-math.inf, -2.0, 1.5)],
    "mass": [Mask(mass=m) for m in (-3.0, 0.0, 2.0)],
    "leak": [Mask(leak=w) for w in (0.0, 0.1, 1.0)],
    "scales": [Mask(leak=0.3, old_scale=s, new_scale=0.5) for s in (0.2, 0.5, 2.0)],
    "batch": [Mask(value=v, policy="batch") for v in (-5.0, 0.0, 1.0)],
    "recent": [Mask(leak=w, policy="recent", recent_rows=9) for w in (0.1, 0.2, 0.5)],
    "from task 1": [Mask(leak=w, from_task=1) for w in (0.1, 0.2, 0.5)],
    "seen": [Mask(leak=w, visible="seen") for w in (0.1, 0.2, 0.5)],
    "auto": [Mask(leak="auto")] * 3,
    "auto, powers": [Mask(leak="auto", memory_rows="plain", power=p) for p in (0.3, 0.5, 1.0)],
    "auto, visits": [Mask(leak="auto", count="visits", from_task=1)] * 3,
    "auto, steps": [Mask(leak="auto", count="steps", visible="seen")] * 3,
    "auto, recent": [Mask(leak="auto", policy="recent", recent_rows=15)] * 3,
    "future": [Mask(value=v, policy="batch", from_task=1, keep_future=True) for v in (-math.inf, -5.0, 0.0)],
}
OPTIMIZERS = {
    "sgd": [{"lr": lr} for lr in (0.05, 0.1, 0.2)],
    "momentum": [{"lr": lr, "momentum": 0.9, "weight_decay": 1e-2, "clip_norm": 0.5} for lr in (0.01, 0.02, 0.05)],
    "adam": [{"name": "adam", "lr": lr} for lr in (1e-3, 3e-3, 1e-2)],
}
CFGMS = {
    "authors": [Cfgm.authors(4)] * 3,
    "dials": [Cfgm(step=s, weight=w, clamp=True, draw="balanced") for s, w in ((0.5, 1.0), (2.0, 0.5), (4.0, 2.0))],
    "joint kl": [Cfgm(step=1.0, update="joint", loss="kl", temperature=t) for t in (1.0, 2.0, 3.0)],
    "label": [Cfgm(step=s, target="label", generator="frozen", norm="l2") for s in (0.5, 1.0, 2.0)],
    "many": [Cfgm(step=0.5, num_steps=3, per_row=2, norm="sign", from_task=2)] * 3,
}


def assert_equal_runs(specs: list[RunSpec]) -> None:
    """Train stacked and one by one, all tasks; compare everything that training changes."""
    stacked = train(Population(specs, stacked=True))
    for k, one in enumerate(specs):
        alone = train(Population([one], stacked=False))
        for name, tensor in members(alone)[0].items():
            torch.testing.assert_close(members(stacked)[k][name], tensor, rtol=0, atol=1e-8, msg=f"{one.name}: {name}")
        mine, theirs = stacked.state.memories[k], alone.state.memories[0]
        if mine is not None and theirs is not None:
            np.testing.assert_array_equal(mine.rows, theirs.rows)
        torch.testing.assert_close(logits(stacked, k), logits(alone, 0), rtol=0, atol=1e-8)
        torch.testing.assert_close(stacked.loss_sum[k], alone.loss_sum[0], rtol=0, atol=1e-7)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("key", REGISTRY)
def test_every_method_mask_and_optimizer(key: str, mask: str, optimizer: str) -> None:
    masks = MASKS[mask]
    if optimizer != "sgd" and mask != "none" and key not in ("er", "derpp", "ewc"):
        pytest.skip("a mask acts in the loss, before any optimiser: every pair with three methods")
    if masks[0] is not None and REGISTRY[key]().needs.no_mask:
        pytest.skip("the method refuses masks, in words: tests/methods/test_registry.py")
    if key == "joint" and masks[0] is not None and masks[0].policy == "task":
        pytest.skip("joint training has no old classes: a mask by task is refused")
    tasks = range(3)
    options = [{} if key == "er_ace" and masks[k] is None else {"mask": masks[k]} for k in tasks]
    assert_equal_runs([spec(key, seed=k, optimizer=OPTIMIZERS[optimizer][k], **options[k]) for k in tasks])


@pytest.mark.parametrize("key", [key for key in REGISTRY if not REGISTRY[key]().needs.no_cfgm])
@pytest.mark.parametrize("cfgm", CFGMS)
def test_every_method_with_cfgm(key: str, cfgm: str) -> None:
    specs = [spec(key, seed=k, cfgm=CFGMS[cfgm][k], optimizer={"lr": 0.02 * (k + 1)}) for k in range(3)]
    assert_equal_runs(specs)


@pytest.mark.parametrize("policy", ["ring", "class_balanced", "herding"])
@pytest.mark.parametrize("key", ["er", "derpp"])
def test_every_memory_policy(key: str, policy: str) -> None:
    assert_equal_runs([spec(key, seed=k, memory=MemoryConfig(size=9, policy=policy)) for k in range(3)])


def test_dials_of_methods_and_logits_stored_after_the_update() -> None:
    assert_equal_runs(
        [spec("derpp", seed=k, alpha=a, beta=1.0 - a / 2, store="after") for k, a in enumerate((0.1, 0.5, 1.0))]
    )
    assert_equal_runs([spec("lwf", seed=k, alpha=a, temperature=1.0 + a) for k, a in enumerate((0.1, 0.5, 1.0))])
    assert_equal_runs([spec("ewc", seed=k, strength=a) for k, a in enumerate((0.1, 1.0, 3.0))])
    assert_equal_runs([spec("si", seed=k, c=a, xi=0.1 + a) for k, a in enumerate((0.1, 0.5, 1.0))])


def test_memory_rows_masked_by_their_own_task() -> None:
    with pytest.warns(MaskclWarning, match="own-task"):
        masks = [Mask(value=v, memory_rows="own-task") for v in (-math.inf, -2.0, 0.0)]
    assert_equal_runs([spec("er", seed=k, mask=masks[k]) for k in range(3)])


def test_stop_gradient_without_replacement() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskclWarning)
        mask = Mask(leak=1.0, old_scale=0.0)
    assert_equal_runs([spec("derpp", seed=k, mask=mask) for k in range(3)])


def test_unequal_tasks_several_epochs_and_a_cosine_classifier() -> None:
    network = Mlp(hidden=(6,), classifier="cosine")
    assert_equal_runs([spec("er_ace", seed=k, network=network, training={"epochs": 2}) for k in range(3)])


@pytest.mark.parametrize("key", ["er", "derpp", "finetune"])
def test_convolutions_with_batch_norm_on_images(key: str) -> None:
    tasks = scenario(2, rows=8, shape=(3, 32, 32), classes=4)
    network = ConvNet(hidden=(4, 6))
    cfgm = Cfgm(step=0.5) if key == "finetune" else None
    assert_equal_runs(
        [spec(key, seed=k, tasks=tasks, network=network, cfgm=cfgm, mask=Mask(leak=0.1)) for k in range(2)]
    )


OWN_TASKS = [
    class_incremental(SCENARIO.dataset, tasks=tasks)
    for tasks in ([[0, 1], [2, 3], [4, 5]], [[3], [0, 5], [1, 4, 2]], [[5], [1, 0, 2], [4, 3]], [[1], [3, 2], [5, 4]])
]


def own_tasks(key: str, **options: Any) -> list[RunSpec]:
    """Four runs whose tasks differ in classes and in numbers of rows; in the last one a class is left out."""
    return [spec(key, seed=k, tasks=tasks, **options) for k, tasks in enumerate(OWN_TASKS)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("key", REGISTRY)
def test_members_may_have_tasks_of_their_own(key: str, optimizer: str) -> None:
    """Members that wait must not move, under momentum and Adam too."""
    assert_equal_runs(own_tasks(key, optimizer=OPTIMIZERS[optimizer][1]))


@pytest.mark.parametrize(
    "key", ["finetune", "joint", "er", "lwf", *(key for key in REGISTRY if overrides(REGISTRY[key](), "predict"))]
)
def test_members_are_judged_by_tasks_of_their_own(key: str) -> None:
    specs = own_tasks(key, training={"epochs": 2} if key == "er" else None)
    for mine, one in zip(run_population(specs, executor="stack", threads=1), specs, strict=True):
        (alone,) = run_population([one], executor="loop", threads=1)
        assert mine.executor["group_size"] == 4
        for name in ("class_incremental", "task_incremental", "newest_share"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(alone, name))
        np.testing.assert_allclose(mine.confidence, alone.confidence, atol=1e-8)


@pytest.mark.parametrize(
    "mask",
    [
        Mask(leak=0.3),
        Mask(value=-2.0, visible="seen"),
        Mask(mass=0.5, policy="batch", keep_future=True),
        Mask(leak=0.2, policy="recent", recent_rows=9, from_task=1),
    ],
    ids=lambda mask: mask.label,
)
@pytest.mark.parametrize("key", ["finetune", "er", "derpp", "er_ace", "lwf"])
def test_masks_of_members_with_tasks_of_their_own(key: str, mask: Mask) -> None:
    assert_equal_runs(own_tasks(key, mask=mask))


@pytest.mark.parametrize("cfgm", CFGMS)
def test_cfgm_of_members_with_tasks_of_their_own(cfgm: str) -> None:
    assert_equal_runs(own_tasks("finetune", cfgm=CFGMS[cfgm][0], mask=Mask(leak=0.2, visible="seen")))


def test_schedules_of_members_with_tasks_of_their_own() -> None:
    for span in ("task", "run"):
        schedule = Schedule(name="cosine", warmup=0.2, final=0.1, span=span)
        for optimizer in ({"lr": 0.1}, {"lr": 0.05, "momentum": 0.9}):
            training = {"schedule": schedule, "epochs": 2}
            assert_equal_runs(own_tasks("derpp", training=training, optimizer=optimizer))


def test_evaluation_within_tasks_of_members_with_tasks_of_their_own() -> None:
    specs = own_tasks("er", training={"evaluate_every": 3})
    for mine, one in zip(run_population(specs, executor="stack", threads=1), specs, strict=True):
        (alone,) = run_population([one], executor="loop", threads=1)
        assert mine.anytime is not None
        assert alone.anytime is not None
        for name in ("step", "task", "class_incremental"):
            np.testing.assert_array_equal(mine.anytime[name], alone.anytime[name])
        np.testing.assert_allclose(mine.anytime["confidence"], alone.anytime["confidence"], atol=1e-8)


DATA = {"small": SCENARIO, "digits": class_incremental(load("digits"), num_tasks=5)}
FLOAT32: dict[str, Any] = {"dtype": "float32", "epochs": 2}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("key", ["er", "derpp"])
def test_a_stack_of_one_has_the_accuracies_of_the_loop_in_float32(key: str, data: str) -> None:
    one = spec(key, seed=2, tasks=DATA[data], memory=MemoryConfig(size=50), training=FLOAT32)
    (looped,), (stacked,) = (run_population([one], executor=name, threads=1) for name in ("loop", "stack"))
    for name in ("class_incremental", "task_incremental", "newest_share"):
        np.testing.assert_array_equal(getattr(looped, name), getattr(stacked, name))
    np.testing.assert_allclose(looped.confidence, stacked.confidence, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("key", ["er", "derpp"])
def test_grouping_changes_no_bit_in_float32(key: str, data: str, optimizer: str) -> None:
    specs = [
        spec(key, seed=k, tasks=DATA[data], memory=MemoryConfig(size=50), training=FLOAT32,
             optimizer=OPTIMIZERS[optimizer][k])
        for k in range(3)
    ]  # fmt: skip
    together, start = train(Population(specs, stacked=True), range(2)), 0
    for size in (1, 2):
        part = train(Population(specs[start : start + size], stacked=True), range(2))
        for k in range(size):
            for (name, mine), theirs in zip(
                members(part)[k].items(), members(together)[start + k].values(), strict=True
            ):
                assert torch.equal(mine, theirs), name
            assert torch.equal(logits(part, k), logits(together, start + k))
        start += size


def test_results_do_not_depend_on_grouping_threads_or_executor() -> None:
    specs = [spec("derpp", seed=k, training={"dtype": "float32"}, mask=Mask(leak=0.1 * (k + 1))) for k in range(5)]
    expected = run_population(specs, executor="loop", threads=1)
    for options in ({"group_size": 2, "threads": 2}, {"group_size": 5, "threads": 1}, {"group_size": 3, "threads": 2}):
        for mine, other in zip(run_population(specs, executor="stack", **options), expected, strict=True):
            np.testing.assert_allclose(mine.class_incremental, other.class_incremental)
            np.testing.assert_allclose(mine.confidence, other.confidence, atol=1e-6)


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("key", REGISTRY)
def test_state_taken_at_a_task_boundary_resumes_exactly(key: str, stacked: bool) -> None:
    if key == "joint":
        pytest.skip("joint training has one task")
    specs = [spec(key, seed=k, optimizer={"momentum": 0.9, "lr": 0.02}) for k in range(2 if stacked else 1)]
    whole = train(Population(specs, stacked=stacked))
    first = train(Population(specs, stacked=stacked), range(2))
    second = Population(specs, stacked=stacked)
    second.load_state(first.state)
    train(second, range(2, 3))
    for k in range(len(specs)):
        for name, tensor in members(whole)[k].items():
            assert torch.equal(members(second)[k][name], tensor), name
        assert torch.equal(logits(second, k), logits(whole, k))


def test_a_diverging_member_ends_alone_and_is_named() -> None:
    specs = [spec("derpp", seed=k, optimizer={"lr": lr}) for k, lr in enumerate((0.1, 1e12, 0.05))]
    outcomes = run_population(specs, executor="stack", threads=1)
    assert [outcome.status for outcome in outcomes] == ["finished", "diverged", "finished"]
    assert outcomes[1].diverged is not None
    assert "not finite" in outcomes[1].diverged["reason"]
    assert np.isnan(outcomes[1].class_incremental[-1]).all()
    for k in (0, 2):
        alone = run_population([specs[k]], executor="loop", threads=1)[0]
        np.testing.assert_allclose(outcomes[k].class_incremental, alone.class_incremental)
        np.testing.assert_allclose(outcomes[k].confidence, alone.confidence, atol=1e-9)


def test_step_0_of_cfgm_holds_stream_rows_to_the_frozen_network() -> None:
    """x_c is x: the second update is LwF-like distillation, and changes the run."""
    plain = train(Population([spec("finetune")], stacked=False))
    held = train(Population([spec("finetune", cfgm=Cfgm(step=0.0))], stacked=False))
    first = next(iter(members(plain)[0]))
    assert not torch.equal(members(plain)[0][first], members(held)[0][first])
