from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import draw, draw_folder, png

from maskcl.data import Dataset, build, cache, caches, clear_caches, from_folder
from maskcl.data.cache import check_cache
from maskcl.errors import DataError, MaskclWarning


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "pets")


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that pictures were decoded."""
    calls: list[int] = []

    def counted(*args: Any) -> Any:
        calls.append(1)
        return build.build(*args)

    monkeypatch.setattr(cache, "build", counted)
    return calls


def arrays(dataset: Dataset) -> list[np.ndarray]:
    return [np.array(getattr(dataset, name)) for name in ("train_inputs", "train_labels", "test_inputs", "test_labels")]


def only_cache(root: Path) -> Path:
    (state,) = caches(root)
    return state.folder


def test_pictures_are_decoded_once_and_mapped_afterwards(folder: Path, tmp_path: Path, counting: list[int]) -> None:
    first, second = (from_folder(folder, root=tmp_path / "root") for _ in range(2))
    assert counting == [1]
    for one, other in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert isinstance(second.train_inputs, np.memmap)
    assert not second.train_inputs.flags.writeable
    assert second.fingerprint == Dataset("pets", *arrays(second), 2, (0.0, 1.0)).fingerprint


def test_many_pictures_keep_their_order(tmp_path: Path) -> None:
    drawn = [draw(tmp_path / "p" / "train" / "abc"[i % 3] / f"{i:03}.png", i) for i in range(150)]
    for name in "abc":
        draw(tmp_path / "p" / "test" / name / "0.png")
    told: list[tuple[str, int, int | None]] = []
    dataset = from_folder(tmp_path / "p", root=tmp_path / "root", on_progress=lambda *args: told.append(args))
    order = sorted(range(150), key=lambda i: (i % 3, i))
    np.testing.assert_array_equal(dataset.train_inputs, np.stack([drawn[i] for i in order]).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(dataset.train_labels, np.repeat([0, 1, 2], 50))
    assert told[-1] == ("p", 153, 153)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_changed_picture_is_decoded_anew(folder: Path, tmp_path: Path, counting: list[int]) -> None:
    before = from_folder(folder, root=tmp_path / "root")
    drawn = draw(folder / "train" / "cat" / "0.png", seed=99)
    after = from_folder(folder, root=tmp_path / "root")
    np.testing.assert_array_equal(after.train_inputs[0], drawn.transpose(2, 0, 1))
    draw(folder / "train" / "cat" / "9.png", seed=98)
    assert len(from_folder(folder, root=tmp_path / "root").train_labels) == 7
    from_folder(folder, root=tmp_path / "root", image_size=4)
    assert len(counting) == len(caches(tmp_path / "root")) == 4
    assert len({before.fingerprint, after.fingerprint}) == 2


def test_the_same_pictures_elsewhere_have_the_same_fingerprint(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "moved")
    first, moved = from_folder(folder, root=tmp_path / "1"), from_folder(tmp_path / "moved", root=tmp_path / "2")
    assert first.fingerprint == moved.fingerprint


def _other_version(meta: Path) -> None:
    told = json.loads(meta.read_text())
    meta.write_text(json.dumps(told | {"version": told["version"] + 1}))


BROKEN = {
    "another version": _other_version,
    "no description": lambda meta: meta.unlink(),
    "half a description": lambda meta: meta.write_text(meta.read_text()[:40]),
    "a description of something else": lambda meta: meta.write_text("[]"),
    "an array is cut": lambda meta: os.truncate(meta.with_name("train_inputs.bin"), 100),
    "an array is gone": lambda meta: meta.with_name("test_labels.bin").unlink(),
    "a label beyond the classes": lambda meta: meta.with_name("test_labels.bin").write_bytes(b"\7" * 48),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_cache_that_is_not_whole_is_made_anew(folder: Path, tmp_path: Path, counting: list[int], case: str) -> None:
    good = from_folder(folder, root=tmp_path / "root")
    expected = arrays(good)
    BROKEN[case](only_cache(tmp_path / "root") / "meta.json")  # type: ignore[no-untyped-call]
    assert caches(tmp_path / "root")[0].state == "broken"
    assert check_cache(caches(tmp_path / "root")[0]) is not None
    for found, value in zip(arrays(from_folder(folder, root=tmp_path / "root")), expected, strict=True):
        np.testing.assert_array_equal(found, value)
    assert len(counting) == 2
    assert [state.state for state in caches(tmp_path / "root")] == ["whole"]


def test_what_a_killed_process_left_is_never_used_and_swept(folder: Path, tmp_path: Path) -> None:
    from_folder(folder, root=tmp_path / "root")
    whole = only_cache(tmp_path / "root")
    left = whole.with_name(f".{whole.name}.0123abcd.tmp")
    whole.rename(left)
    assert [state.state for state in caches(tmp_path / "root")] == ["half-written"]
    os.truncate(left / "train_inputs.bin", 10)
    from_folder(folder, root=tmp_path / "root")
    assert [(state.state, state.num_rows) for state in caches(tmp_path / "root")] == [("whole", 12)]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(build, "_sync", full)
    with pytest.raises(DataError, match=r"must have decoded pictures \(No space left on device\)\.\nhint: ") as caught:
        from_folder(folder, root=tmp_path / "root")
    assert len(str(caught.value).splitlines()) == 2
    assert caches(tmp_path / "root") == []
    monkeypatch.undo()
    assert len(from_folder(folder, root=tmp_path / "root").train_labels) == 6


def test_too_little_room_is_told_before_all_is_decoded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"\(No space left on device: 0 MB are needed\)"):
        from_folder(folder, root=tmp_path / "root")
    assert caches(tmp_path / "root") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_the_systems_own_full_device_is_told_as_such(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda p, *a, **k: opened(Path("/dev/full") if p.name == "test_inputs.bin" else p, *a, **k)
    )
    with pytest.raises(DataError, match="No space left on device"):
        from_folder(folder, root=tmp_path / "root")
    monkeypatch.undo()
    assert caches(tmp_path / "root") == []


def test_a_picture_that_is_refused_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "test" / "dog" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1\.png: must be a picture, and is empty\.\nhint: skip_unreadable"):
        from_folder(folder, root=tmp_path / "root")
    assert caches(tmp_path / "root") == []


def test_unreadable_pictures_are_left_out_with_a_warning_each_time(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "cat" / "0.png").write_bytes(b"no picture")
    (folder / "test" / "dog" / "2.png").write_bytes(png(60_000, 60_000, data=b""))
    for _ in range(2):
        with pytest.warns(MaskclWarning, match=r"pets: 2 pictures left out as unusable, the first: .*cat/0\.png"):
            dataset = from_folder(folder, root=tmp_path / "root", skip_unreadable=True)
        assert (dataset.train_labels.tolist(), dataset.test_labels.tolist()) == ([0, 0, 1, 1, 1], [0, 0, 0, 1, 1])
        assert dataset.train_inputs.shape == (5, 3, 8, 8)


def test_a_class_of_unreadable_pictures_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "test" / "dog").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"pets: must have usable test pictures of each class, and has none of 'dog'\."):
        from_folder(folder, root=tmp_path / "root", skip_unreadable=True)
    assert caches(tmp_path / "root") == []


def test_different_sizes_are_refused_with_the_setting_that_helps(folder: Path, tmp_path: Path) -> None:
    draw(folder / "train" / "dog" / "1.png", 5, height=9, width=12)
    must = r"train/dog/1\.png: must have the size of train/cat/0\.png, 8x8, got '12x9'\.\nhint: image_size = 32"
    with pytest.raises(DataError, match=must):
        from_folder(folder, root=tmp_path / "root", skip_unreadable=True)
    assert from_folder(folder, root=tmp_path / "root", image_size=6).input_shape == (3, 6, 6)


def test_where_one_cannot_write_is_one_sentence(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"must have decoded pictures \(.+\)\.\nhint: .*MASKCL_CACHE"):
        from_folder(folder, root=tmp_path / "file")
    monkeypatch.setenv("MASKCL_CACHE", str(tmp_path / "elsewhere"))
    from_folder(folder, root=tmp_path / "file")
    assert only_cache(tmp_path / "file").parent == tmp_path / "elsewhere"


def _load(folder: Path, root: Path, started: Any, results: Any) -> None:
    started.wait(20)
    results.put(from_folder(folder, root=root).fingerprint)


def test_two_processes_make_one_cache(folder: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    started, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_load, args=(folder, tmp_path / "root", started, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(20)
    assert found == {from_folder(folder, root=tmp_path / "root").fingerprint}
    assert [state.state for state in caches(tmp_path / "root")] == ["whole"]


def test_who_waited_for_another_does_not_decode_again(folder: Path, tmp_path: Path, counting: list[int]) -> None:
    found: list[Dataset] = []
    threads = [threading.Thread(target=lambda: found.append(from_folder(folder, root=tmp_path / "root"))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert counting == [1]


def test_a_change_inside_a_cache_is_found_by_reading_all_of_it(folder: Path, tmp_path: Path) -> None:
    from_folder(folder, root=tmp_path / "root")
    (state,) = caches(tmp_path / "root")
    assert check_cache(state) is None
    with (state.folder / "train_inputs.bin").open("r+b") as file:
        file.seek(50)
        file.write(b"\0\1\2")
    assert "has another digest" in (check_cache(state) or "")


def test_caches_are_cleared_by_name(folder: Path, tmp_path: Path) -> None:
    other = draw_folder(tmp_path / "more pets!")
    kept = from_folder(folder, root=tmp_path / "root")
    from_folder(other, root=tmp_path / "root")
    assert {state.name for state in caches(tmp_path / "root")} == {"pets", "more_pets_"}
    (gone,) = clear_caches("pets", tmp_path / "root")
    assert gone.num_bytes > 12 * 192
    assert kept.train_inputs.sum() > 0  # a run that uses it keeps it
    assert [state.name for state in caches(tmp_path / "root")] == ["more_pets_"]
    assert len(clear_caches(None, tmp_path / "root")) == 1
    assert clear_caches(None, tmp_path / "root") == caches(tmp_path / "root") == caches(tmp_path / "new") == []


def test_a_mapped_set_goes_through_the_engines_table_unread_and_unwarned(folder: Path, tmp_path: Path) -> None:
    import torch

    from maskcl.engine.table import Table

    dataset = from_folder(folder, root=tmp_path / "root")
    table = Table(dataset.train_inputs, torch.float32, None)
    assert table.stored.data_ptr() == dataset.train_inputs.ctypes.data  # no copy
    rows = table.batch(torch.tensor([4, 1]), (), {})
    np.testing.assert_allclose(rows.numpy(), dataset.train_inputs[[4, 1]] / np.float32(255))


def test_more_data_than_memory_goes_through_the_table(tmp_path: Path) -> None:
    import torch

    from maskcl.data import from_arrays
    from maskcl.engine.table import Table

    rows, shape = 500_000, (3, 224, 224)  # 75 GB, of which the disk has the rows that are not zero
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.seek(499_999 * 150_528)
        file.write(bytes([255]) * 150_528)
    images = np.memmap(path, np.uint8, "r", shape=(rows, *shape))
    dataset = from_arrays(images, np.arange(rows) % 2, images[:2], [0, 1])
    table = Table(dataset.train_inputs, torch.float32, None)
    found = table.batch(torch.tensor([3, 499_999]), (), {})
    assert found.mean(dim=(1, 2, 3)).tolist() == [0.0, 1.0]


def test_what_another_process_is_making_is_not_cleared(folder: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    from_folder(folder, root=tmp_path / "root")
    whole = only_cache(tmp_path / "root")
    made = whole.with_name(f".{whole.name}.0123abcd.tmp")
    shutil.copytree(whole, made)
    with FileLock(whole.with_name(f".{whole.name}.lock")):
        assert clear_caches(None, tmp_path / "root") == []
    assert len(clear_caches("pets", tmp_path / "root")) == 2


def test_a_folder_of_something_else_among_the_caches_stays(folder: Path, tmp_path: Path) -> None:
    from_folder(folder, root=tmp_path / "root")
    (only_cache(tmp_path / "root").parent / "notes").mkdir()
    assert {state.name: state.state for state in caches(tmp_path / "root")} == {"pets": "whole", "notes": "broken"}
    assert [state.name for state in clear_caches(None, tmp_path / "root")] == ["pets"]


def test_a_cache_that_is_renamed_while_it_is_looked_at_is_passed_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_folder(folder, root=tmp_path / "root")
    made = only_cache(tmp_path / "root")
    half = made.with_name(f".{made.name}.01234567.tmp")
    half.mkdir()
    (half / "train_inputs.bin").write_bytes(b"half")
    assert {state.state for state in caches(tmp_path / "root")} == {"whole", "half-written"}
    plain = cache._state
    monkeypatch.setattr(cache, "_state", lambda path: (shutil.rmtree(half, ignore_errors=True), plain(path))[1])
    assert [state.folder for state in caches(tmp_path / "root")] == [made]
