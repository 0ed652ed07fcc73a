"""A learner's network as an ONNX graph that takes rows as `predict` does: 8-bit pictures need no preparation."""

from __future__ import annotations

import importlib.util
import json
import os
import warnings
from typing import Any

import torch
from torch import Tensor, nn

import maskcl
from maskcl.augment import Augment
from maskcl.errors import ConfigError, check, message, raised
from maskcl.files import write_atomically
from maskcl.learner.core import Core
from maskcl.learner.labels import Labels
from maskcl.learner.tasks import hidden_classes
from maskcl.methods.base import overrides

__all__ = ["write_onnx"]

INPUT, OUTPUTS = "rows", ("logits", "probabilities")


class Graph(nn.Module):
    """A network with everything around it, in float32: stored rows -> logits, probabilities.

    Args:
        network: From finished rows to logits [n, C].
        augment: Its means and deviations are taken; what is random is of training alone.
        is_raw: Rows are uint8, and stand for value / 255.
        hidden: Classes that must not be predicted, bool [C].
    """

    barred: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, augment: Augment, *, is_raw: bool, hidden: Tensor) -> None:
        super().__init__()
        self.network, self.is_raw, self.normalised = network.float(), is_raw, augment.normalise is not None
        self.register_buffer("barred", torch.zeros(len(hidden)).masked_fill(hidden, -torch.inf))
        if (
            augment.normalise is not None
        ):  # not `augment.normalise` itself: it keeps tensors, and tracers make unreal ones
            self.register_buffer("mean", torch.tensor(augment.normalise[0])[:, None, None])
            self.register_buffer("std", torch.tensor(augment.normalise[1])[:, None, None])

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """As `Table.finished` and `Core.scores` do."""
        found = rows.float() / 255 if self.is_raw else rows
        found = (found - self.mean) / self.std if self.normalised else found
        logits = self.network(found) + self.barred
        return logits, logits.softmax(1)


def write_onnx(path: str | os.PathLike[str], core: Core, names: Labels, *, image_size: int | None) -> None:
    """Write the file; see `Learner.export_onnx`."""
    where, method = "Learner.export_onnx", core.config.method
    other = overrides(method, "predict", "before_evaluation")
    check(not other, f"{where}: method", f"must predict by its logits, and {method.key!r} does not", method.key,
          hint="the network alone is Learner.network_")  # fmt: skip
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    hint = "pip install 'maskcl[onnx]'"
    check(not missing, where, f"must have the package {' and '.join(missing)}, which is not installed", hint=hint)
    table, network = core.population.data.train, core.population.network(0).cpu().eval()
    hidden = hidden_classes(method.mask, core.tasks, core.num_classes)
    graph = Graph(network, table.augment, is_raw=table.is_raw, hidden=hidden).eval()
    like = torch.zeros(2, *core.input_shape, dtype=torch.uint8 if table.is_raw else torch.float32)
    model = _traced(graph, like, where)
    kind: dict[str, Any] = {"name": INPUT, "type": str(core.rows.dtype), "shape": ["rows", *core.input_shape]}
    if table.is_raw and core.input_shape[0] == 3:
        kind["pictures"] = "red, green, blue, 0 to 255"
        kind["fitted"] = None if image_size is None else "shorter side scaled, bilinear, and the middle cut out"
    about = {"class_names": json.dumps([_told(name) for name in names.names]), "input": json.dumps(kind),
             "maskcl": maskcl.__version__}  # fmt: skip
    for key, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    write_atomically(path, model.SerializeToString())


def _traced(graph: nn.Module, like: Tensor, where: str) -> Any:
    """The graph as ONNX's own object, for any number of rows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's remarks on itself
            program = torch.onnx.export(
                graph, (like,), None, input_names=[INPUT], output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("rows")},), dynamo=True, verbose=False,
            )  # fmt: skip
        assert program is not None
        return program.model_proto
    except Exception as error:  # whatever a foreign forward, or a converter, raises
        must = f"must have a network that ONNX can express ({raised(error)})"
        raise ConfigError(message(where, must, type(graph.network).__name__)) from error


def _told(label: Any) -> Any:
    """A label in JSON: as it is, or in Python's words."""
    return label if label is None or isinstance(label, (str, int, float, bool)) else str(label)
