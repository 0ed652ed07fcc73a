"""What a method is: hyper-parameters, what it needs, the loss of one step, and hooks for what is more than a loss.

A method never sees the executor, the memory or the optimiser. So it is written once, for one run and for a population;
what it overrides decides what the engine does (docs/design/protocol.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from maskcl.cfgm import Cfgm
from maskcl.errors import check
from maskcl.functional.prototypes import class_means, nearest_mean
from maskcl.functional.softmax import (
    at_least_float32,
    gradient_factor,
    is_one,
    masked_losses,
    row_losses,
    scale_gradient,
)
from maskcl.mask import Mask
from maskcl.methods.step import Draw, Gradients, Needs, Phase, State, Step
from maskcl.optim import per_member
from maskcl.settings import check_declared, dial, option
from maskcl.view import Outputs, View

__all__ = [
    "Draw",
    "Gradients",
    "Method",
    "NearestMean",
    "Needs",
    "Outputs",
    "Phase",
    "State",
    "Step",
    "View",
    "dial",
    "option",
    "overrides",
    "per_member",
]


@dataclass(frozen=True, kw_only=True)
class Method:
    """Base of all methods: a mask on stream rows, plain memory rows.

    A hook that a class does not override costs nothing.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    short: ClassVar[str] = ""
    """Its name in tables; empty: the key in capitals."""
    paper: ClassVar[str] = ""

    mask: Mask | None = option(None, "the mask on stream rows; none: plain softmax")
    cfgm: Cfgm | None = option(None, "samples of old classes made from stream rows; none: not made")

    def __post_init__(self) -> None:
        check_declared(self, "method")
        needs = self.needs
        check(isinstance(needs, Needs), f"{type(self).__name__}.needs", "must be a property that returns Needs", needs)
        for name, reason in (("mask", needs.no_mask), ("cfgm", needs.no_cfgm)):
            given = getattr(self, name)
            check(given is None or not reason, name, f"must be left out with method {self.key!r}, which {reason}",
                  getattr(given, "label", given))  # fmt: skip

    @property
    def needs(self) -> Needs:
        """What the engine has to provide."""
        return Needs()

    @property
    def prior_power(self) -> float:
        """Power of counts in a mask with `leak = "auto"` (`maskcl.functional.log_prior`), if the mask names none.

        1 where labels alone hold old classes; 1/2 where logits do: stored ones, a teacher's on rows of the memory,
        those CFGM is held to. A teacher that sees stream rows alone (LwF) is asked about new classes.
        """
        if self.mask is not None and self.mask.power is not None:
            return self.mask.power
        needs, cfgm = self.needs, self.cfgm
        by_teacher = any(rows != "stream" for rows in needs.teacher)
        by_samples = cfgm is not None and cfgm.target == "frozen"
        return 0.5 if needs.stores_logits or by_teacher or by_samples else 1.0

    def phases(self, task: int, num_tasks: int) -> tuple[Phase, ...]:
        """What is trained on when a task comes; without a phase on the task's rows they pass by, into the memory."""
        return (Phase(),)

    def head(self, num_features: int) -> nn.Module | None:
        """One more module on the features, [n, D] -> [n, P], trained beside the classifier; None for most."""
        return None

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        """What is remembered besides weights: tensors [K, ...] by name, and lists of them.

        What `end_task` gives has these names, and as many dimensions; a size that is not known yet is 0 here, e.g.
        [K, C, 0] for class means of features, which become [C, D].

        Args:
            weights: The parameters, then those of a head, [K, ...].
            num_classes: Outputs of the classifier, C.
        """
        return {}

    def select(self, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
        """Choose among the candidates of a draw.

        Args:
            before: Their logits, [..., n, C].
            after: Their logits after a virtual step of plain SGD on the stream rows alone.
            labels: Their classes, int64 [..., n].

        Returns:
            Positions of those to replay, int64 [..., size].
        """
        raise NotImplementedError

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        """Return the loss of one step, [...]; or several by name, whose gradients `direction` combines."""
        raise NotImplementedError

    def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
        """What the optimiser takes for the gradient, one tensor a parameter, [K, ...].

        Called once more where CFGM has an update of its own: then its loss's gradient stands under the first name, and
        those under the other names are 0.

        Args:
            gradients: By the names of the step's losses ("loss" where there is one), one tensor a parameter, [K, ...].
            weights: The parameters, in the same order.
            state: What the method remembers.
        """
        raise NotImplementedError

    def after_step(self, gradients: Gradients, moves: Sequence[Tensor], state: State) -> None:
        """Take note of an update in `state`, in place; called after a separate update of CFGM too.

        Args:
            gradients: What `direction` gets; in a separate update of CFGM 0 under all names but the first.
            moves: How the weights moved, [K, ...].
            state: What the method remembers.
        """
        raise NotImplementedError

    def end_task(self, state: State, view: View) -> State:
        """What one member remembers once a task has ended, in the form of `state`: no member dimension here."""
        return state

    def before_evaluation(self, state: State, view: View) -> State:
        """What `predict` gets as state in one evaluation of one member; no tensor has a member dimension here."""
        return state

    def predict(self, outputs: Outputs, state: State) -> Tensor:
        """Scores whose argmax is the prediction, [..., n, C]."""
        return outputs.logits

    def losses(self, step: Step, *, visible: Tensor | None = None) -> Tensor:
        """Cross-entropy of every row, [..., n]: masked on stream rows, plain on memory rows, in one softmax.

        Memory rows are rows whose classes are all active. One pass over the joined rows costs half of one pass a
        source, and these small passes are what a step's time goes into.

        Args:
            step: The step.
            visible: Classes in the softmax at all, for methods that say so themselves; None: as the mask says.
        """
        visible = step.visible if visible is None else visible
        mask, active = self.mask, step.active
        if step.prior is not None:
            logits = at_least_float32(step.logits) + step.prior
            return row_losses(logits, step.labels, label_smoothing=step.label_smoothing, visible=visible)
        if mask is None or active is None:
            return row_losses(step.logits, step.labels, label_smoothing=step.label_smoothing, visible=visible)
        logits = step.logits
        if not (is_one(mask.old_scale) and is_one(mask.new_scale)):
            stream, *memory = step.split(logits, -2)
            factor = gradient_factor(
                active[..., : step.sizes[0], :], mask.new_scale, mask.old_scale, dtype=logits.dtype
            )
            logits = torch.cat([scale_gradient(stream, factor), *memory], -2)  # memory rows keep their gradient
        leak = None if isinstance(mask.leak, str) else mask.leak
        return masked_losses(logits, step.labels, active, value=mask.value, mass=mask.mass, leak=leak,
                             label_smoothing=step.label_smoothing, visible=visible)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NearestMean(Method):
    """Base of methods that predict the class whose mean of memory rows' features is nearest."""

    def before_evaluation(self, state: State, view: View) -> State:
        """Class means of the memory rows' features as the network sees them now."""
        rows = view.memory_rows
        if len(rows) == 0:
            return state
        outputs = view.outputs(rows)
        assert outputs.features is not None
        return {"means": class_means(outputs.features, view.labels(rows), outputs.logits.shape[-1])}

    def predict(self, outputs: Outputs, state: State) -> Tensor:
        """Nearest class mean; logits before there are any."""
        if "means" not in state or outputs.features is None:
            return outputs.logits
        return nearest_mean(outputs.features, state["means"])


def overrides(method: Method, *hooks: str) -> bool:
    """Whether a method's class has a hook of its own, any of these."""
    return any(getattr(type(method), hook) is not getattr(Method, hook) for hook in hooks)
