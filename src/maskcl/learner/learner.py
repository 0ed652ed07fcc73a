"""`Learner`: a classifier that goes on learning new classes, in scikit-learn's manners."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from maskcl.errors import ConfigError, DataError, MaskclError, check, is_whole, message
from maskcl.files import as_path
from maskcl.learner.columns import check_columns, column_names
from maskcl.learner.files import holds_learner, read_file, write_file
from maskcl.learner.labels import Labels, class_list
from maskcl.learner.onnx import write_onnx
from maskcl.learner.progress import OnProgress
from maskcl.learner.rows import check_weights, read_labelled
from maskcl.learner.settings import DEFAULT_SLOTS
from maskcl.learner.standing import Standing
from maskcl.learner.stream import check_streams

__all__ = ["Learner"]


class Learner(Standing):
    """A classifier that learns new classes without forgetting the old ones, from data that may be gone afterwards.

    Each `fit` learns a batch of data, new classes among it, and goes on from what was fitted before: other than
    scikit-learn's estimators it does not start anew. `partial_fit` takes single steps, of a stream that has no tasks.
    Settings have the names and forms of experiment files, e.g. `mask={"leak": 0.1}`.

    Args:
        network: An `nn.Module` that ends in a linear layer (copied, never changed), the name of a network ("mlp",
            "resnet18", "timm/...") or a table of its settings, or factory(input_shape, num_classes).
        method: Name of a method ("er", "derpp", "finetune", ...), or a table with a name and the method's settings.
        memory: Rows kept for replay, or a table of settings, e.g. {"size": 500, "policy": "class_balanced"}; 0 for
            methods without a memory.
        mask: What new rows may do to old classes, e.g. {"leak": 0.1} or {"value": 0.0}; None: the method's own, which
            for most is no mask.
        cfgm: Samples of old classes made from new rows, e.g. {"weight": 1.0}: replay without a memory. None: not made.
        lr: Learning rate; 0.05 where optimizer has none either.
        optimizer: Table of the optimiser's settings, e.g. {"name": "adam", "lr": 0.001}.
        batch_size: New rows a step.
        training: Table of further settings of [training]: augment, label_smoothing, precision, dtype, ...
        classes: All classes, where they are known beforehand; the network has an output for each from the start.
        known: What the outputs of `network`, an `nn.Module` that is trained already, stand for, in their order.
        input_range: Lowest and highest value that inputs can take; None: those of the rows so far. CFGM keeps to it.
        image_size: Height and width that pictures of folders are brought to; None: they have one size.
        device: "cpu", "cuda", "mps" or "auto".
        seed: Initial weights and all chance in training depend on it alone.

    Attributes:
        classes_: Labels in the order of the network's outputs.
        network_: The trained `nn.Module`, in evaluation mode: a copy.
        n_features_in_: Columns of the first fit's rows, where they have one dimension.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> def rows(label):
    ...     return rng.normal(size=(100, 8)).astype(np.float32) + 4 * np.eye(8, dtype=np.float32)[label]
    >>> learner = Learner("mlp", method="er", memory=50, mask={"leak": 0.1})
    >>> _ = learner.fit(np.concatenate([rows(0), rows(1)]), ["cat"] * 100 + ["dog"] * 100, epochs=3)
    >>> _ = learner.fit(rows(2), ["owl"] * 100, epochs=3)
    >>> learner.predict(np.concatenate([rows(0)[:1], rows(2)[:1]])).tolist()
    ['cat', 'owl']
    """

    def __init__(
        self,
        network: Any = "mlp",
        *,
        method: Any = "er",
        memory: Any = DEFAULT_SLOTS,
        mask: Any = None,
        cfgm: Any = None,
        lr: float | None = None,
        optimizer: Mapping[str, Any] | None = None,
        batch_size: int = 32,
        training: Mapping[str, Any] | None = None,
        classes: Iterable[Hashable] | None = None,
        known: Iterable[Hashable] | None = None,
        input_range: tuple[float, float] | None = None,
        image_size: int | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.network, self.method, self.memory, self.mask, self.cfgm = network, method, memory, mask, cfgm
        self.lr, self.optimizer, self.batch_size, self.training = lr, optimizer, batch_size, training
        self.classes, self.known = (list(c) if isinstance(c, Iterator) else c for c in (classes, known))
        self.input_range, self.image_size, self.device, self.seed = input_range, image_size, device, seed
        self._settings()  # a slip is best told where it was made

    def fit(
        self, inputs: Any, labels: Any = None, *, epochs: int = 1, on_progress: OnProgress | None = None
    ) -> Learner:
        """Learn a batch of data: usually all there is of some new classes.

        Args:
            inputs: Rows [n, ...], floating, or uint8 images [n, channels, height, width]: array, tensor, nested lists.
                Without `labels`: a map-style torch Dataset or a DataLoader of pairs, a `maskcl.data.Dataset`, or a
                folder with a folder of pictures for each class.
            labels: One a row, anything hashable; classes that are new get an output.
            epochs: Passes over the rows, 1 or more.
            on_progress: Called as (steps done, steps in all) now and then.

        Returns:
            The learner itself.

        Raises:
            DataError: Rows that cannot be learnt from, or a loss that is not finite; the learner is as it was before.
            ConfigError: Settings that do not suit the rows, or have changed since the first fit.
        """
        good = is_whole(epochs) and epochs >= 1
        check(good, "Learner.fit: epochs", "must be a whole number, 1 or more", epochs)
        good = on_progress is None or callable(on_progress)
        check(good, "Learner.fit: on_progress", "must be callable as (steps done, steps in all), or None", on_progress)
        rows, core, names = self._taken(inputs, labels, "Learner.fit")
        numbers, columns = names.numbers(rows.labels, "labels"), column_names(inputs)
        try:
            core.fit(rows.inputs, numbers, epochs=epochs, num_classes=len(names), on_progress=on_progress)
        finally:
            self._name(core, names)
        self._stand_on(core, names, columns)
        return self

    def partial_fit(self, inputs: Any, labels: Any = None, *, classes: Iterable[Hashable] | None = None) -> Learner:
        """Take a step on each batch of rows, in their order, as they come from a stream that has no tasks.

        Args:
            inputs: As for `fit`.
            labels: One a row.
            classes: All classes, where they are known beforehand; in the first call only, and in place of the
                argument of the same name.

        Returns:
            The learner itself.

        Raises:
            DataError: Rows that cannot be learnt from; or a loss or weights that are not finite: that step is undone,
                as it is after Ctrl-C, and those before it are done.
            ConfigError: Settings that need tasks which end: mask policy "task", herding, methods with an end of tasks;
                or that have changed since the first call.
        """
        if classes is not None:
            given = class_list(classes, "Learner.partial_fit: classes")
            fresh = not self._fitted or set(given) == set(self._names.names)
            check(fresh, "Learner.partial_fit: classes", "must be those of the first call, or left out", given)
        rows, core, names = self._taken(inputs, labels, "Learner.partial_fit", classes=classes)
        if not core.streaming:  # settings do not change within a stream
            check_streams(core)
        numbers, columns = names.numbers(rows.labels, "labels"), column_names(inputs)
        size = core.config.training.batch_size
        for start in range(0, len(numbers), size):
            part = slice(start, start + size)
            try:
                core.step(rows.inputs[part], numbers[part], num_classes=len(names))
            finally:
                self._name(core, names)
            self._stand_on(core, names, columns)
        return self

    def predict(self, inputs: Any) -> NDArray[Any]:
        """Return the label of each row, [n]; of a folder, of all pictures below it in the order of their paths.

        Raises:
            NotFittedError: scikit-learn's, a ValueError: before the first fit, unless `known` was given.
            DataError: Rows of another kind, or for which the network gives no finite scores.
        """
        best = self._scores(inputs, "Learner.predict").argmax(1)
        return self.classes_[best]

    def predict_proba(self, inputs: Any) -> NDArray[np.float64]:
        """Return the probability of each class for each row, [n, C], in the order of `classes_`.

        It is the softmax of what the method predicts by: logits, for most. Raises as `predict` does.
        """
        scores = self._scores(inputs, "Learner.predict_proba")
        odds = np.exp(scores - scores.max(1, keepdims=True))
        return odds / odds.sum(1, keepdims=True)

    def decision_function(self, inputs: Any) -> NDArray[np.float64]:
        """Return what the method predicts by, [n, C]; of two classes the difference, [n], as scikit-learn has it."""
        scores = self._scores(inputs, "Learner.decision_function")
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def score(self, inputs: Any, labels: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows that are predicted right, 0 to 1.

        Args:
            inputs: As for `fit`; of a `maskcl.data.Dataset` the test rows.
            labels: One a row; a class that was never fitted counts as wrong.
            sample_weight: Weight of each row, [n], finite, 0 or more, and not all 0; None: all alike.
        """
        rows = read_labelled(inputs, labels, "Learner.score", image_size=self.image_size, judges=True)
        weights = check_weights(sample_weight, len(rows.labels), "Learner.score: sample_weight")
        check_columns(column_names(inputs), self._columns, "Learner.score")
        best = self._answered(rows.inputs, "Learner.score").argmax(1)
        right = [guess == label for guess, label in zip(self.classes_[best].tolist(), rows.labels, strict=True)]
        return float(np.average(right, weights=weights))

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels in the order of the network's outputs."""
        if not self._fitted and self.known is not None:
            return Labels(class_list(self.known, "Learner: known")).array()
        self._check_fitted("Learner.classes_", AttributeError)
        return self._names.array()

    @property
    def network_(self) -> nn.Module:
        """A copy of the trained network, in evaluation mode, on the CPU."""
        self._check_fitted("Learner.network_", AttributeError)
        return self._core.population.network(0).cpu()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that later fits and predictions depend on into one file, as a whole or not at all.

        Args:
            path: The file, ~ being your home; a link is followed, and a file that is there keeps its permissions.

        Raises:
            NotFittedError: scikit-learn's, a ValueError: before the first fit.
            ConfigError: Settings that have changed since the first fit, labels that a file cannot tell apart, or a file
                that cannot be written.
        """
        self._check_fitted("Learner.save")
        self._given.check_kept(vars(self), "Learner.save")
        params, columns = self._given.plain | {"image_size": self.image_size}, self._columns
        write_file(as_path(path, "Learner.save: path"), params, self._names, self._core, columns)

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the network for programs without PyTorch: scaling inside, class names in the metadata.

        The graph computes in float32; it maps rows as `predict` takes them, [n, *shape] (pictures: uint8, 0 to 255) to
        "logits" and "probabilities", both [n, C], C in the order of `classes_`. Its metadata has "class_names" and
        "input" (name, type and shape, and how pictures are brought to it), both JSON, and "maskcl", the version.

        Args:
            path: The file; it is there as a whole or not at all. One that holds a learner is never written over.

        Raises:
            NotFittedError: scikit-learn's, a ValueError: before the first fit.
            ConfigError: A method that does not predict by its logits, a network that has no such form,
                packages that are missing, or a file that cannot be written.
        """
        self._check_fitted("Learner.export_onnx")
        path = as_path(path, "Learner.export_onnx: path")
        if holds_learner(path):
            must = "must be another file than one that holds a learner, which would be lost"
            raise ConfigError(message(str(path), must, hint="a name that ends in .onnx"))
        write_onnx(path, self._core, self._names, image_size=self.image_size)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, network: Any = None, device: str | None = None) -> Learner:
        """Return a learner that goes on where the one that was saved stood, to the last bit.

        Args:
            path: From `save`.
            network: The module or factory, where it was one of one's own: a file runs no code. Its weights do not
                matter, its structure has to be the same.
            device: Where to go on; None: where it was.

        Raises:
            MissingDataError: There is no such file.
            DataError: It is damaged, of another version, or no learner.
            ConfigError: `network` is missing, or another one.
        """
        saved = read_file(as_path(path, "Learner.load: path"), network=network, keys=cls._get_param_names())
        try:
            learner = cls(**saved.params)
        except (MaskclError, TypeError, ValueError) as error:
            raise DataError(f"{saved.where}: {error}") from error
        learner.device = learner.device if device is None else device
        learner._stand_on(saved.core(learner._settings()), saved.names, saved.columns)
        return learner
