from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maskcl import data
from maskcl.data.idx_set import IdxSet
from maskcl.errors import DataError


@pytest.fixture
def tiny_info(tiny: IdxSet) -> Iterator[data.DatasetInfo]:
    info = data.DatasetInfo("tiny", "for tests", 3, (1, 2, 2), 6, 3, tiny)
    yield data.DATASETS.add("tiny", info)
    data.DATASETS.remove("tiny")


def test_digits_are_what_the_registry_says() -> None:
    info, dataset = data.DATASETS["digits"], data.load("digits")
    assert info.built_in
    assert info.num_classes == dataset.num_classes
    assert info.input_shape == dataset.input_shape
    assert (info.num_train, info.num_test) == (len(dataset.train_inputs), len(dataset.test_inputs))


def test_mnist_is_what_the_registry_says(mnist_root: Path) -> None:
    info, dataset = data.DATASETS["mnist"], data.load("mnist", mnist_root)
    assert not info.built_in
    assert info.num_classes == dataset.num_classes
    assert info.input_shape == dataset.input_shape
    assert (info.num_train, info.num_test) == (len(dataset.train_inputs), len(dataset.test_inputs))


@pytest.mark.parametrize("use", [data.load, data.verify, data.download])
def test_unknown_name_is_refused_with_the_nearest(use: Callable[[str], object]) -> None:
    with pytest.raises(DataError, match=r"one of digits, .*, got 'fashion-mnist'\. Did you mean 'fashion_mnist'"):
        use("fashion-mnist")


def test_available_tells_present_from_incomplete_from_missing(
    tiny_info: data.DatasetInfo, tiny_root: Path, tmp_path: Path
) -> None:
    def state(root: Path) -> tuple[str, Path | None]:
        (found,) = [each for each in data.available(root) if each.info is tiny_info]
        return found.state, found.folder

    assert state(tiny_root) == ("present", tiny_root / "tiny")
    assert state(tiny_root / "tiny") == ("present", tiny_root / "tiny")
    assert state(tmp_path / "empty") == ("missing", tmp_path / "empty" / "tiny")
    (tiny_root / "tiny" / "train-labels-idx1-ubyte.gz").unlink()
    assert state(tiny_root) == ("incomplete", tiny_root / "tiny")


def test_built_in_data_need_no_files(tmp_path: Path) -> None:
    assert data.available(tmp_path)[0] == data.Availability(data.DATASETS["digits"], "built in", None)
    assert data.verify("digits", tmp_path) == []
    assert data.download("digits", tmp_path) == []


def test_verify_finds_each_damaged_and_missing_file(tiny_info: data.DatasetInfo, tiny_root: Path) -> None:
    assert [file.state for file in data.verify("tiny", tiny_root)] == ["intact"] * 4
    damaged, missing = (tiny_root / "tiny" / f"{file}.gz" for file in list(tiny_info.source.sha256)[1:3])  # type: ignore[union-attr]
    damaged.write_bytes(b"\0\0\x08\x01\0\0\0\0")
    missing.unlink()
    found = data.verify("tiny", tiny_root)
    assert [file.state for file in found] == ["intact", "damaged", "missing", "intact"]
    assert [file.path for file in found[1:3]] == [damaged, None]
    assert "sha256" in (found[1].problem or "")
    assert "maskcl data download tiny" in (found[2].problem or "")
    assert found[0].problem is None


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["mnist", "cifar10", "tiny_imagenet"])
def test_a_root_that_may_not_be_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0)
    try:
        with pytest.raises(DataError, match=r"must be in a folder that can be read \(Permission denied\)") as caught:
            data.load(name, root)
        assert len(str(caught.value).splitlines()) <= 2
        assert {state.state for state in data.verify(name, root)} <= {"damaged", "missing"}
    finally:
        root.chmod(0o700)


def test_importing_the_package_costs_no_torch_no_sklearn_no_network() -> None:
    code = "import sys, maskcl.data; print(sorted({'torch', 'sklearn', 'urllib.request'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
