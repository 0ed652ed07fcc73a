"""What `make fuzz` and the properties have found, case by case."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from maskcl.data import from_arrays
from maskcl.data.archive import download_archive
from maskcl.data.npz import from_npz
from maskcl.data.publisher import Archive
from maskcl.errors import ConfigError, DataError, message, reason
from maskcl.networks import Mlp, build_network
from maskcl.scenario import class_incremental
from maskcl.weights import load_network, save_network


def unpack(folder: Path, content: bytes, name: str) -> str:
    """Why an archive that was put there by hand is refused; what was there before stays."""
    (folder / name).write_bytes(content)
    (folder / "things").mkdir()
    (folder / "things" / "before").touch()
    archive = Archive(f"http://localhost:9/{name}", hashlib.md5(content, usedforsecurity=False).hexdigest(), "things")
    with pytest.raises(DataError) as caught:
        download_archive(archive, folder)
    assert [path.name for path in (folder / "things").iterdir()] == ["before"]
    assert not list(folder.glob(".*.tmp"))
    return str(caught.value)


def packed(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def test_what_is_no_archive_at_all_is_refused_in_one_line(tmp_path: Path) -> None:
    """tarfile's own error has a line for each way in which a tar file may be packed."""
    said = unpack(tmp_path, b"PK\x03\x04 and nothing else", "a.zip")
    assert said == "a.zip: must be an archive that can be unpacked (file could not be opened successfully)."


def test_an_archive_whose_offsets_lead_before_its_begin_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    content = bytearray(packed(things__a="text"))
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = (len(content) + 1000).to_bytes(4, "little")  # where the directory begins
    said = unpack(tmp_path, bytes(content), "a.zip")
    assert said.startswith("a.zip: must be an archive that can be unpacked (")


@pytest.mark.parametrize("members", [{"things__a": "x", "things__a__b": "y"}, {f"things__{'x' * 300}": "y"}])
def test_names_that_no_folder_can_have_are_the_archives_fault(tmp_path: Path, members: dict[str, str]) -> None:
    assert unpack(tmp_path, packed(**members), "a.zip").startswith("a.zip: must be an archive that can be unpacked (")


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    content = bytearray(packed(things__a="text"))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    assert "password" in unpack(tmp_path, bytes(content), "a.zip")


def test_a_way_out_of_the_folder_is_still_told_as_that(tmp_path: Path) -> None:
    said = unpack(tmp_path, packed(things__a="x", other__b="y"), "a.zip")
    assert said == "a.zip: must hold nothing but files in things, got 'other/b'."


def test_a_broken_gzip_file_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(b"x" * 1000)
    assert unpack(tmp_path, content[:-9], "a.tar.gz").startswith("a.tar.gz: must be an archive that can be unpacked (")


def test_a_name_of_thousands_of_letters_is_not_told_whole(tmp_path: Path) -> None:
    """zipfile tells the name that the file's header has where the directory has another."""
    arrays = {name: np.zeros((4, 500)) for name in ("train_inputs", "train_labels", "test_inputs", "test_labels")}
    np.savez(tmp_path / "a.npz", **arrays)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[26:28] = (3000).to_bytes(2, "little")  # letters of the first name
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        from_npz(tmp_path / "a.npz")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'a.npz'}: must be a whole .npz file without pickles (File name in directory")
    assert said.endswith(" ...).")
    assert len(said) < len(str(tmp_path)) + 350


def test_a_header_that_is_no_python_text_is_refused(tmp_path: Path) -> None:
    """NumPy reads a header as Python reads a program, and raises what that does."""
    array = np.lib.format.magic(1, 0) + (16).to_bytes(2, "little") + b"{'descr': ('<f4"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name in ("train_inputs", "train_labels", "test_inputs", "test_labels"):
            file.writestr(f"{name}.npy", array + b"\n" + bytes(64))
    with pytest.raises(DataError, match=r"a\.npz: must be a whole \.npz file without pickles \("):
        from_npz(tmp_path / "a.npz")


def test_control_characters_of_a_files_name_are_not_printed() -> None:
    assert message("a/\x001\x1b[31m\x9b.png", "must be\nthere", "\x07") == (
        r"a/\x001\x1b[31m\x9b.png: must be\nthere, got '\x07'."
    )
    assert message("a b/é\u202f日.png", "must be there") == "a b/é\u202f日.png: must be there."


def test_weights_whose_header_names_a_giant_are_refused_by_their_file(tmp_path: Path) -> None:
    network = Mlp(hidden=(4,))
    path = tmp_path / "a.safetensors"
    save_network(path, build_network(network, (3,), 2, seed=0), network=network, input_shape=(3,), num_classes=2)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["maskcl"])
    header["network"]["hidden"] = [10**30]
    save_file(load_file(path), path, {"maskcl": json.dumps(header)})
    with pytest.raises(ConfigError) as caught:
        load_network(path)
    assert str(caught.value).startswith(f"{path}: network: must be of a size")


def test_a_foreign_reason_is_one_line_that_can_be_printed() -> None:
    assert reason(ValueError("a\x1b[31mb\nc")) == "a?[31mb"
    assert reason(ValueError("x" * 300)) == "x" * 200 + " ..."
    assert reason(ValueError("full stop.")) == "full stop"
    assert reason(ValueError()) == "ValueError"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0])
def test_a_class_of_one_row_is_learnt_from_and_judged_by_in_any_subset(share: float) -> None:
    """Of the one row that is left where others were held out, a subset used to leave none."""
    inputs, labels = np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1])
    data = from_arrays(inputs, labels, inputs[1:3], labels[1:3])
    for held_out in (0.0, 0.5):
        scenario = class_incremental(data, num_tasks=2, validation_fraction=held_out, subset=share, eval_subset=share)
        assert [len(rows) for rows in scenario.eval_rows] == [1, 1]
        assert min(len(rows) for rows in scenario.train_rows) >= 1
