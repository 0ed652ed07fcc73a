from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from maskcl import data
from maskcl.data.cifar import CIFAR10, CIFAR100, CifarSet
from maskcl.errors import DataError, MissingDataError
from maskcl.experiment.world import World

SMALL10 = dataclasses.replace(
    CIFAR10, train={"data_batch_1.bin": 4, "data_batch_2.bin": 4}, test={"test_batch.bin": 3}, num_classes=10
)
SMALL100 = dataclasses.replace(CIFAR100, train={"train.bin": 7}, test={"test.bin": 3})


def write(small: CifarSet, root: Path) -> dict[str, np.ndarray]:
    """Write each file of records and return its records [rows, bytes]; the last label byte is the label."""
    rng, written = np.random.default_rng(0), {}
    (root / small.folder).mkdir(parents=True)
    for file, rows in {**small.train, **small.test}.items():
        records = rng.integers(0, 256, (rows, small.label_bytes + 3072), dtype=np.uint8)
        records[:, : small.label_bytes] %= 10
        records[:, small.label_bytes - 1] = (np.arange(rows) * 3 + len(written)) % small.num_classes
        records.tofile(root / small.folder / file)
        written[file] = records
    return written


@pytest.mark.parametrize("small", [SMALL10, SMALL100], ids=["cifar10", "cifar100"])
def test_records_become_images_and_their_last_label(small: CifarSet, tmp_path: Path) -> None:
    written = write(small, tmp_path)
    dataset = small.load(tmp_path)
    for files, images, labels in (
        (small.train, dataset.train_inputs, dataset.train_labels),
        (small.test, dataset.test_inputs, dataset.test_labels),
    ):
        records = np.concatenate([written[file] for file in files])
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(labels, records[:, small.label_bytes - 1])
        for row, record in enumerate(records):  # red, green, blue, each row by row from the top left
            red, green, blue = np.split(record[small.label_bytes :], 3)
            assert images[row, 0, 0, 5] == red[5]
            assert images[row, 1, 2, 0] == green[64]
            assert images[row, 2, 31, 31] == blue[-1]
    assert dataset.num_classes == small.num_classes
    assert dataset.input_range == (0.0, 1.0)


def test_the_root_may_be_the_folder_itself(tmp_path: Path) -> None:
    write(SMALL10, tmp_path)
    inside = SMALL10.load(tmp_path / SMALL10.folder)
    np.testing.assert_array_equal(inside.train_inputs, SMALL10.load(tmp_path).train_inputs)


@pytest.mark.parametrize("cut", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b""], ids=["short", "long", "empty"])
def test_a_file_of_another_size_is_refused_with_the_command(tmp_path: Path, cut: object) -> None:
    write(SMALL10, tmp_path)
    path = tmp_path / SMALL10.folder / "data_batch_2.bin"
    path.write_bytes(cut(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=r"data_batch_2\.bin: must hold 4 records of 3073 bytes, 12292 bytes") as caught:
        SMALL10.load(tmp_path)
    assert f"got {path.stat().st_size}.\nhint: get it anew with `maskcl data download cifar10" in str(caught.value)


def test_a_label_beyond_the_classes_is_refused_with_its_record(tmp_path: Path) -> None:
    written = write(SMALL10, tmp_path)
    written["data_batch_2.bin"][2, 0] = 10
    written["data_batch_2.bin"].tofile(tmp_path / SMALL10.folder / "data_batch_2.bin")
    with pytest.raises(DataError, match=r"data_batch_2\.bin: must have labels from 0 to 9, record 2 has not, got 10\."):
        SMALL10.load(tmp_path)


def test_a_missing_file_is_named_with_where_it_must_be(tmp_path: Path) -> None:
    write(SMALL100, tmp_path)
    (tmp_path / SMALL100.folder / "test.bin").unlink()
    with pytest.raises(MissingDataError, match=r"cifar100: test\.bin must be in .*cifar-100-binary\.") as caught:
        SMALL100.load(tmp_path)
    assert f"hint: get it with `maskcl data download cifar100 --data-root {tmp_path}`" in str(caught.value)
    with pytest.raises(MissingDataError, match="which is no folder"):
        SMALL100.load(tmp_path / "nowhere")


@pytest.mark.parametrize("known", [CIFAR10, CIFAR100], ids=["cifar10", "cifar100"])
def test_the_pickled_version_is_refused_by_the_name_of_the_binary_one(known: CifarSet, tmp_path: Path) -> None:
    (tmp_path / known.pickled).mkdir()
    (tmp_path / known.pickled / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(
        MissingDataError, match=r"must be the binary files of cifar-100?-binary\.tar\.gz; .* is pickled"
    ):
        data.load(known.name, tmp_path)


@pytest.mark.skipif(sys.platform == "win32" or getattr(os, "geteuid", lambda: 0)() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    write(SMALL10, tmp_path)
    (tmp_path / SMALL10.folder / "test_batch.bin").chmod(0)
    with pytest.raises(DataError, match=r"must be a readable file \(Permission denied\)"):
        SMALL10.load(tmp_path)


def test_registry_says_what_the_sets_are(tmp_path: Path) -> None:
    states = {found.info.name: found for found in data.available(tmp_path)}
    for name in ("cifar10", "cifar100"):
        info = data.DATASETS[name]
        assert (info.input_shape, info.num_train, info.num_test) == ((3, 32, 32), 50_000, 10_000)
        assert states[name].state == "missing"
        assert info.source is not None
        assert sum(info.source.train.values()) == info.num_train  # type: ignore[union-attr]


@pytest.mark.skipif("MASKCL_DATA" not in os.environ, reason="MASKCL_DATA names no folder that might have it")
def test_cifar10_is_what_everybody_normalises_with() -> None:
    if CIFAR10.find("data_batch_1.bin") is None:
        pytest.skip("CIFAR-10 is not below MASKCL_DATA")
    dataset = data.load("cifar10")
    assert np.bincount(dataset.train_labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    mean = dataset.train_inputs.mean((0, 2, 3)) / 255
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)


def test_presence_looks_at_names_and_sizes(tmp_path: Path) -> None:
    folder = tmp_path / SMALL10.folder
    assert SMALL10.presence(tmp_path) == ("missing", folder)
    write(SMALL10, tmp_path)
    assert SMALL10.presence(tmp_path) == SMALL10.presence(folder) == ("present", folder)
    path = folder / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert SMALL10.presence(tmp_path) == ("incomplete", folder)
    path.unlink()
    assert SMALL10.presence(tmp_path) == ("incomplete", folder)


def test_verify_tells_unchecked_from_damaged_from_missing(tmp_path: Path) -> None:
    write(SMALL10, tmp_path)
    folder = tmp_path / SMALL10.folder
    (folder / "data_batch_2.bin").write_bytes(b"short")
    (folder / "test_batch.bin").unlink()
    assert [s.state for s in SMALL10.verify(tmp_path)] == ["unchecked", "damaged", "missing"]


def downloaded(tmp_path: Path) -> tuple[CifarSet, Path]:
    """A set whose archive has come from its publisher, and the root that it lies in."""
    write(SMALL10, tmp_path / "publisher")
    packed = shutil.make_archive(str(tmp_path / "cifar-10-binary"), "gztar", tmp_path / "publisher", SMALL10.folder)
    md5 = hashlib.md5(Path(packed).read_bytes()).hexdigest()
    offered = dataclasses.replace(SMALL10, archive=dataclasses.replace(SMALL10.archive, md5=md5))
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(packed, root)  # put there by hand: needs no network
    (found,) = offered.download(root)
    assert found.path == root / SMALL10.folder
    return offered, root


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def test_after_a_download_single_files_have_checksums(tmp_path: Path) -> None:
    offered, root = downloaded(tmp_path)
    assert [s.state for s in offered.verify(root)] == ["intact"] * 3
    assert all(not file.fetched for file in offered.download(root))
    flip_a_bit(root / SMALL10.folder / "data_batch_1.bin")
    (damaged, *_) = offered.verify(root)
    assert damaged.state == "damaged"
    assert "must have the sha256" in (damaged.problem or "")
    assert offered.load(root).num_classes == 10  # one pixel: verify tells, loading looks at structure


def test_the_name_says_it_all_of_what_was_published_and_of_nothing_else(tmp_path: Path) -> None:
    offered, root = downloaded(tmp_path)
    assert offered.says_it_all(root)
    assert not offered.says_it_all(tmp_path / "publisher"), "the same files, of which nobody knows that they are"
    assert not offered.says_it_all(tmp_path / "nowhere")
    flip_a_bit(root / SMALL10.folder / "test_batch.bin")
    assert not offered.says_it_all(root)


def test_results_tell_the_content_of_files_that_are_not_known_to_be_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered, root = downloaded(tmp_path)
    info = dataclasses.replace(data.DATASETS["cifar10"], source=offered)
    monkeypatch.setitem(data.DATASETS._things, "cifar10", info)
    section = {"dataset": "cifar10", "num_tasks": 5}
    assert World(data_root=root).describe(section) == section, "as before: hashes of finished results stay"
    by_hand = World(data_root=tmp_path / "publisher").describe(section)
    assert by_hand == section | {"fingerprint": offered.load(root).fingerprint}
    flip_a_bit(tmp_path / "publisher" / SMALL10.folder / "test_batch.bin")
    assert World(data_root=tmp_path / "publisher").describe(section)["fingerprint"] != by_hand["fingerprint"]
