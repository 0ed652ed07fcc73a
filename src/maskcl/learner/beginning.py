"""What a learner begins with: classes that are known, or announced, or in the first rows, and a core for them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

from torch import nn

from maskcl.errors import DataError, check
from maskcl.experiment.config import Config
from maskcl.learner.core import Core
from maskcl.learner.labels import Labels, class_list
from maskcl.learner.network import num_outputs
from maskcl.learner.rows import Rows
from maskcl.memory import POLICIES

__all__ = ["begun", "check_given"]


def check_given(known: Any, classes: Any, input_range: Any) -> None:
    """Refuse arguments that no rows could make good: classes that are no labels, a range that is none."""
    class_list(known, "Learner: known")
    class_list(classes, "Learner: classes")
    try:
        low, high = (0.0, 0.0) if input_range is None else (float(value) for value in input_range)
    except (TypeError, ValueError):
        low = high = math.nan
    must = "must be two finite numbers, the lower first, or None"
    check(-math.inf < low <= high < math.inf, "Learner: input_range", must, input_range)


def begun(
    config: Config,
    rows: Rows,
    where: str,
    *,
    network: Any,
    known: Any,
    classes: Any,
    input_range: tuple[float, float] | None,
    seed: int,
) -> tuple[Core, Labels]:
    """Return a core for the first rows, and the classes.

    Args:
        config: Checked settings.
        rows: The first rows.
        where: The call, for messages.
        network: As the learner was given it.
        known: Labels of a trained network's outputs; None: there are none.
        classes: Labels that are announced; None: there are none.
        input_range: Lowest and highest value of inputs; None: as rows have them.
        seed: The learner's.

    Raises:
        ConfigError: Classes that do not fit the network.
        DataError: Fewer than two classes.
    """
    knows, listed = class_list(known, "Learner: known"), class_list(classes, "Learner: classes")
    _check_slots(config, listed)
    names = Labels([*knows, *(label for label in listed if label not in knows)]).with_new(rows.labels)
    must, hint = "must have two classes to tell apart, and has one class", "classes=[...] tells the others beforehand"
    check(len(names) > 1, where, must, names.names, error=DataError, hint=hint)
    if knows:
        trained = isinstance(network, nn.Module)
        check(trained, "Learner: known", "must be left out unless network is a trained nn.Module", knows)
        width = num_outputs(network, rows.inputs.shape[1:])
        check(len(knows) == width > 1, "Learner: known", f"must name the network's {width} outputs, two or more",
              len(knows))  # fmt: skip
    core = Core(config, seed=seed, num_classes=len(knows) or len(names), like=rows.inputs, known=len(knows),
                input_range=input_range)  # fmt: skip
    return core, names


def _check_slots(config: Config, listed: Sequence[Hashable]) -> None:
    """Refuse a memory that gives slots to classes beforehand, where nobody says which: now, not at the next fit."""
    if config.memory is not None and not listed:
        policy = str(config.memory.policy or config.method.needs.policy)
        must = "must be told beforehand with a memory policy whose slots belong to classes: classes=[...]"
        hint = f"memory={{'size': {config.memory.size}, 'policy': 'reservoir'}} takes any class that comes"
        check(not POLICIES.find(policy).fixed_classes, "Learner: classes", must, policy, hint=hint)
