"""A module tried on two rows, before anything is run: what it gives, and which of its layers gives it."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from maskcl.errors import ConfigError, MaskclError, check, message, raised
from maskcl.functional.modes import in_mode
from maskcl.networks.dropout import check_draws
from maskcl.networks.modules import SAY_WHICH, find_classifier, linear_layers

__all__ = ["blank_rows", "traced_classifier", "trial_rows", "tried", "tried_in_training"]

Calls: TypeAlias = "dict[str, list[tuple[Any, Any]]]"
"""First argument and output of each call of a module, by its qualified name."""


def tried(module: Any, input_shape: tuple[int, ...], num_classes: int, *, classifier: str | None, hint: Any) -> Any:
    """Return a module that gives logits for two rows, has something to train, and a classifier.

    Args:
        module: What a network built.
        input_shape: Shape of one row.
        num_classes: Outputs.
        classifier: Qualified name of the module that gives the logits; None: a linear layer.
        hint: What may help where it cannot take inputs of this shape.

    Raises:
        ConfigError: It is no such module.
    """
    check(isinstance(module, nn.Module), "network", "must be built as an nn.Module", type(module).__name__)
    must = f"must map inputs {[2, *input_shape]} to logits {[2, num_classes]}"
    try:
        out, calls = _traced(module, trial_rows(module, input_shape, 2))
    except MaskclError:
        raise
    except Exception as error:  # whatever a foreign forward raises
        raise ConfigError(message("network", f"{must}, and raised {raised(error)}", hint=hint)) from error
    got = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
    check(got == [2, num_classes], "network", must, got)
    check(any(True for _ in module.parameters()), "network", "must have a parameter to train", type(module).__name__)
    held = [name for name, p in module.named_parameters() if not p.requires_grad]
    must = "must have parameters that are all trained (what is fixed belongs into buffers)"
    check(not held, "network", must, held[:3])
    _classifier_in(module, classifier, out, calls)
    return module


def tried_in_training(module: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return a module that gives logits in training mode as well, and draws no random numbers of its own there.

    Args:
        module: A network, which stays as it is; the caller keeps the global random state.
        input_shape: Shape of one row.
        num_classes: Outputs.

    Raises:
        ConfigError: It is no such module.
    """
    must = f"must give logits {[2, num_classes]} in training as in evaluation"
    try:
        out = check_draws(module, trial_rows(module, input_shape, 2))
    except MaskclError:
        raise
    except Exception as error:  # whatever a foreign forward raises
        raise ConfigError(message("network", f"{must}, and raised {raised(error)}")) from error
    got = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
    check(got == [2, num_classes], "network", must, got)
    must = "must give logits that have a gradient: nothing in its forward may be detached, or under no_grad"
    check(out.requires_grad, "network", must, type(module).__name__)
    return module


def traced_classifier(module: nn.Module, input_shape: tuple[int, ...], *, name: str | None) -> str:
    """Return the qualified name of the module that gives the logits, as a forward of two rows shows it.

    Args:
        module: A network.
        input_shape: Shape of one row.
        name: The module that is meant: it may be followed by a temperature or the like. None: the linear layer whose
            output is the logits, wherever it is declared.

    Raises:
        ConfigError: It gives no logits; or there is no such layer, or the named one is not called once, on rows, for a
            value a class.

    >>> class Gated(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.out, self.gate = nn.Linear(3, 2), nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return self.out(x * self.gate(x))
    >>> traced_classifier(Gated(), (3,), name=None)
    'out'
    """
    out, calls = _traced(module, trial_rows(module, input_shape, 2))
    is_logits = isinstance(out, Tensor) and out.ndim == 2 and len(out) == 2 and out.is_floating_point()
    got = f"{out.dtype} {list(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
    check(is_logits, "network", f"must map inputs {[2, *input_shape]} to logits, floating, [2, classes]", got)
    return _classifier_in(module, name, out, calls)


def _traced(module: nn.Module, inputs: Tensor) -> tuple[Any, Calls]:
    """What a module gives in evaluation mode, and the calls of its parts."""
    calls: Calls = {}

    def watch(name: str, part: nn.Module) -> Any:
        def note(_part: nn.Module, given: tuple[Any, ...], out: Any) -> None:
            calls.setdefault(name, []).append((given[0] if given else None, out))

        return part.register_forward_hook(note)

    handles = [watch(name, part) for name, part in module.named_modules()]
    try:
        with torch.no_grad(), in_mode(module, training=False):
            return module(inputs), calls
    finally:
        for handle in handles:
            handle.remove()


def _classifier_in(module: nn.Module, name: str | None, out: Tensor, calls: Calls) -> str:
    """The classifier of a traced forward."""
    kind = type(module).__name__
    if name is not None:
        find_classifier(module, name)
        count = len(calls.get(name, ()))
        must = f"must be called once in a forward of {kind!r}, and {name!r} was called {count} times"
        check(count == 1, "classifier", must, hint="what goes into it is what methods call features")
        made = calls[name][0][1]
        got = list(made.shape) if isinstance(made, Tensor) else type(made).__name__
        must = f"must give a value a class, {list(out.shape)}, as {name!r} does not"
        check(isinstance(made, Tensor) and made.shape[:2] == out.shape, "classifier", must, got)
        return _on_rows(name, calls)
    linear = linear_layers(module)
    made_by = {found: calls[found][0][1] for found in linear if len(calls.get(found, ())) == 1}
    same = [found for found, made in made_by.items() if made is out]
    if not same:  # the meta device has no values: there the shape has to do
        equal = (lambda made: made.shape == out.shape) if out.is_meta else (lambda made: torch.equal(made, out))
        same = [found for found, made in made_by.items() if equal(made)]
    must = f"must be a linear layer, called once, whose output is the logits, and {kind!r} has none"
    check(bool(same), "classifier", must, hint=SAY_WHICH)
    return _on_rows(same[-1], calls)


def _on_rows(name: str, calls: Calls) -> str:
    """The name of a module that has rows as its first argument: where a hook looks for features."""
    given = calls[name][0][0]
    good = isinstance(given, Tensor) and given.ndim > 1 and len(given) == 2
    check(good, "classifier", f"must have rows as its first argument, as {name!r} has not", type(given).__name__)
    return name


def trial_rows(module: nn.Module, input_shape: tuple[int, ...], count: int) -> Tensor:
    """Rows with values from 0 to 1 that differ, so that layers which differ give different values."""
    rows = blank_rows(module, input_shape, count)
    return rows + torch.linspace(0, 1, rows.numel(), dtype=rows.dtype, device=rows.device).view(rows.shape)


def blank_rows(module: nn.Module, input_shape: tuple[int, ...], count: int) -> Tensor:
    """Rows of zeros to try a module on, of its own type and device, [count, *input_shape]."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(count, *input_shape, dtype=like.dtype, device=like.device)
