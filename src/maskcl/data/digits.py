"""The built-in data set: scikit-learn's 8x8 digits, which need no download."""

from __future__ import annotations

import numpy as np

from maskcl.data.base import Dataset
from maskcl.data.split import held_out_rows, rows_by_class

__all__ = ["TEST_FRACTION", "load_digits"]

TEST_FRACTION = 0.25


def load_digits() -> Dataset:
    """Load 1797 handwritten digits, 1346 to train and 451 to test.

    Inputs are pixels / 16, shape [N, 1, 8, 8]. The collection has no test set of its own: a quarter of each
    class, chosen once by `held_out_rows` with the purpose "digits/test", is ours. Train and test rows keep
    their order in the collection.
    """
    from sklearn.datasets import load_digits as load  # a second to import: only for those who want digits

    images, labels = load(return_X_y=True)
    inputs = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    test[np.concatenate(held_out_rows(rows_by_class(labels, 10), TEST_FRACTION, purpose="digits/test"))] = True
    return Dataset("digits", inputs[~test], labels[~test], inputs[test], labels[test], 10, (0.0, 1.0))
