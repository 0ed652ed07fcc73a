"""What a method's hooks give back, held against the protocol where it first arrives: one sentence for each mistake.

Each check is made once (in a chunk of steps, at a task's end, in an evaluation), so that steps cost what they cost and
nothing waits for a device after the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from maskcl.engine.model import Forward
from maskcl.errors import check
from maskcl.methods import Method, Phase, State
from maskcl.methods.base import overrides

__all__ = [
    "check_direction", "check_head", "check_losses", "check_phases", "check_selected", "check_state",
    "check_together", "checked_start", "scores_of",
]  # fmt: skip


def check_losses(method: Method, losses: object, leading: tuple[int, ...]) -> None:
    """`loss`: one number for each member, with a graph; several only where their gradients are combined."""
    where = _name(method, "loss")
    named = losses if isinstance(losses, dict) else {"loss": losses}
    check(len(named) > 0, where, "must return one loss or several by name", losses)
    for name, loss in named.items():
        kind = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        must = f"must be one number for each member, a tensor of shape {leading}"
        check(kind == leading, where if len(named) == 1 else f"{where} {name!r}", must, kind)
        graph = isinstance(loss, Tensor) and loss.requires_grad
        check(graph, where, "must have a gradient to the logits or features of the step", kind)
    must = "must come with an override of direction, which combines the gradients of several losses"
    check(len(named) == 1 or overrides(method, "direction"), where, must, list(named))


def check_selected(method: Method, places: object, leading: tuple[int, ...], size: int, candidates: int) -> None:
    """`select`: as many positions among the candidates as are replayed."""
    shape, where = (*leading, size), _name(method, "select")
    good = isinstance(places, Tensor) and places.dtype == torch.int64 and tuple(places.shape) == shape
    check(good, where, f"must return positions, int64 {list(shape)}", _kind(places))
    if isinstance(places, Tensor) and places.numel() and not places.is_meta:  # there are no values there
        low, high = int(places.min()), int(places.max())
        must = f"must return positions among {candidates} candidates, 0 to {candidates - 1}"
        check(low >= 0 and high < candidates, where, must, low if low < 0 else high)


def check_direction(method: Method, found: object, weights: Sequence[Tensor]) -> None:
    """`direction`: one tensor a parameter, each of its shape."""
    where, must = _name(method, "direction"), f"must return one tensor for each of {len(weights)} parameters, in a list"
    check(isinstance(found, (list, tuple)) and len(found) == len(weights), where, must, _kind(found))
    for place, (one, weight) in enumerate(zip(found, weights, strict=True)):  # type: ignore[call-overload]
        good = isinstance(one, Tensor) and one.shape == weight.shape
        check(
            good, f"{where} [{place}]", f"must be a tensor of the parameter's shape, {list(weight.shape)}", _kind(one)
        )


def checked_start(method: Method, state: State, members: int) -> State:
    """`init_state`, as it is: a dict of tensors, each with a member dimension, and of lists and dicts of them."""
    where = _name(method, "init_state")
    for name, tensor in _leaves(where, state):
        good = tensor.ndim > 0 and len(tensor) == members
        check(good, where, f"must return tensors [K, ...] with K members, here {members}", f"{name}: {_kind(tensor)}")
    return state


def check_state(method: Method, hook: str, found: object, before: State | None = None) -> None:
    """`end_task` and `before_evaluation`: a state of one member, and at a task's end one of the same form.

    Args:
        method: The method.
        hook: Whose it is.
        found: What came back.
        before: What `found` must have the names of, with as many dimensions; sizes may differ. None: any.
    """
    where = _name(method, hook)
    _leaves(where, found)
    if before is not None:
        _check_form(where, found, before, "")


def _check_form(where: str, found: Any, before: Any, name: str) -> None:
    if isinstance(before, dict):
        names = sorted(map(str, found)) if isinstance(found, dict) else _kind(found)
        must = f"must return the names of init_state, {sorted(before)}" + (f", in {name!r}" if name else "")
        check(isinstance(found, dict) and found.keys() == before.keys(), where, must, names)
        for key, part in before.items():
            _check_form(where, found[key], part, f"{name}.{key}".removeprefix("."))
    elif isinstance(before, list):
        check(isinstance(found, list), where, f"must return {name!r} as a list, as init_state does", _kind(found))
        for place, (one, other) in enumerate(zip(found, before, strict=False)):
            _check_form(where, one, other, f"{name}.{place}")
    else:
        good = isinstance(found, Tensor) and found.ndim == before.ndim
        must = f"must return {name!r} as a tensor with as many dimensions as before, {before.ndim}"
        check(good, where, must, _kind(found))


def check_together(method: Method, hook: str, states: Sequence[State]) -> None:
    """States of members that are to be stacked: of the same shapes."""
    where = _name(method, hook)
    first, *others = ([(name, list(tensor.shape)) for name, tensor in _leaves(where, state)] for state in states)
    for shapes in others:
        odd = [(mine, other) for mine, other in zip_longest(first, shapes) if mine != other]
        check(not odd, where, "must return tensors of the same shapes for all members", *odd[:1])


def check_phases(method: Method, task: int, phases: object) -> None:
    """`phases`: a tuple of them; those on the memory need one."""
    where = _name(method, "phases")
    good = isinstance(phases, tuple) and all(isinstance(phase, Phase) for phase in phases)
    check(good, where, f"must return a tuple of Phase for task {task}", phases)
    for phase in phases:  # type: ignore[attr-defined]
        must = "must leave out rows = 'memory', or needs.memory must say that there is one"
        check(phase.rows != "memory" or method.needs.uses_memory, where, must, phase)


def check_head(method: Method, head: object) -> None:
    """`head`: a module, or none."""
    good = head is None or isinstance(head, nn.Module)
    check(good, _name(method, "head"), "must return a torch.nn.Module or None", _kind(head))


def scores_of(method: Method, forward: Forward, state: State) -> Callable[[Tensor], Tensor]:
    """Return `predict` of one member as a function of inputs [N, ...]; its first scores are looked at."""
    if not overrides(method, "predict"):
        return lambda inputs: method.predict(forward(inputs), state)
    looked, where = False, _name(method, "predict")

    def scores(inputs: Tensor) -> Tensor:
        nonlocal looked
        outputs = forward(inputs)
        found = method.predict(outputs, state)
        if not looked:
            looked, shape = True, outputs.logits.shape
            good = isinstance(found, Tensor) and found.is_floating_point() and found.shape == shape
            check(good, where, f"must return scores, floating {list(shape)}", _kind(found))
            diverged = not outputs.logits.isfinite().all()  # that is the network's, and is found elsewhere
            check(diverged or not found.isnan().any(), where, "must return scores without nan", "nan")
        return found

    return scores


def _name(method: Method, hook: str) -> str:
    return f"{type(method).__name__}.{hook}"


def _kind(thing: object) -> str:
    """What something is, for messages: a tensor's type and shape, a list's length, else the type's name."""
    if isinstance(thing, Tensor):
        return f"{str(thing.dtype).removeprefix('torch.')} {list(thing.shape)}"
    name = type(thing).__name__
    return f"{name} of {len(thing)}" if isinstance(thing, (list, tuple)) else name


def _leaves(where: str, tree: Any, name: str = "") -> list[tuple[str, Tensor]]:
    """The tensors of a state by dotted names, if it is one: anything else in it would be lost, or not be stacked."""
    if isinstance(tree, Tensor) and name:
        return [(name, tree)]
    good = isinstance(tree, dict) or (isinstance(tree, list) and bool(name))
    what = f"{name}: {_kind(tree)}" if name else _kind(tree)
    check(good, where, "must return a dict of tensors, and of lists of tensors, by name", what)
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [leaf for key, part in parts for leaf in _leaves(where, part, f"{name}.{key}".removeprefix("."))]
