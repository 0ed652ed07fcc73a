from __future__ import annotations

import hashlib

import numpy as np

from maskcl.data import load
from maskcl.data.digits import TEST_FRACTION


def test_digits_are_pixels_over_16_in_the_shape_of_images() -> None:
    digits = load("digits")
    assert digits.input_shape == (1, 8, 8)
    assert len(digits.train_inputs) + len(digits.test_inputs) == 1797
    values = np.unique(digits.train_inputs)
    np.testing.assert_array_equal(values, np.arange(17, dtype=np.float32) / 16)


def test_each_digit_has_its_share_of_test_rows() -> None:
    digits = load("digits")
    test, train = np.bincount(digits.test_labels), np.bincount(digits.train_labels)
    assert (np.abs(test - TEST_FRACTION * (test + train)) <= 0.5).all()


def test_train_and_test_rows_are_the_whole_collection() -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    digits = load("digits")
    inputs = np.concatenate([digits.train_inputs, digits.test_inputs]).reshape(1797, 64) * 16
    ours = np.column_stack([inputs, np.concatenate([digits.train_labels, digits.test_labels])])
    theirs = np.column_stack([images, labels])
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_the_split_is_the_one_that_published_tables_used() -> None:
    digits = load("digits")
    content = b"".join(
        array.tobytes() for array in (digits.train_inputs, digits.train_labels, digits.test_inputs, digits.test_labels)
    )
    assert hashlib.sha256(content).hexdigest() == "33af2f1a5b1b1939a3cd16e2c2313d0f772e08aa7f589589b8ee5c9fa933728e"
