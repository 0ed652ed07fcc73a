"""What a learner begins with: classes that are known, or announced, or in the first rows, and a core for them."""

from __future__ import annotations

from typing import Any

from torch import nn

from maskcl.errors import DataError, check
from maskcl.experiment.config import Config
from maskcl.learner.core import Core
from maskcl.learner.labels import Labels, to_list
from maskcl.learner.network import num_outputs
from maskcl.learner.rows import Rows

__all__ = ["begun"]


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
    knows, listed = (
        [] if given is None else to_list(list(given), f"Learner: {name}")
        for name, given in (("known", known), ("classes", classes))
    )
    for name, given in (("known", knows), ("classes", listed)):
        twice = next((label for label in given if given.count(label) > 1), None)
        check(twice is None, f"Learner: {name}", "must name each class once", twice)
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
