"""Whole runs with leak = "auto": equal to a fixed leak, or to none, where the counts say so; and cut anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine.small import members, scenario, spec, train
from methods.by_hand import logs, step

from maskcl import class_incremental
from maskcl.cfgm import Cfgm
from maskcl.engine import Population, RunSpec, run_population
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Method, find
from maskcl.testing.cutting import assert_same_outcome, in_pieces

TWO = scenario(2, rows=12, classes=4)
KEPT = MemoryConfig(size=8, policy="herding")
"""4 rows of each class of the first task, all of them throughout the second."""
ASIDE = MemoryConfig(size=9, policy="herding")
"""The same for a method that sets a tenth of the slots aside, and a row of each class."""


def networks(one: RunSpec, *, stacked: bool = False) -> dict[str, torch.Tensor]:
    return members(train(Population([one], stacked=stacked)))[0]


def assert_equal_runs(one: RunSpec, other: RunSpec, atol: float = 1e-12) -> None:
    mine, theirs = networks(one), networks(other)
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=atol, msg=name)


@pytest.mark.parametrize(
    ("method", "options", "leak"),
    [
        ("finetune", {}, 1 / 12),
        ("ewc", {}, 1 / 12),
        ("lwf", {}, 1 / 12),
        ("finetune", {"cfgm": Cfgm(step=0.5)}, (1 / 12) ** 0.5),
        ("finetune", {"cfgm": Cfgm(step=0.5, target="label")}, 1 / 12),
        ("er", {"memory": KEPT}, 4 / 12),
        ("er_ace", {"memory": KEPT}, 4 / 12),
        ("mir", {"memory": KEPT, "candidates": 5}, 4 / 12),
        ("agem", {"memory": KEPT}, 4 / 12),
        ("derpp", {"memory": KEPT}, (4 / 12) ** 0.5),
        ("der", {"memory": KEPT}, (4 / 12) ** 0.5),
        (
            "bic",
            {"memory": MemoryConfig(size=9, policy="herding")},
            (4 / 11) ** 0.5,
        ),  # a slot, and a row a class, aside
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_on_stream_rows_it_is_the_leak_that_the_counts_say(method: str, options: dict[str, Any], leak: float) -> None:
    """Four classes, two tasks, 12 rows a class; the mask begins with the second task, where no class is unknown."""
    common: dict[str, Any] = {"tasks": TWO, "training": {"epochs": 2}, **options}
    auto = spec(method, mask=Mask(leak="auto", memory_rows="plain", from_task=1), **common)
    assert_equal_runs(auto, spec(method, mask=Mask(leak=leak, from_task=1), **common))


@pytest.mark.parametrize("method", ["er", "derpp"])
def test_at_power_0_it_is_no_mask_to_the_last_bit(method: str) -> None:
    assert_equal_runs(spec(method, mask=Mask(leak="auto", power=0.0)), spec(method), atol=0.0)


def test_where_all_classes_have_as_many_rows_it_is_no_mask() -> None:
    """The memory keeps all 12 rows of each old class: nothing is rarer than anything else."""
    whole: dict[str, Any] = {"tasks": TWO, "memory": MemoryConfig(size=24, policy="herding")}
    assert_equal_runs(spec("er", mask=Mask(leak="auto", from_task=1), **whole), spec("er", **whole), atol=0.0)


def test_memory_rows_have_the_prior_too_unless_they_are_plain() -> None:
    """Exponentials 2 3 | 5 1 and counts 1 : 10; by hand."""
    prior = torch.tensor([[1.0, 10.0]], dtype=torch.float64).log()
    one = step(logs([2, 3], [5, 1]), [1, 0], 1, 1, prior=prior)
    both = find("er")(mask=Mask(leak="auto"), reduction="sum").losses(one)
    torch.testing.assert_close(both.exp(), torch.tensor([32 / 30, 15 / 5], dtype=torch.float64))
    alone = step(logs([2, 3], [5, 1]), [1, 0], 1, 1, prior=prior * torch.tensor([[1.0], [0.0]]))
    plain = find("er")(mask=Mask(leak="auto", memory_rows="plain")).losses(alone)
    torch.testing.assert_close(plain.exp(), torch.tensor([32 / 30, 6 / 5], dtype=torch.float64))
    different = [networks(spec("er", mask=Mask(leak="auto", memory_rows=rows))) for rows in ("prior", "plain")]
    assert any(not torch.equal(a, b) for a, b in zip(*(each.values() for each in different), strict=True))


def test_gradients_of_a_row_add_up_to_zero() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    prior = torch.tensor([[-3.0, 0.0, -12.0, -1.0]], dtype=torch.float64)
    one = step(logits, [0, 1, 2, 3, 1], 3, 2, prior=prior)
    (gradient,) = torch.autograd.grad(find("er")(mask=Mask(leak="auto")).losses(one).sum(), logits)
    torch.testing.assert_close(gradient.sum(-1), torch.zeros(5, dtype=torch.float64))
    expected = (logits + prior).softmax(-1) - torch.eye(4, dtype=torch.float64)[[0, 1, 2, 3, 1]]
    torch.testing.assert_close(gradient, expected.detach())


def test_logits_that_hold_old_classes_halve_the_power() -> None:
    powers = {"er": 1.0, "er_ace": 1.0, "mir": 1.0, "agem": 1.0, "ewc": 1.0, "si": 1.0, "finetune": 1.0}
    powers |= {"der": 0.5, "derpp": 0.5, "bic": 0.5, "lwf": 1.0}
    assert {key: find(key)(mask=Mask(leak="auto")).prior_power for key in powers} == powers
    assert find("derpp")(mask=Mask(leak="auto", power=0.8)).prior_power == 0.8
    held: Method = find("finetune")(mask=Mask(leak="auto"), cfgm=Cfgm(step=1.0))
    assert held.prior_power == 0.5


def test_a_stream_whose_rows_stray_takes_it_by_task_as_well() -> None:
    stray = class_incremental(TWO.dataset, num_tasks=2, blurry=0.3)
    assert not stray.is_clean
    auto = spec("er", tasks=stray, mask=Mask(leak="auto"))
    plan = train(Population([auto], stacked=True), range(1)).plan(1).members[0]
    assert plan.prior is not None
    counts = np.bincount(TWO.dataset.train_labels[stray.train_rows[1]], minlength=4)
    assert (counts > 0).all(), "every class has rows in the second task"
    first = plan.before
    assert first is not None
    slots = np.bincount(first.labels[first.rows >= 0], minlength=4)
    np.testing.assert_allclose(np.exp(plan.prior[0]), (counts + slots) / (counts + slots).max())
    with pytest.raises(ConfigError, match=r"mask\.policy: must be 'batch' or 'recent' where rows come in tasks"):
        spec("er", tasks=stray, mask=Mask(leak=0.1))
    with pytest.raises(ConfigError, match=r"mask\.visible: must be 'all' where rows come in tasks"):
        spec("er", tasks=stray, mask=Mask(leak="auto", visible="seen"))


@pytest.mark.parametrize("executor", ["loop", "stack"])
@pytest.mark.parametrize("mask", [Mask(leak="auto"), Mask(leak="auto", policy="recent", recent_rows=30)], ids=str)
def test_a_run_that_was_cut_anywhere_is_the_same(mask: Mask, executor: str) -> None:
    training = {"dtype": "float32", "checkpoint_every": 1, "save_weights": True}
    specs = [spec("er", seed=k, mask=mask, training=training) for k in range(1 if executor == "loop" else 2)]
    whole = run_population(specs, executor=executor, threads=1)
    for one, other in zip(whole, in_pieces(specs, executor=executor), strict=True):
        assert_same_outcome(one, other, what=f"a run ({executor}) that was cut")


def test_runs_with_a_number_and_with_counts_do_not_share_a_population() -> None:
    specs = [spec("er", mask=mask) for mask in (Mask(leak="auto"), Mask(leak=0.1))]
    assert specs[0].structure != specs[1].structure
    together = run_population(specs, executor="stack", threads=1)
    for outcome, one in zip(together, specs, strict=True):
        alone = run_population([one], executor="stack", threads=1)[0]
        np.testing.assert_array_equal(outcome.class_incremental, alone.class_incremental)


def test_joint_training_has_no_old_classes() -> None:
    with pytest.raises(ConfigError, match=r"mask\.policy: must be 'batch' or 'recent' with method 'joint'"):
        spec("joint", mask=Mask(leak="auto"))
