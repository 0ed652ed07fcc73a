"""The class-wise fast gradient method (CFGM): samples of old classes made from new ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from maskcl.errors import ConfigError, ShapeError, check, is_whole, message
from maskcl.functional.modes import in_mode
from maskcl.functional.softmax import Dial, on_device, row_losses
from maskcl.functional.values import Classes, Labels, as_classes, as_dial, as_labels, as_tensor, demand

__all__ = ["cfgm", "moved_rows"]

NORMS = ("raw", "l2", "sign")


def cfgm(
    forward: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Labels,
    *,
    step: Dial,
    num_steps: int = 1,
    norm: str = "raw",
    bounds: tuple[float, float] | tuple[Tensor, Tensor] | None = None,
    visible: Classes | None = None,
) -> Tensor:
    """Move rows along the loss gradient towards a class: x - step * grad_x CE(f(x), c), repeated.

    The loss is that of each row alone, so a row's sample does not depend on the batch it sits in. (The authors' code
    takes the gradient of the batch mean with a step of 20: here that is step = 20 / batch size.)

    Args:
        forward: Differentiable map from inputs [..., B, *shape] to logits [..., B, C]. An `nn.Module` is put into
            evaluation mode meanwhile, so that BatchNorm neither mixes rows nor moves its statistics.
        inputs: Rows to start from, floating, shape [..., B, *shape].
        labels: The class to move each row to, int64, shape [..., B].
        step: Length of a step, 0 or more, in units of `norm`; shape [...].
        num_steps: Steps, 1 or more.
        norm: "raw" gradient, as the authors do; "l2": each row's gradient scaled to length 1; "sign": its signs.
        bounds: Lowest and highest input value, to which each step's result is cut, numbers or tensors that broadcast to
            the inputs; None: not cut.
        visible: Classes in the softmax, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        New rows of the same shape, without a graph; gradients of parameters are left as they were. Under
        `torch.inference_mode` too, where it works on copies, for that mode knows no gradients.

    Raises:
        ShapeError: Integer inputs, an unknown norm, bounds in the wrong order, or labels that do not fit.
        ConfigError: A step that is negative or not finite, or no steps.
        DataError: Labels that are no classes of the logits.

    Source: arXiv 2309.14808, CFGM; docs/methods/cfgm.md.

    >>> linear = torch.nn.Linear(2, 2, bias=False)
    >>> linear.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> cfgm(linear, torch.zeros(1, 2), torch.tensor([1]), step=1.0)
    tensor([[-0.5000,  0.5000]])
    """
    check(isinstance(inputs, Tensor), "cfgm: inputs", "must be a tensor", type(inputs).__name__, error=ShapeError)
    check(inputs.is_floating_point(), "cfgm: inputs", "must be floating point, scaled like the training data",
          inputs.dtype, error=ShapeError, hint="divide 8-bit images by 255")  # fmt: skip
    ordered = bounds is None or bool(torch.as_tensor(bounds[0] <= bounds[1]).all())
    check(ordered, "cfgm: bounds", "must be two numbers, the lower first", bounds,
          error=ShapeError)  # fmt: skip
    check(norm in NORMS, "cfgm: norm", f"must be one of {', '.join(NORMS)}", norm, error=ShapeError)
    good = is_whole(num_steps) and num_steps >= 1
    check(good, "cfgm: num_steps", "must be a whole number, 1 or more", num_steps)
    labels = as_tensor(labels, "cfgm: labels", inputs)
    lead = labels.shape
    must = f"must have the leading shape of the inputs, {tuple(inputs.shape)}"
    check(inputs.shape[: labels.ndim] == lead, "cfgm: labels", must, tuple(lead), error=ShapeError)
    step, rules = as_dial(step, "cfgm: step", lead[:-1])
    demand(rules)
    with _gradients_allowed(), in_mode(forward, training=False) if isinstance(forward, nn.Module) else nullcontext():
        x, labels = _normal(inputs.detach()), _normal(labels)
        visible = _normal(visible) if isinstance(visible, Tensor) else visible

        def losses(x: Tensor) -> Tensor:
            logits = forward(x)
            classes, rules = as_labels(labels, logits, "cfgm: labels")
            demand(rules)
            shown = None if visible is None else as_classes(visible, logits, "cfgm: visible")
            return row_losses(logits, classes, visible=shown)

        return moved_rows(losses, x, lead, step=step, num_steps=num_steps, norm=norm, bounds=bounds)


def moved_rows(
    losses: Callable[[Tensor], Tensor],
    inputs: Tensor,
    lead: Sequence[int],
    *,
    step: Dial,
    num_steps: int = 1,
    norm: str = "raw",
    bounds: tuple[float, float] | tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """`cfgm` without a look at values, for which a device would be waited for: for the engine.

    Args:
        losses: Differentiable map from rows to the loss of each, [..., B].
        inputs: Rows to start from, without a graph, floating, shape [..., B, *shape].
        lead: Their leading shape, [..., B].
        step: As for `cfgm`.
        num_steps: As for `cfgm`.
        norm: As for `cfgm`.
        bounds: As for `cfgm`, on the device of the inputs.

    Returns:
        New rows of the same shape, without a graph.
    """
    x, pace = inputs, on_device(step, inputs.dtype, inputs.device)
    pace = pace.reshape(*pace.shape, *[1] * (inputs.ndim - pace.ndim))
    for _ in range(num_steps):
        grad = _gradient(lambda x: losses(x).sum(), x)
        if norm == "sign":
            grad = grad.sign()
        elif norm == "l2":
            length = grad.reshape(*lead, -1).norm(dim=-1).reshape(*lead, *[1] * (inputs.ndim - len(lead)))
            grad = grad / length.clamp(min=torch.finfo(grad.dtype).tiny)
        x = torch.addcmul(x, grad, pace, value=-1)  # one pass over the rows, which are as large as the weights
        if bounds is not None:
            x = x.clamp_(*bounds)
    return x


def _gradients_allowed() -> AbstractContextManager[object]:
    """Leave inference mode, in which there are no gradients."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()


def _normal(tensor: Tensor) -> Tensor:
    """Copy what was made in inference mode, which autograd does not take."""
    return tensor.clone() if tensor.is_inference() else tensor


def _gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    try:
        leaf = x.detach().requires_grad_()
    except RuntimeError:  # inside torch.func's transforms, which have their own gradient; outside it is 0.2 ms slower
        return torch.func.grad(function)(x)
    try:
        with torch.enable_grad():
            (grad,) = torch.autograd.grad(function(leaf), leaf)
    except RuntimeError as error:
        if "nference tensor" not in str(error):
            raise
        must = "must not hold tensors made in torch.inference_mode, which autograd does not take"
        raise ConfigError(message("cfgm: forward", must, hint="make the network outside of it")) from None
    return grad
