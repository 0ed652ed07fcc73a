"""Where a learner stands: what it began with, what it has learnt, and how rows come to it; without a public call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from maskcl.data.checks import Inputs
from maskcl.data.folder import check_pixels
from maskcl.errors import DataError, check, message
from maskcl.learner.beginning import begun, check_given
from maskcl.learner.columns import check_columns, column_names
from maskcl.learner.core import Core
from maskcl.learner.given import Given
from maskcl.learner.labels import Labels
from maskcl.learner.rows import Rows, check_kind, read_inputs, read_labelled
from maskcl.learner.settings import read_settings

__all__ = ["Standing"]


class Standing(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What `Learner` is built on; its arguments are attributes here."""

    network: Any
    known: Any
    classes: Any
    input_range: Any
    image_size: Any
    seed: Any
    feature_names_in_: NDArray[Any]

    def _settings(self) -> Any:
        check_pixels("Learner: image_size", self.image_size)
        check_given(self.known, self.classes, self.input_range)
        names = ("network", "method", "memory", "mask", "cfgm", "lr", "optimizer", "batch_size", "training", "device",
                 "seed")  # fmt: skip
        return read_settings(**{name: getattr(self, name) for name in names})

    @property
    def _columns(self) -> list[str] | None:
        """Names of the first fit's columns."""
        return list(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None

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

    def _stand_on(self, core: Core, names: Labels, columns: Sequence[str] | None = None) -> None:
        """Take over what was learnt; at first also what it was learnt with."""
        if not self._fitted:
            self._given = Given(self.get_params(deep=False))
            if columns is not None:
                self.feature_names_in_ = np.array(columns, dtype=object)
        self._core, self._names = core, names.first(core.num_classes)
        if len(core.input_shape) == 1:
            self.n_features_in_ = core.input_shape[0]

    def _name(self, core: Core, names: Labels) -> None:
        """Let names have as many classes as the network has outputs, whatever stopped what was done with the core."""
        if self._fitted:
            self._names = names.first(core.num_classes)

    def _taken(self, inputs: Any, labels: Any, where: str, *, classes: Any = None) -> tuple[Rows, Core, Labels]:
        """Rows, what is to learn them, and the classes with the new ones."""
        if self._fitted:
            self._given.check_kept(vars(self), where, quick=self._core.streaming)
            check_columns(column_names(inputs), self._columns, where)
        rows = read_labelled(inputs, labels, where, image_size=self.image_size)
        if self._fitted:
            check_kind(rows.inputs, self._core.rows, where)
            return rows, self._core, self._names.with_new(rows.labels)
        return rows, *self._begun(rows, where, self.classes if classes is None else classes)

    def _begun(self, rows: Rows, where: str, classes: Any) -> tuple[Core, Labels]:
        return begun(self._settings(), rows, where, network=self.network, known=self.known, classes=classes,
                     input_range=self.input_range, seed=self.seed)  # fmt: skip

    def _scores(self, inputs: Any, where: str) -> NDArray[np.float64]:
        if self.known is None:
            self._check_fitted(where)
        check_columns(column_names(inputs), self._columns, where)
        return self._answered(read_inputs(inputs, where, image_size=self.image_size), where)

    def _answered(self, rows: Inputs, where: str) -> NDArray[np.float64]:
        """What the method predicts by for rows that were read, [n, C]; before the first fit what a network knows."""
        if self._fitted or self.known is None:
            self._check_fitted(where)
            check_kind(rows, self._core.rows, where)
            core = self._core
        else:
            core, _ = self._begun(Rows(rows, []), where, None)
        scores = core.scores(rows).double().numpy()
        bad = ~np.isfinite(scores.max(1))
        must = f"must be rows for which the network gives finite scores, and those of row {int(bad.argmax())} are not"
        check(not bad.any(), f"{where}: inputs", must, error=DataError, hint="are they scaled as the rows of fit were?")
        return scores

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn should know."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
