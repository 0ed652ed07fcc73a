"""Cases of files: a whole one of each kind is made once; a case damages a copy of it, and uses it as anybody does."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fuzzing import templates
from fuzzing.damage import damaged
from fuzzing.headers import other_arrays, other_gzip, other_json, other_png, other_safetensors, other_zip
from fuzzing.judging import Verdict, judged_call, judged_command
from maskcl.data.source import Source

__all__ = ["KINDS", "Kind", "damaged_file"]

Damage = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        make: Writes whole files into a folder.
        use: Judges what becomes of them, given the folder and the damaged one.
        pattern: Which of them are damaged.
        other: Damage that leaves the file well-formed, by the ending of its name.
    """

    make: Callable[[Path], None]
    use: Callable[[Path, Path], Verdict]
    pattern: str
    other: dict[str, Damage]


def damaged_file(chance: Random, folder: Path, kind: str) -> Verdict:
    """Damage a file of a kind, and use it."""
    own = KINDS[kind]
    for name, content in _whole(kind).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path = chance.choice(sorted(folder.glob(own.pattern)))
    other = own.other.get(path.suffix)
    change = other if other is not None and chance.random() < 0.5 else damaged
    path.write_bytes(change(path.read_bytes(), chance))
    return own.use(folder, path)


@cache
def _whole(kind: str) -> dict[str, bytes]:
    """The whole files of a kind, by their names below the folder."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        KINDS[kind].make(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _idx(folder: Path, path: Path) -> Verdict:
    from maskcl.data.idx import is_whole, read_idx

    def use() -> None:
        is_whole(path)  # a guess by its ends, and no more
        read_idx(path)

    return judged_call(use, str(path))


def _idx_set(folder: Path, path: Path) -> Verdict:
    source = templates.small_mnist()

    def use() -> None:
        source.presence(folder)
        states = {state.state for state in source.verify(folder)}
        dataset = source.load(folder)
        assert states == {"intact"}
        assert len(dataset.train_labels) == 20

    return judged_call(use, str(path))


def _cifar(folder: Path, path: Path) -> Verdict:
    return _loaded(templates.SMALL_CIFAR, folder, str(path))


def _tiny(folder: Path, path: Path) -> Verdict:
    # A name that wnids.txt or the annotations have wrong is told by the picture that it leads to.
    return _loaded(templates.SMALL_TINY, folder, "tiny")


def _loaded(source: Source, folder: Path, named: str) -> Verdict:
    """A data set looked for, verified and loaded; a refusal has to say `named`."""

    def use() -> None:
        source.presence(folder)
        source.verify(folder)
        source.load(folder)

    return judged_call(use, named)


def _arrays(folder: Path, path: Path) -> Verdict:
    experiment = templates.experiment(folder, f"{{ npz = '{path}' }}", num_tasks=1)
    out = folder / "out"
    argv = ["run", str(experiment), "--out", str(out), "--executor", "loop", "--data-root", str(folder)]
    return judged_command(argv, out, (str(path), path.stem, str(experiment)))


def _picture(folder: Path, path: Path) -> Verdict:
    from maskcl.data.pictures import decode

    sizes = (None, 8) if path.stat().st_size % 2 else (8, None)
    return judged_call(lambda: [decode(path, size).shape for size in sizes], str(path))


def _folder(folder: Path, path: Path) -> Verdict:
    pictures = folder / "pictures"
    experiment = templates.experiment(folder, f"{{ folder = '{pictures}', image_size = 8 }}", num_tasks=1)
    out = folder / "out"
    argv = ["run", str(experiment), "--out", str(out), "--executor", "loop", "--data-root", str(folder)]
    return judged_command(argv, out, (str(path), str(pictures)))


def _weights(folder: Path, path: Path) -> Verdict:
    import torch

    from maskcl.weights import load_network, network_info

    def use() -> None:
        info = network_info(path)
        module = load_network(path)
        module(torch.zeros(2, *info.input_shape))

    return judged_call(use, str(path))


def _learner(folder: Path, path: Path) -> Verdict:
    import maskcl

    return judged_call(lambda: maskcl.Learner.load(path).predict(templates.INPUTS), str(path))


def _checkpoint(folder: Path, path: Path) -> Verdict:
    """Whatever a checkpoint says, the run ends with the result that it always had."""
    experiment, out = folder / "case.toml", folder / "out"
    verdict = judged_command(
        ["run", str(experiment), "--out", str(out), "--executor", "loop"], out, (str(path), str(experiment))
    )
    told = path.name in verdict.said or path.parent.name in verdict.said
    faults = []
    if verdict.outcome != "valid":
        faults.append(f"a damaged checkpoint ends a run: {verdict.outcome}, {verdict.said}")
    elif templates.checksums(out) != templates.expected_checksums():
        faults.append(f"another result, and it was {'told' if told else 'not told'}")
    return Verdict(verdict.outcome, verdict.said, (*verdict.faults, *faults))


def _result(folder: Path, path: Path) -> Verdict:
    return judged_command(["report", str(folder), "--format", "csv"], None, (str(folder),))


def _archive(folder: Path, path: Path) -> Verdict:
    from maskcl.data.archive import download_archive
    from maskcl.data.publisher import Archive

    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()  # as if it had been published so
    archive = Archive(f"http://localhost:9/{path.name}", md5, "inner")
    (folder / "inner").mkdir()
    (folder / "inner" / "before").touch()
    verdict = judged_call(lambda: download_archive(archive, folder), path.name)
    there = (folder / "inner" / "before").exists()
    faults = [] if there == (verdict.outcome == "refused") else ["the folder that was there is gone, or stays"]
    faults += [f"left: {left.name}" for left in folder.glob(".*.tmp")]
    shutil.rmtree(folder / "inner", ignore_errors=True)
    return Verdict(verdict.outcome, verdict.said, (*verdict.faults, *faults))


KINDS: dict[str, Kind] = {
    "idx": Kind(templates.write_idx, _idx, "*.idx*", {".gz": other_gzip}),
    "idx set": Kind(templates.write_mnist, _idx_set, "mnist/*", {".gz": other_gzip}),
    "cifar": Kind(templates.write_cifar, _cifar, "*/*.bin", {}),
    "tiny imagenet": Kind(templates.write_tiny, _tiny, "*/**/*.*", {}),
    "npz": Kind(templates.write_arrays, _arrays, "*.npz", {".npz": other_arrays}),
    "picture": Kind(templates.write_pictures, _picture, "*", {".png": other_png}),
    "picture folder": Kind(templates.write_folder, _folder, "pictures/*/*/*", {".png": other_png}),
    "weights": Kind(templates.write_weights, _weights, "*.safetensors", {".safetensors": other_safetensors}),
    "learner": Kind(templates.write_learner, _learner, "*.learner", {".learner": other_safetensors}),
    "checkpoint": Kind(templates.write_checkpoint, _checkpoint, "out/.maskcl/checkpoints/*",
                       {".safetensors": other_safetensors}),
    "result": Kind(templates.write_results, _result, "*/seed-*.json", {".json": other_json}),
    "archive": Kind(templates.write_archives, _archive, "*.*", {".zip": other_zip, ".gz": other_gzip}),
}  # fmt: skip
"""Kinds of files by name."""
