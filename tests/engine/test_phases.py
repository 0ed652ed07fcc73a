"""Tasks that pass by, phases on the memory, networks that only look like chains: found in review."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from engine.small import SCENARIO, members, scenario, spec, train
from torch import Tensor, nn

from maskcl import class_incremental
from maskcl.cfgm import Cfgm
from maskcl.engine import Population, RunSpec, run_population
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import POLICIES as KNOWN
from maskcl.memory import MemoryConfig, MemoryPolicy, MemoryState, register
from maskcl.methods import Draw, Method, Needs, Phase, Step
from maskcl.networks import from_factory
from maskcl.optim import OptimizerConfig
from maskcl.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Late(Method):
    """Lets all tasks pass by, and learns the memory when the last has come."""

    key: ClassVar[str] = "late"
    title: ClassVar[str] = "Late"

    @property
    def needs(self) -> Needs:
        return Needs(memory=True, policy="class_balanced")

    def phases(self, task: int, num_tasks: int) -> tuple[Phase, ...]:
        return (Phase(rows="memory", epochs=2),) if task == num_tasks - 1 else ()

    def loss(self, step: Step) -> Tensor:
        return self.losses(step).mean(-1)


@dataclass(frozen=True, kw_only=True)
class Review(Late):
    """Fine-tuning with a pass over the memory at each task's end."""

    key: ClassVar[str] = "review"

    def phases(self, task: int, num_tasks: int) -> tuple[Phase, ...]:
        return (Phase(), Phase(rows="memory"))


def run_of(kind: type[Method], **options: Any) -> RunSpec:
    one = spec("finetune")
    memory = MemoryConfig(size=12)
    return RunSpec(**{**vars(one), "method": kind(**options), "memory": memory})


def test_tasks_without_a_phase_pass_by_into_the_memory() -> None:
    population = train(Population([run_of(Late)], stacked=False))
    memory = population.state.memories[0]
    assert memory is not None
    assert sorted(np.unique(memory.labels)) == list(range(6))
    (outcome,) = run_population([run_of(Late)], threads=1)
    assert np.isnan(outcome.class_incremental[:2]).all()
    assert np.isfinite(outcome.class_incremental[2]).all()


def test_a_phase_on_the_memory_has_no_mask() -> None:
    masked = train(Population([run_of(Review, mask=Mask(value=-np.inf))], stacked=False))
    assert masked.finite() == [True]
    state = masked.state.memories[0]
    assert state is not None
    assert state.num_seen == len(SCENARIO.dataset.train_labels)  # rows of the memory are not offered to it again


def shared(shape: tuple[int, ...], classes: int) -> nn.Module:
    relu = nn.ReLU()
    layers = [nn.Flatten(), nn.Linear(7, 9), relu, nn.Linear(9, 9), relu, nn.Linear(9, classes)]
    return nn.Sequential(*layers)


class Scaled(nn.Sequential):
    """A chain with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def scaled(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Scaled(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, classes))


class Squared(nn.Linear):
    """A layer with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).square()


def squared(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(Squared(7, 9), nn.Linear(9, classes))


def tied(shape: tuple[int, ...], classes: int) -> nn.Module:
    layer = nn.Linear(7, 7)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(7, classes))


def normed(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(7, 9)), nn.ReLU(), nn.Linear(9, classes))


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.parametrize("factory", [shared, scaled, squared, tied, normed])
def test_a_network_that_only_looks_like_a_chain_is_trained_as_itself(factory: Any) -> None:
    network = from_factory(factory, classifier="2" if factory is scaled else None)
    specs = [spec("er", seed=k, network=network, optimizer={"lr": 0.02}) for k in range(2)]
    stacked = train(Population(specs, stacked=True))
    for k, one in enumerate(specs):
        alone = train(Population([one], stacked=False))
        for name, tensor in members(alone)[0].items():
            torch.testing.assert_close(members(stacked)[k][name], tensor, rtol=0, atol=1e-8, msg=name)


@pytest.mark.parametrize("key", ["er", "mir", "ewc"])
def test_members_with_rates_of_their_own_train_in_float32(key: str) -> None:
    uneven = scenario(rows=13).dataset
    orders = [class_incremental(uneven, tasks=tasks) for tasks in ([[0, 1], [2, 3], [4, 5]], [[5], [1, 2, 3], [0, 4]])]
    training = {"schedule": Schedule(name="cosine"), "dtype": "float32"}
    specs = [spec(key, seed=k, tasks=tasks, training=training) for k, tasks in enumerate(orders)]
    stacked = train(Population(specs, stacked=True))
    for k, one in enumerate(specs):
        alone = train(Population([one], stacked=True))
        for name, tensor in members(alone)[0].items():
            if key == "ewc":  # not fused: alone, PyTorch adds lr times the gradient in one operation
                torch.testing.assert_close(members(stacked)[k][name], tensor, rtol=1e-5, atol=1e-6)
            else:
                assert torch.equal(members(stacked)[k][name], tensor), name


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (lambda state, view: None, "must be a MemoryState, got 'NoneType'"),
        (
            lambda state, view: MemoryState(state.rows[:3], state.labels[:3], 0, state.class_counts),
            r"rows: must be int64",
        ),
        (
            lambda state, view: MemoryState(
                np.resize(view.task_rows, len(state.rows)), np.zeros(len(state.rows), np.int64), 0, state.class_counts
            ),
            "labels: must be the classes of the rows",
        ),
    ],
)
def test_what_a_policy_gives_is_checked(found: Any, text: str) -> None:
    @register("odd")
    class Odd(MemoryPolicy):
        def refill(self, state: MemoryState, view: Any) -> MemoryState:
            return found(state, view)

    try:
        with pytest.raises(ConfigError, match=f"memory policy 'odd': refill.*{text}"):
            train(Population([spec("er", memory=MemoryConfig(size=12, policy="odd"))], stacked=False), range(2))
    finally:
        KNOWN.remove("odd")


def test_a_policy_without_a_hook_or_a_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="must override writes or refill"):
        register("idle")(type("Idle", (MemoryPolicy,), {}))
    with pytest.raises(ConfigError, match="must be given the policy's key"):
        register(MemoryPolicy)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be given a class derived from"):
        register("x")(3)  # type: ignore[type-var]


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (lambda self, step: self.losses(step).mean(), r"must be one number for each member"),
        (lambda self, step: None, "got 'NoneType'"),
        (lambda self, step: self.losses(step).mean(-1).detach(), "must have a gradient"),
        (
            lambda self, step: {"a": self.losses(step).mean(-1), "b": self.losses(step).mean(-1)},
            "override of direction",
        ),
    ],
)
def test_what_no_loss_can_be_is_refused_at_the_first_step(loss: Any, text: str, stacked: bool) -> None:
    kind = dataclass(frozen=True, kw_only=True)(type("Odd", (Late,), {"loss": loss, "phases": Method.phases}))
    if not stacked and "one number" in text:
        pytest.skip("one run has one number")
    with pytest.raises(ConfigError, match=text):
        train(Population([run_of(kind)] * (1 + stacked), stacked=stacked))


@dataclass(frozen=True, kw_only=True)
class Choosing(Method):
    """Replays the last rows of a draw, and compares their logits with those that were stored with them."""

    key: ClassVar[str] = "choosing"
    title: ClassVar[str] = "Choosing"

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(3, stored_logits=True, candidates=7),), replay_from_task=0)

    def select(self, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
        places = torch.tensor([6, 4, 5])
        return places.expand(*labels.shape[:-1], 3)

    def loss(self, step: Step) -> Tensor:
        if step.replays:
            (stored,) = step.stored
            GAPS.append((step.split(step.logits, -2)[1] - stored).abs().max().item())
        return self.losses(step).mean(-1)


GAPS: list[float] = []


@pytest.mark.parametrize("stacked", [False, True])
def test_rows_that_are_selected_keep_their_own_stored_logits(stacked: bool) -> None:
    GAPS.clear()
    # a rate that moves nothing: logits stay what they were when they were stored
    specs = [replace(run_of(Choosing), optimizer=OptimizerConfig(lr=1e-300))] * (1 + stacked)
    train(Population(specs, stacked=stacked))
    assert len(GAPS) > 10
    assert max(GAPS) < 1e-12


def test_a_phase_of_one_step_may_make_samples() -> None:
    rows = len(SCENARIO.train_rows[0])
    one = spec("finetune", training={"batch_size": rows}, cfgm=Cfgm(step=1.0))
    assert train(Population([one], stacked=False)).finite() == [True]
