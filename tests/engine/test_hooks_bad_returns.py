"""What a method's hooks must not give back is refused in a sentence where it first arrives; found in review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, cast

import pytest
import torch
from engine.small import spec, train
from torch import Tensor

from maskcl.engine import Population, RunSpec, training, update
from maskcl.errors import ConfigError
from maskcl.memory import MemoryConfig
from maskcl.methods import Draw, Method, Needs, Phase, Step


@dataclass(frozen=True, kw_only=True)
class Plain(Method):
    """Replay with as few hooks as can be."""

    key: ClassVar[str] = "plain"
    title: ClassVar[str] = "Plain"

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(3),))

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        return self.losses(step).mean(-1)


@dataclass(frozen=True, kw_only=True)
class Choosing(Plain):
    """Chooses among candidates."""

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(3, candidates=5), Draw(2)))


@dataclass(frozen=True, kw_only=True)
class Remembering(Plain):
    """Remembers a number and two tensors."""

    def init_state(self, weights: Any, num_classes: int) -> Any:
        members = len(weights[0])
        return {"a": torch.zeros(members), "b": [torch.zeros(members, 2)], "c": {"d": torch.zeros(members, 0)}}


def odd(base: type[Method], **hooks: Any) -> type[Method]:
    """A method with other hooks."""
    return dataclass(frozen=True, kw_only=True)(type("Odd", (base,), hooks))


def run_of(kind: type[Method], **options: Any) -> RunSpec:
    return RunSpec(**vars(spec("er")) | {"method": kind(**options), "memory": MemoryConfig(size=8)})


def attempt(kind: type[Method], stacked: bool, **options: Any) -> str:
    """Train two tasks and judge; return what it is refused with."""

    def whole() -> None:
        train(Population([run_of(kind, **options)] * (1 + stacked), stacked=stacked), range(2)).evaluate(1)

    with pytest.raises(ConfigError) as raised:
        whole()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def selects(change: Callable[[Tensor], Any]) -> type[Method]:
    def select(self: Method, before: Tensor, after: Tensor, labels: Tensor) -> Any:
        return change(torch.arange(3).expand(*labels.shape[:-1], 3))

    return odd(Choosing, select=select)


SELECTED = "Odd.select: must return positions"


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda good: torch.cat([good, good], -1), "got 'int64 [{}6]'"),
        (lambda good: good[..., :2], "got 'int64 [{}2]'"),
        (lambda good: good > 0, "got 'bool [{}3]'"),
        (lambda good: good.double(), "got 'float64 [{}3]'"),
        (lambda good: None, "got 'NoneType'"),
        (lambda good: good + 3, "among 5 candidates, 0 to 4, got 5"),
        (lambda good: good - 1, "among 5 candidates, 0 to 4, got -1"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(change: Any, told: str, stacked: bool) -> None:
    text = attempt(selects(change), stacked)
    assert text.startswith(SELECTED)
    assert text.endswith(told.format("2, " if stacked else "") + ".")


def test_a_good_choice_is_taken() -> None:
    assert train(Population([run_of(selects(lambda good: good))] * 2, stacked=True)).finite() == [True, True]


def test_candidates_without_a_choice_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Choosing\.needs: must have no candidates in a draw without .* select"):
        run_of(Choosing)


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda good: None, "must return one tensor for each of 6 parameters, in a list, got 'NoneType'"),
        (lambda good: good[:-1], "in a list, got 'list of 5'"),
        (lambda good: iter(good), "in a list, got 'list_iterator'"),
        (
            lambda good: [g.sum() for g in good],
            "must be a tensor of the parameter's shape, [{}, 16, 7], got 'float64 []'",
        ),
        (lambda good: [*good[:-1], good[-1][:, :1]], "[5]: must be a tensor of the parameter's shape, [{}, 6], got"),
        (lambda good: [*good[:-1], 0.0], "[5]: must be a tensor of the parameter's shape, [{}, 6], got 'float'"),
    ],
)
def test_a_direction_that_cannot_be_is_refused(change: Any, told: str, stacked: bool) -> None:
    kind = odd(Plain, direction=lambda self, gradients, weights, state: change(gradients["loss"]))
    text = attempt(kind, stacked)
    assert text.startswith("Odd.direction")
    assert told.format(1 + stacked) in text


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(
    ("state", "told"),
    [
        (lambda members: None, "must return a dict of tensors, and of lists of tensors, by name, got 'NoneType'"),
        (lambda members: torch.zeros(members), "by name, got 'float32 [{}]'"),
        (lambda members: {"a": (torch.zeros(members),)}, "by name, got 'a: tuple of 1'"),
        (lambda members: {"a": 0.5}, "by name, got 'a: float'"),
        (lambda members: {"a": [None]}, "by name, got 'a.0: NoneType'"),
        (lambda members: {"a": torch.zeros(6)}, "tensors [K, ...] with K members, here {}, got 'a: float32 [6]'"),
        (lambda members: {"b": [torch.tensor(0.0)]}, "with K members, here {}, got 'b.0: float32 []'"),
    ],
)
def test_a_first_state_that_cannot_be_is_refused(state: Any, told: str, stacked: bool) -> None:
    text = attempt(odd(Plain, init_state=lambda self, weights, num_classes: state(len(weights[0]))), stacked)
    assert text.startswith("Odd.init_state: must return ")
    assert text.endswith(told.format(1 + stacked) + ".")


GOOD = {"a": torch.tensor(0.0), "b": [torch.zeros(2)], "c": {"d": torch.zeros(3)}}


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(
    ("state", "told"),
    [
        (lambda view: None, "must return a dict of tensors, and of lists of tensors, by name, got 'NoneType'"),
        (lambda view: {"a": GOOD["a"], "b": GOOD["b"]}, "the names of init_state, ['a', 'b', 'c'], got ['a', "),
        (lambda view: GOOD | {"e": torch.zeros(1)}, "the names of init_state, ['a', 'b', 'c'], got ['a', "),
        (lambda view: GOOD | {"c": {"e": torch.zeros(1)}}, "the names of init_state, ['d'], in 'c', got ['e']"),
        (lambda view: GOOD | {"a": torch.zeros(1)}, "'a' as a tensor with as many dimensions as before, 0, got 'float"),
        (lambda view: GOOD | {"b": torch.zeros(2)}, "must return 'b' as a list, as init_state does, got 'float32 [2]'"),
        (lambda view: GOOD | {"b": [torch.zeros(1, 2)]}, "must return 'b.0' as a tensor with as many dimensions"),
        (lambda view: GOOD | {"a": [GOOD["a"]]}, "'a' as a tensor with as many dimensions as before, 0, got 'list"),
    ],
)  # fmt: skip
def test_a_tasks_end_that_forgets_names_or_dimensions_is_refused(state: Any, told: str, stacked: bool) -> None:
    text = attempt(odd(Remembering, end_task=lambda self, before, view: state(view)), stacked)
    assert text.startswith("Odd.end_task: must return ")
    assert told in text


def test_sizes_may_change_at_a_tasks_end() -> None:
    """A state of class means starts with a dimension of 0 and gets its size when a task has ended."""
    kind = odd(Remembering, end_task=lambda self, before, view: GOOD | {"c": {"d": torch.zeros(4 + view.task)}})
    population = train(Population([run_of(kind)] * 2, stacked=True))
    assert population.state.method["c"]["d"].shape == (2, 6)


def test_members_states_of_different_sizes_are_refused() -> None:
    def end_task(self: Method, before: Any, view: Any) -> Any:
        return GOOD | {"c": {"d": torch.zeros(1 + int(view.weights[0].sum() > 0.5))}}

    specs = [
        RunSpec(**vars(run_of(odd(Remembering, end_task=end_task))) | {"seeds": spec(seed=k).seeds}) for k in range(9)
    ]
    with pytest.raises(
        ConfigError, match=r"Odd\.end_task: must return tensors of the same shapes for all members, got"
    ):
        train(Population(specs, stacked=True))


@pytest.mark.parametrize("stacked", [True, False])
def test_a_state_before_an_evaluation_that_cannot_be_is_refused(stacked: bool) -> None:
    text = attempt(odd(Plain, before_evaluation=lambda self, state, view: None), stacked)
    assert text.startswith("Odd.before_evaluation: must return a dict of tensors")


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda logits: None, "must return scores, floating [26, 6], got 'NoneType'"),
        (lambda logits: logits.argmax(-1), "must return scores, floating [26, 6], got 'int64 [26]'"),
        (lambda logits: logits[:, :2], "must return scores, floating [26, 6], got 'float64 [26, 2]'"),
        (lambda logits: logits.round().long(), "must return scores, floating [26, 6], got 'int64 [26, 6]'"),
        (lambda logits: logits * torch.nan, "must return scores without nan, got 'nan'"),
    ],
)
def test_predictions_that_cannot_be_are_refused(change: Any, told: str, stacked: bool) -> None:
    text = attempt(odd(Plain, predict=lambda self, outputs, state: change(outputs.logits)), stacked)
    assert text == f"Odd.predict: {told}."


def test_what_a_diverged_network_gives_is_not_the_methods_fault() -> None:
    kind = odd(Plain, predict=lambda self, outputs, state: outputs.logits)
    population = Population([run_of(kind)], stacked=False)
    next(iter(population.model.weights.params.values())).data.fill_(torch.nan)
    assert torch.isnan(torch.from_numpy(population.evaluate(0)[0].confidence)).all()


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        (lambda: None, r"Odd\.phases: must return a tuple of Phase for task 0, got None\."),
        (lambda: Phase(), r"Odd\.phases: must return a tuple of Phase for task 0, got Phase\("),
        (lambda: ("task",), r"Odd\.phases: must return a tuple of Phase for task 0, got \('task',\)"),
        (lambda: (Phase(rows="tasks"),), r"phase\.rows: must be one of task, all, memory, got 'tasks'\. Did you"),
        (lambda: (Phase(epochs=0),), r"phase\.epochs: must be a whole number, 1 or more, got 0"),
        (lambda: (Phase(fresh=cast(Any, 1)),), r"phase\.fresh: must be true or false, got 1"),
    ],
)  # fmt: skip
def test_phases_that_cannot_be_are_refused_before_anything_runs(phases: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        run_of(odd(Plain, phases=lambda self, task, num_tasks: phases()))


def test_a_phase_on_the_memory_needs_one() -> None:
    phases = {"phases": lambda self, task, num_tasks: (Phase(rows="memory"),), "needs": Needs()}
    with pytest.raises(ConfigError, match=r"Odd\.phases: must leave out rows = 'memory', or needs\.memory must say"):
        RunSpec(**vars(spec("finetune")) | {"method": odd(Plain, **phases)()})


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        (lambda: None, r"Odd\.needs: must be a property that returns Needs, got None"),
        (lambda: Needs(views=0), r"needs\.views: must be a whole number, 1 or more, got 0"),
        (lambda: Needs(replay_from_task=-1), r"needs\.replay_from_task: must be a whole number, 0 or more, got -1"),
        (lambda: Needs(draws=cast(Any, Draw(3))), r"needs\.draws: must be a tuple of Draw, got Draw"),
        (lambda: Needs(draws=(cast(Any, 3),)), r"needs\.draws: must be a tuple of Draw, got \(3,\)"),
        (lambda: Needs(teacher=cast(Any, "stream")), r"needs\.teacher: must be a tuple of names, got 'stream'"),
        (lambda: Needs(teacher=("steam",)), r"needs\.teacher: must be one of stream, memory, got 'steam'"),
        (lambda: Needs(held_out=1.0), r"needs\.held_out: must be 0 or more and below 1, got 1\.0"),
        (lambda: Needs(held_out=cast(Any, "a")), r"needs\.held_out: must be 0 or more and below 1, got 'a'"),
        (lambda: Needs(draws=(Draw(0),)), r"draw\.size: must be a whole number, 1 or more, got 0"),
        (lambda: Needs(draws=(Draw(3, candidates=2),)), r"draw\.candidates: must be 0, or size, 3, or more, got 2"),
        (lambda: Needs(draws=(Draw(3, classes="new"),)), r"draw\.classes: must be one of all, old, got 'new'"),
        (lambda: Needs(draws=(Draw(3, cast(Any, 5)),)), r"draw\.stored_logits: must be true or false, got 5"),
    ],
)  # fmt: skip
def test_needs_that_cannot_be_met_are_refused_with_the_settings(needs: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        odd(Plain, needs=property(lambda self: needs()))()


@pytest.mark.parametrize("stacked", [True, False])
def test_no_loss_at_all_is_refused(stacked: bool) -> None:
    same = {"direction": lambda self, gradients, weights, state: next(iter(gradients.values()))}
    text = attempt(odd(Plain, loss=lambda self, step: {}, **same), stacked)
    assert text == "Odd.loss: must return one loss or several by name, got {}."


def test_a_loss_that_is_wrong_with_memory_rows_alone_is_refused_at_the_first_of_them() -> None:
    def loss(self: Method, step: Step) -> Tensor:
        return self.losses(step) if step.replays else self.losses(step).mean(-1)

    assert attempt(odd(Plain, loss=loss), False).startswith("Odd.loss: must be one number for each member")


@pytest.mark.parametrize("head", [lambda num_features: 3, torch.nn.Linear])
def test_a_head_that_is_no_module_is_refused(head: Any) -> None:
    text = attempt(odd(Plain, head=lambda self, num_features: head), False)
    assert text.startswith("Odd.head: must return a torch.nn.Module or None, got ")


def test_returns_are_looked_at_once_in_steps_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other step waits for a device: of 26 rows in batches of 4, five replay in full steps and one in the last."""
    selected, looked = list[int](), list[str]()

    def select(self: Method, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
        selected.append(1)
        return torch.arange(3)

    def watch(module: ModuleType, name: str) -> None:
        check = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: (looked.append(name), check(*given)))

    watch(training, "check_selected")
    watch(training, "check_losses")
    watch(update, "check_direction")
    kind = odd(Choosing, select=select, direction=lambda self, gradients, weights, state: gradients["loss"])
    train(Population([run_of(kind)], stacked=False), range(1))
    assert len(selected) == 6
    kinds = {"check_selected": 2, "check_losses": 1 + 2 * 2, "check_direction": 1 + 2}  # the first step has no replay
    assert {name: looked.count(name) for name in kinds} == kinds
