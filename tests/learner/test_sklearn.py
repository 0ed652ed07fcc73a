"""scikit-learn's own tests of an estimator, with what contradicts learning on named, each with its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from maskcl import Learner, from_arrays

NOT_SO = {
    "check_fit_idempotent": "a second fit goes on from the first: that is what a learner is for",
    "check_supervised_y_2d": "fits twice, and expects the same predictions; the warning is tested below",
    "check_fit_score_takes_y": "the arguments are called inputs and labels",
    "check_n_features_in_after_fitting": "calls score(X, y=...); labels is the argument's name",
    "check_do_not_raise_errors_in_init_or_set_params": "a wrong setting is refused where it is given, not at fit",
    "check_dtype_object": "inputs that are no numbers are a DataError, a ValueError; here a TypeError is expected",
}


def learner() -> Learner:
    # float64: in float32 products of other numbers of rows have other last bits, and the checks allow 1e-7
    return Learner({"name": "mlp", "hidden": [50]}, memory=500, batch_size=10, training={"dtype": "float64"})


@pytest.mark.filterwarnings("ignore")  # the checks provoke them
@parametrize_with_checks([learner()], expected_failed_checks=lambda estimator: NOT_SO, xfail_strict=True)
def test_it_is_an_estimator(estimator: Learner, check: Any) -> None:
    check(estimator)


def rows(count: int = 120) -> tuple[Any, Any]:
    labels = np.arange(count) % 3
    return np.random.default_rng(0).normal(size=(count, 6)) + 4 * np.eye(3, 6)[labels], labels


def test_it_is_cloned_searched_and_put_into_pipelines() -> None:
    inputs, labels = rows()
    made = clone(Learner("mlp", mask={"leak": 0.1}, memory=9, seed=4))
    assert made.get_params()["mask"] == {"leak": 0.1}
    assert made.get_params()["seed"] == 4
    assert cross_val_score(learner().set_params(lr=0.1), inputs, labels, cv=3).min() > 0.9
    model = make_pipeline(StandardScaler(), learner())
    assert model.fit(inputs, labels, learner__epochs=3).score(inputs, labels) > 0.9


def test_a_column_of_labels_is_taken_with_a_warning() -> None:
    inputs, labels = rows()
    with pytest.warns(DataConversionWarning, match="column-vector"):
        found = learner().fit(inputs, labels[:, None]).predict_proba(inputs)
    assert (found == learner().fit(inputs, labels).predict_proba(inputs)).all()


def test_score_knows_weights_and_classes_that_were_never_fitted() -> None:
    inputs, labels = rows()
    fitted = learner().fit(inputs, labels, epochs=3)
    right = fitted.predict(inputs) == labels
    weights = np.random.default_rng(1).random(len(labels))
    assert fitted.score(inputs, labels, sample_weight=weights) == pytest.approx(np.average(right, weights=weights))
    assert fitted.score(inputs, ["never"] * len(labels)) == 0


def test_a_data_set_teaches_by_its_training_rows_and_judges_by_its_test_rows() -> None:
    inputs, labels = rows()
    data = from_arrays(inputs[::2], labels[::2], inputs[1::2] * 0, labels[1::2])
    fitted = learner().fit(data, epochs=4)
    assert fitted.score(inputs[::2], labels[::2]) > 0.9
    assert fitted.score(data) == pytest.approx(1 / 3)
    assert (fitted.predict(data) == fitted.predict(data.test_inputs)).all()
