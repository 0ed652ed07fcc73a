"""The contract of `maskcl.testing`, for every registered method; and that a broken method fails it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from maskcl.errors import ConfigError
from maskcl.functional import row_losses
from maskcl.methods import REGISTRY, Draw, Gradients, Method, Needs, Outputs, State, Step, View, dial, option
from maskcl.testing import CHECKS, Trial, check_method

OPTIONS: dict[str, dict[str, Any]] = {  # where defaults do not suit runs of 20 steps
    "ewc": {"strength": 2.0, "fisher_rows": 10},
    "gdumb": {"passes": 3},
    "bic": {"held_out": 0.3},
    "mir": {"candidates": 6},
    "agem": {"replay_batch": 6},
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("key", REGISTRY)
def test_every_method_keeps_the_contract(key: str, check: str) -> None:
    CHECKS[check](Trial(REGISTRY[key], OPTIONS.get(key, {})))


@dataclass(frozen=True, kw_only=True)
class Homesick(Method):
    """A method with a hook of nearly every kind, and a state whose names and shapes are its own."""

    key: ClassVar[str] = "homesick"
    title: ClassVar[str] = "Homesick"

    pull: float = dial(0.3, "weight of the pull towards the weights of the last task's end, 0 or more", least=0)
    replay_batch: int = option(5, "memory rows a step, 1 or more", least=1)

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(self.replay_batch, stored_logits=True),), teacher=("stream",), features=True)

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        members = len(weights[0])
        return {
            "home": [w.clone() for w in weights],
            "trips": weights[0].new_zeros(members),
            "bias": weights[0].new_zeros(members, num_classes),
        }

    def loss(self, step: Step) -> Tensor:
        assert step.features is not None
        stream, *memory = step.split(self.losses(step))
        loss = stream.mean(-1) + 1e-3 * step.features.square().mean((-2, -1))
        if step.teacher is not None:
            loss = loss + 0.1 * (step.logits[..., : step.sizes[0], :] - step.teacher).square().mean((-2, -1))
        return loss + memory[0].mean(-1) if memory else loss

    def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
        pull = self.pull
        pulls = [pull.view(-1, *[1] * (w.ndim - 1)) if isinstance(pull, Tensor) else pull for w in weights]
        return [g + p * (w - h) for g, w, h, p in zip(gradients["loss"], weights, state["home"], pulls, strict=True)]

    def after_step(self, gradients: Gradients, moves: Sequence[Tensor], state: State) -> None:
        state["trips"] += sum(move.flatten(1).norm(dim=1) for move in moves)

    def end_task(self, state: State, view: View) -> State:
        bias = -0.1 * view.outputs(view.task_rows).logits.mean(0)
        return {"home": [w.clone() for w in view.weights], "trips": state["trips"], "bias": bias}

    def predict(self, outputs: Outputs, state: State) -> Tensor:
        return outputs.logits + state["bias"]


def test_a_method_of_another_package_with_a_state_of_its_own_keeps_the_contract() -> None:
    assert check_method(Homesick) == list(CHECKS)


class Broken:
    """Ways to be wrong, each found by the check that is named."""

    @dataclass(frozen=True, kw_only=True)
    class Mean(Homesick):
        def loss(self, step: Step) -> Tensor:  # reduces over members too
            return super().loss(step).mean()

    @dataclass(frozen=True, kw_only=True)
    class Idle(Homesick):
        def end_task(self, state: State, view: View) -> State:
            return dict(state)

    @dataclass(frozen=True, kw_only=True)
    class Chance(Homesick):
        def loss(self, step: Step) -> Tensor:
            return super().loss(step) * (1 + torch.rand(()))

    @dataclass(frozen=True, kw_only=True)
    class Forgetful(Homesick):
        def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
            return [torch.zeros_like(g) for g in gradients["loss"]]

    @dataclass(frozen=True, kw_only=True)
    class Unmasked(Homesick):
        def loss(self, step: Step) -> Tensor:
            return row_losses(step.logits, step.labels).mean(-1)

    @dataclass(frozen=True, kw_only=True)
    class Undescribed(Homesick):
        extra: float = 1.0


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Broken.Mean, "stack_equals_loop"),
        (Broken.Idle, "hooks"),
        (Broken.Chance, "seeds"),
        (Broken.Forgetful, "finite"),
        (Broken.Unmasked, "masks"),
        (Broken.Undescribed, "declaration"),
    ],
)
def test_a_broken_method_fails_the_check_that_is_for_it(kind: type[Method], check: str) -> None:
    with pytest.raises((AssertionError, ConfigError)):
        CHECKS[check](Trial(kind, {}))
    with pytest.raises(AssertionError, match=f"{kind.__name__}: "):
        check_method(kind)


@dataclass(frozen=True, kw_only=True)
class Leaning(Homesick):
    """Its hooks stand on each other: predict on what is made before an evaluation, that on a draw that is chosen."""

    key: ClassVar[str] = "leaning"

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(2), Draw(3, candidates=5)), teacher=("stream",), features=True)

    def select(self, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
        return after.amax(-1).topk(3, dim=-1).indices

    def before_evaluation(self, state: State, view: View) -> State:
        return state | {"shift": state["bias"] * view.task}

    def predict(self, outputs: Outputs, state: State) -> Tensor:
        if "shift" not in state:
            raise RuntimeError("X1 and X2")
        return outputs.logits + state["shift"]


@dataclass(frozen=True, kw_only=True)
class IdleChoice(Leaning):
    def select(self, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:  # what comes first, as without it
        return torch.arange(3).expand(*labels.shape[:-1], -1)


@dataclass(frozen=True, kw_only=True)
class IdleBefore(Homesick):
    def before_evaluation(self, state: State, view: View) -> State:
        return dict(state)


def test_a_hook_that_others_stand_on_acts() -> None:
    CHECKS["hooks"](Trial(Leaning, {}))


@pytest.mark.parametrize(("kind", "hook"), [(IdleChoice, "select"), (IdleBefore, "before_evaluation")])
def test_a_hook_that_does_nothing_is_named(kind: type[Method], hook: str) -> None:
    with pytest.raises(AssertionError, match=f"{hook} must act, and does not"):
        CHECKS["hooks"](Trial(kind, {}))


def test_a_hook_that_raises_is_named() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Raising(Homesick):
        def end_task(self, state: State, view: View) -> State:
            raise RuntimeError("X1 and X2")

    with pytest.raises(AssertionError, match=r"Raising: finite: end_task raised RuntimeError: X1 and X2"):
        check_method(Raising)


def test_a_misspelt_hook_or_option_is_named() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Misspelt(Homesick):
        def end_tsk(self, state: State, view: View) -> State:
            return state

    with pytest.raises(ConfigError, match=r"end_tsk: must not look like a hook.*\n.*'end_task'"):
        check_method(Misspelt)
    with pytest.raises(ConfigError, match="Did you mean 'replay_batch'"):
        check_method(Homesick, options={"replay_bach": 3})


def test_only_methods_can_be_checked() -> None:
    with pytest.raises(ConfigError, match="check_method: must be given a class derived from"):
        check_method(int)  # type: ignore[arg-type]
