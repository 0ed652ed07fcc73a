"""Whole files of every kind, small: what cases damage."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import maskcl
from fuzzing import judging
from maskcl.data.cifar import CIFAR10
from maskcl.data.idx_set import MNIST, IdxSet
from maskcl.data.pictures import FORMATS
from maskcl.data.tiny_imagenet import TINY_IMAGENET, TinyImageNet

INPUTS = np.linspace(0, 1, 60, dtype=np.float32).reshape(20, 3)
SMALL_CIFAR = dataclasses.replace(
    CIFAR10, train={"data_batch_1.bin": 4, "data_batch_2.bin": 4}, test={"test_batch.bin": 3}
)
SMALL_TINY = TinyImageNet("tiny_imagenet", TINY_IMAGENET.archive, train_each=1, val_each=1)
EXPERIMENT = """
seeds = 1
method = "{method}"

[scenario]
dataset = {dataset}
num_tasks = {num_tasks}

[network]
hidden = [3]

[memory]
size = 6

[training]
batch_size = 2
checkpoint_every = 3
"""


def experiment(folder: Path, dataset: str, *, num_tasks: int) -> Path:
    """Write an experiment file for data that a TOML value names."""
    path = folder / "case.toml"
    path.write_text(EXPERIMENT.format(method="er", dataset=dataset, num_tasks=num_tasks))
    return path


def _idx(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def write_idx(folder: Path) -> None:
    """Images and labels, packed and not."""
    images, labels = _idx(_pixels(5, 4, 4)), _idx(np.arange(5, dtype=np.uint8))
    for name, content in (("images", images), ("labels", labels)):
        (folder / f"{name}.idx").write_bytes(content)
        (folder / f"{name}.idx.gz").write_bytes(gzip.compress(content, mtime=0))


def _small_idx() -> dict[str, bytes]:
    images, labels = _idx(_pixels(20, 4, 4)), _idx((np.arange(20) % 10).astype(np.uint8))
    return {file: images if "images" in file else labels for file in MNIST.sha256}


def write_mnist(folder: Path) -> None:
    """Four small files under MNIST's names, packed or not."""
    (folder / "mnist").mkdir()
    for i, (file, content) in enumerate(_small_idx().items()):
        packed = i % 2 == 0
        (folder / "mnist" / (f"{file}.gz" if packed else file)).write_bytes(
            gzip.compress(content, mtime=0) if packed else content
        )


def small_mnist() -> IdxSet:
    """The data set of `write_mnist`."""
    return dataclasses.replace(
        MNIST, sha256={file: hashlib.sha256(content).hexdigest() for file, content in _small_idx().items()}
    )


def write_cifar(folder: Path) -> None:
    """Records of CIFAR-10."""
    (folder / SMALL_CIFAR.folder).mkdir()
    for file, rows in {**SMALL_CIFAR.train, **SMALL_CIFAR.test}.items():
        records = _pixels(rows, 3073)
        records[:, 0] = np.arange(rows)
        records.tofile(folder / SMALL_CIFAR.folder / file)


def write_tiny(folder: Path) -> None:
    """Tiny-ImageNet of two classes of one picture."""
    base = folder / SMALL_TINY.archive.folder
    (base / "val" / "images").mkdir(parents=True)
    for c, wnid in enumerate(("n01", "n02")):
        (base / "train" / wnid / "images").mkdir(parents=True)
        _image(c).save(base / "train" / wnid / "images" / f"{wnid}_0.JPEG")
        _image(c + 2).save(base / "val" / "images" / f"val_{c}.JPEG")
    (base / "wnids.txt").write_text("n01\nn02\n")
    (base / "words.txt").write_text("n01\tthing\nn02\tthing\n")
    (base / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn01\t0\t0\t7\t7\nval_1.JPEG\tn02\t0\t0\t7\t7\n")


def write_arrays(folder: Path) -> None:
    """A .npz file of two classes."""
    labels = np.arange(20) % 2
    np.savez(
        folder / "data.npz", train_inputs=INPUTS, train_labels=labels, test_inputs=INPUTS[:6], test_labels=labels[:6]
    )


def write_pictures(folder: Path) -> None:
    """One picture of each format, and of some kinds within one."""
    image = _image(0)
    for format in FORMATS:
        image.save(folder / f"a.{format.lower()}", format=format)
    image.quantize(8).save(folder / "palette.png", transparency=1)
    image.convert("LA").save(folder / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif)


def write_folder(folder: Path) -> None:
    """Pictures of two classes, to learn from and to judge by."""
    for split, each in (("train", 3), ("test", 1)):
        for c, name in enumerate(("cat", "dog")):
            (folder / "pictures" / split / name).mkdir(parents=True)
            for i in range(each):
                _image(c + 2 * i).save(folder / "pictures" / split / name / f"{i}.{('png', 'jpeg', 'bmp')[i]}")


def write_weights(folder: Path) -> None:
    """A trained network, as experiments keep it."""
    from maskcl.networks import Mlp, build_network
    from maskcl.weights import save_network

    network = Mlp(hidden=(4,))
    module = build_network(network, (3,), 2, seed=0)
    save_network(
        folder / "a.safetensors", module, network=network, input_shape=(3,), num_classes=2, tasks=[(0,), (1,)],
        input_range=(0.0, 1.0), about={"a": [1, None]},
    )  # fmt: skip


def write_learner(folder: Path) -> None:
    """A learner with a memory, and one whose labels are words."""
    names = np.array(["cat", "dog"])
    maskcl.Learner("mlp", memory=8).fit(INPUTS, np.arange(20) % 2).save(folder / "a.learner")
    maskcl.Learner("mlp", method="lwf").fit(INPUTS, names[np.arange(20) % 2]).save(folder / "b.learner")


def write_checkpoint(folder: Path) -> None:
    """A run that was stopped in its middle, with its last two checkpoints."""
    path = experiment(folder, "'digits'", num_tasks=5)
    path.write_text(path.read_text().replace("[scenario]", "[scenario]\nsubset = 0.02\neval_subset = 0.05"))
    before, judging.MOST_STEPS = judging.MOST_STEPS, 12
    try:
        with judging.limited():
            argv = ["run", str(path), "--out", str(folder / "out"), "--executor", "loop"]
            verdict = judging.judged_command(argv, None, (str(path),))
    finally:
        judging.MOST_STEPS = before
    assert verdict.outcome == "stopped", verdict
    assert len(list((folder / "out" / ".maskcl" / "checkpoints").glob("*.safetensors"))) == 2


@lru_cache(maxsize=1)
def expected_checksums() -> dict[str, str]:
    """Checksums of the results of `write_checkpoint`'s experiment, run without a stop."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_checkpoint(folder)
        out = folder / "whole"
        argv = ["run", str(folder / "case.toml"), "--out", str(out), "--executor", "loop"]
        verdict = judging.judged_command(argv, out, ())
        assert verdict == judging.Verdict("valid", verdict.said), verdict
        return checksums(out)


def checksums(out: Path) -> dict[str, str]:
    """The checksum of each result of a folder."""
    return {path.name: json.loads(path.read_text())["checksum"] for path in out.glob("*/seed-*.json")}


def write_results(folder: Path) -> None:
    """Two results of one setting."""
    path = experiment(folder, "'digits'", num_tasks=2)
    path.write_text(path.read_text().replace("[scenario]", "[scenario]\nsubset = 0.02\neval_subset = 0.05"))
    maskcl.run(path, out=folder, seeds=2)


def write_archives(folder: Path) -> None:
    """A zip and a tar of one folder."""
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("inner/a", "inner/b/c"):
            file.writestr(name, b"text " * 20)
    with tarfile.open(folder / "a.tar.gz", "w:gz") as tar:
        for name in ("inner/a", "inner/b/c"):
            member = tarfile.TarInfo(name)
            member.size = 100
            tar.addfile(member, io.BytesIO(b"text " * 20))


def _pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _image(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 8, 3), dtype=np.uint8))
