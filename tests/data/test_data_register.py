"""Data sets registered in Python, as a data set or as a function that loads one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maskcl import data
from maskcl.data import DATASETS, Dataset, from_arrays
from maskcl.errors import ConfigError, DataError, MissingDataError


def rows(name: str = "rows") -> Dataset:
    return from_arrays([[0.0], [1.0], [2.0]], [0, 1, 2], [[0.5]], [1], name=name)


def load_rows(root: Path) -> Dataset:
    return rows()


@pytest.fixture(autouse=True)
def _unregistered() -> Iterator[None]:
    before = set(DATASETS)
    yield
    for name in set(DATASETS) - before:
        DATASETS.remove(name)


def test_a_data_set_tells_what_it_is_before_it_is_used() -> None:
    given = rows()
    data.register("mine", given, description="three rows")
    assert data.load("mine") is given
    info = DATASETS["mine"]
    assert (info.num_classes, info.input_shape, info.num_train, info.num_test) == (3, (1,), 3, 1)
    found = data.available()[-1]
    assert (found.info, found.state, found.folder) == (info, "registered", None)
    assert data.verify("mine") == []
    assert data.download("mine") == []
    assert not info.built_in


def test_a_function_gets_the_folder_and_is_called_when_it_is_needed(tmp_path: Path) -> None:
    asked: list[Path] = []

    def loader(root: Path) -> Dataset:
        asked.append(root)
        return rows()

    data.register("mine", loader)
    assert data.available()[-1].info.num_classes is None
    assert asked == []
    assert data.load("mine", tmp_path).num_classes == 3
    assert asked == [tmp_path]


def test_the_same_loader_again_is_no_error_and_another_is() -> None:
    data.register("mine", load_rows)
    data.register("mine", load_rows, description="again")
    assert DATASETS["mine"].description == "again"
    with pytest.raises(ConfigError, match=r"data set key: must be new, and 'mine' is .* already, got 'mine'"):
        data.register("mine", rows())
    with pytest.raises(ConfigError, match="data set key: must be new"):
        data.register("digits", load_rows)
    assert DATASETS["digits"].built_in


@pytest.mark.parametrize(
    ("name", "load", "text"),
    [
        ("a b", load_rows, "data set key: must be a name of letters, digits, _, - and [+], got 'a b'"),
        (3, load_rows, "data set key: must be a name"),
        ("mine", 3, "data set 'mine': must be a data set, or a function of a folder that loads one, got 'int'.\nhint:"),
    ],
)
def test_what_cannot_be_registered_is_refused(name: Any, load: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        data.register(name, load)


def test_loaders_that_fail_are_refused_in_one_sentence(tmp_path: Path) -> None:
    def broken(root: Path) -> Any:
        return (root / "rows.npy").read_bytes()

    def missing(root: Path) -> Any:
        raise MissingDataError("rows.npy: must be there.")

    for name, loader, text in (
        ("broken", broken, r"data set 'broken': must be loaded from .*, which raised FileNotFoundError: .*\.$"),
        ("arrays", lambda root: {}, "data set 'arrays': must be loaded as a data set, got 'dict'.\nhint:"),
        ("missing", missing, "^rows.npy: must be there.$"),
    ):
        data.register(name, loader)
        with pytest.raises(DataError, match=text):
            data.load(name, tmp_path)


def test_installed_packages_announce_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "theirs", "theirs:load"

        def load(self) -> Any:
            return load_rows

    monkeypatch.setattr("maskcl.registry.entry_points", lambda group: [Point()] if group == "maskcl.data" else [])
    monkeypatch.setattr(DATASETS, "_looked", False)
    assert "theirs" in DATASETS
    assert data.load("theirs").num_classes == 3
