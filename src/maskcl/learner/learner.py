"""`Learner`: a classifier that goes on learning new classes, in scikit-learn's manners."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn

from maskcl.data.folder import check_pixels
from maskcl.errors import check, is_whole, message
from maskcl.learner.beginning import begun
from maskcl.learner.core import Core
from maskcl.learner.files import read_file, write_file
from maskcl.learner.labels import Labels, to_list
from maskcl.learner.onnx import write_onnx
from maskcl.learner.progress import OnProgress
from maskcl.learner.rows import Rows, check_kind, read_inputs, read_labelled
from maskcl.learner.settings import DEFAULT_SLOTS, read_settings
from maskcl.learner.stream import check_streams

__all__ = ["Learner"]


class Learner(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
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
        self.classes, self.known, self.input_range, self.image_size = classes, known, input_range, image_size
        self.device, self.seed = device, seed
        check_pixels("Learner: image_size", image_size)
        self._settings()  # a slip is best told where it was made

    def _settings(self) -> Any:
        names = ("network", "method", "memory", "mask", "cfgm", "lr", "optimizer", "batch_size", "training", "device",
                 "seed")  # fmt: skip
        return read_settings(**{name: getattr(self, name) for name in names})

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
            ConfigError: Settings that do not suit the rows.
        """
        good = is_whole(epochs) and epochs >= 1
        check(good, "Learner.fit: epochs", "must be a whole number, 1 or more", epochs)
        rows, core, names = self._taken(inputs, labels, "Learner.fit")
        numbers = names.numbers(rows.labels, "labels")
        core.fit(rows.inputs, numbers, epochs=epochs, num_classes=len(names), on_progress=on_progress)
        return self._stand_on(core, names)

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
            DataError: Rows that cannot be learnt from; or a loss that is not finite, the step that led there done.
            ConfigError: Settings that need tasks which end: mask policy "task", herding, methods with an end of tasks.
        """
        if classes is not None:
            given = to_list(list(classes), "Learner.partial_fit: classes")
            fresh = not self._fitted or set(given) == set(self._names.names)
            check(fresh, "Learner.partial_fit: classes", "must be those of the first call, or left out", given)
        rows, core, names = self._taken(inputs, labels, "Learner.partial_fit", classes=classes)
        if not core.streaming:  # settings do not change within a stream
            check_streams(core)
        numbers, size = names.numbers(rows.labels, "labels"), core.config.training.batch_size
        for start in range(0, len(numbers), size):
            part = slice(start, start + size)
            core.step(rows.inputs[part], numbers[part], num_classes=len(names))
            self._stand_on(core, names)
        return self

    def predict(self, inputs: Any) -> NDArray[Any]:
        """Return the label of each row, [n]; of a folder, of all pictures below it in the order of their paths."""
        best = self._scores(inputs, "Learner.predict").argmax(1)
        return self.classes_[best]

    def predict_proba(self, inputs: Any) -> NDArray[np.float64]:
        """Return the probability of each class for each row, [n, C], in the order of `classes_`.

        It is the softmax of what the method predicts by: logits, for most.
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
            sample_weight: Weight of each row; None: all alike.
        """
        rows = read_labelled(inputs, labels, "Learner.score", image_size=self.image_size, judges=True)
        found = self.predict(rows.inputs)
        right = [guess == label for guess, label in zip(found.tolist(), rows.labels, strict=True)]
        return float(np.average(right, weights=sample_weight))

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels in the order of the network's outputs."""
        self._check_fitted("Learner.classes_", AttributeError)
        return self._names.array()

    @property
    def network_(self) -> nn.Module:
        """A copy of the trained network, in evaluation mode, on the CPU."""
        self._check_fitted("Learner.network_", AttributeError)
        return self._core.population.network(0).cpu()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that later fits and predictions depend on into one file, as a whole or not at all.

        Raises:
            ConfigError: Not fitted yet, labels that a file cannot tell apart, or a file that cannot be written.
        """
        self._check_fitted("Learner.save")
        write_file(path, self.get_params(deep=False), self._names, self._core)

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the network for programs without PyTorch: scaling inside, class names in the metadata.

        The graph computes in float32; it maps rows as `predict` takes them, [n, *shape] (pictures: uint8, 0 to 255) to
        "logits" and "probabilities", both [n, C], C in the order of `classes_`. Its metadata has "class_names" and
        "input" (name, type and shape, and how pictures are brought to it), both JSON, and "maskcl", the version.

        Args:
            path: The file; it is there as a whole or not at all.

        Raises:
            ConfigError: Not fitted yet, a method that does not predict by its logits, a network that has no such form,
                packages that are missing, or a file that cannot be written.
        """
        self._check_fitted("Learner.export_onnx")
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
        saved = read_file(path, network=network, device=device)
        learner = cls(**saved.params)
        return learner._stand_on(saved.core(learner._settings()), saved.names)

    @property
    def _fitted(self) -> bool:
        return hasattr(self, "_core")

    def __sklearn_is_fitted__(self) -> bool:
        """Asked by scikit-learn's tools."""
        return self._fitted

    def _check_fitted(self, where: str, error: type[Exception] | None = None) -> None:
        if self._fitted:
            return
        if error is not None:
            raise error(message(where, "is there after the first fit"))
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(message(where, "must come after the first fit"))

    def _stand_on(self, core: Core, names: Labels) -> Learner:
        """Take over what was learnt."""
        self._core, self._names = core, names
        if len(core.input_shape) == 1:
            self.n_features_in_ = core.input_shape[0]
        return self

    def _taken(self, inputs: Any, labels: Any, where: str, *, classes: Any = None) -> tuple[Rows, Core, Labels]:
        """Rows, what is to learn them, and the classes with the new ones."""
        rows = read_labelled(inputs, labels, where, image_size=self.image_size)
        if self._fitted:
            check_kind(rows.inputs, self._core.rows, where)
            return rows, self._core, self._names.with_new(rows.labels)
        given = self.classes if classes is None else classes
        core, names = begun(self._settings(), rows, where, network=self.network, known=self.known, classes=given,
                            input_range=self.input_range, seed=self.seed)  # fmt: skip
        return rows, core, names

    def _scores(self, inputs: Any, where: str) -> NDArray[np.float64]:
        self._check_fitted(where)
        rows = read_inputs(inputs, where, image_size=self.image_size)
        check_kind(rows, self._core.rows, where)
        return self._core.scores(rows).double().numpy()

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn should know."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
