"""fit, predict, evaluate and export: a classifier of pictures in folders, for those who write no Python."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskcl.cli.console import Quiet, SaidError, note, pictures_progress, progress
from maskcl.cli.tables import print_guesses, print_judged, print_lines, some_of
from maskcl.errors import ConfigError, DataError, check, check_choice, counted
from maskcl.files import as_path

if TYPE_CHECKING:
    from maskcl.data.checks import Inputs
    from maskcl.learner import Learner
    from maskcl.learner.model_file import Asked

__all__ = ["evaluate", "export", "fit", "predict"]

FORMATS = ("table", "csv", "json")


def _path(text: str | Path) -> Path:
    """What was typed as a path: the shell's own words for it would be a Path of '', which is the folder one is in."""
    try:
        return as_path(text, "path")
    except ConfigError:
        raise typer.BadParameter(f"must be a path, got {text!r}.") from None


Model = Annotated[Path, typer.Argument(help="Model file that `maskcl fit` wrote.", metavar="MODEL", parser=_path)]
Classes = Annotated[
    Path, typer.Argument(help="Folder with a folder of pictures for each class.", metavar="FOLDER", parser=_path)
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="NAME", help="cpu, cuda, mps or auto; default cpu, or the model's.")
]
Format = Annotated[str, typer.Option("--format", metavar="NAME", help="table, csv or json.")]
Skip = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out pictures that cannot be used.")]


def fit(
    folder: Classes,
    into: Annotated[
        Path,
        typer.Option(
            "--into", metavar="MODEL", help="Model file: a new one is begun, one that is there goes on.", parser=_path
        ),
    ],
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Passes over the pictures; default 10.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option("--network", metavar="NAME", help="Network of a new model; default convnet, of 32, 64, 128."),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", metavar="NAME", help="Method of a new model; default er.")
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option("--memory", metavar="N", help="Pictures that a new model keeps for replay; default 2000."),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask",
            metavar="KEY=VALUE",
            help="Mask of a new model, e.g. leak=0.1, or none; with er and derpp default leak=0.03.",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option("--image-size", metavar="N", help="Bring pictures to N x N pixels for a new model; default 32."),
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="RATE", help="Learning rate of a new model; default 0.001, of Adam.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", help="New pictures a step, of a new model; default 32.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Seed of a new model; default 0."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other setting of a new model, e.g. training.augment.flip=true. May be repeated.",
        ),
    ] = None,
    held_out: Annotated[
        float | None,
        typer.Option("--held-out", metavar="SHARE", help="Do not learn this share of each class, and judge by it."),
    ] = None,
    skip_unreadable: Skip = False,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Teach a model the classes of a folder of pictures, or begin one."""
    from maskcl.data.source import is_file
    from maskcl.learner.foreign import foreign_told
    from maskcl.learner.judging import as_known, judged, split_off
    from maskcl.learner.model_file import begun_or_loaded, default_epochs, memory_places, picture_size
    from maskcl.learner.pictures import read_folder

    check(epochs is None or epochs >= 1, "--epochs", "must be a whole number, 1 or more", epochs)
    check(held_out is None or 0 < held_out < 1, "--held-out", "must be above 0 and below 1", held_out)
    plain = {"network": network, "method": method, "memory": memory, "image_size": image_size, "lr": lr,
             "batch_size": batch_size, "seed": seed}  # fmt: skip
    _check_file(into)
    began, new = time.perf_counter(), not is_file(into)
    try:
        learner = begun_or_loaded(into, _asked(plain, mask, overrides or []), device=device)
        epochs = default_epochs(learner) if epochs is None else epochs
        before = [] if new else learner.classes_.tolist()
        with _way_out(), pictures_progress(quiet=quiet) as told:
            size = learner.image_size if new else picture_size(learner, str(into))
            pictures, names = read_folder(folder, "FOLDER", size, skip_unreadable=skip_unreadable, on_progress=told)
        labels = as_known(names, before)
        must = "must have two classes for a new model to tell apart, and has one"
        check(len({*before, *labels}) > 1, str(folder), must, labels[0], error=DataError)
        learnt, kept = split_off(labels, held_out)
        _teach(learner, pictures[learnt], [labels[i] for i in learnt], epochs, quiet=quiet)
        with foreign_told(learner):
            found = judged(learner, pictures[kept], [labels[i] for i in kept]) if len(kept) else None
        learner.save(into)
    except KeyboardInterrupt:
        note("stopped: there is no model yet" if new else f"stopped: {into} is as it was")
        raise SaidError(130) from None
    taught = list(dict.fromkeys(labels))
    groups = {"new": [c for c in taught if c not in before], "again": [c for c in taught if c in before],
              "known": [c for c in before if c not in taught]}  # fmt: skip
    spent = time.perf_counter() - began
    print_lines([
        *((f"{name} classes", f"{len(group)}: {some_of(group)}") for name, group in groups.items() if group),
        ("learnt", f"{counted(len(learnt), 'picture')} in {counted(epochs, 'epoch')}, {spent:.1f} seconds"),
        *([("memory", _filled(*memory_places(learner)))] if learner._core.num_slots else []),
        *([("held out", f"{100 * found.accuracy:.1f} % right of {counted(len(kept), 'picture')}")] if found else []),
        ("model", str(into)),
    ])  # fmt: skip
    if found is None and not quiet:
        note(f"hint: maskcl evaluate {into} FOLDER judges it by other pictures; --held-out 0.2 by some of these")


def _filled(filled: int, places: int, different: int) -> str:
    """How full a memory is; in several epochs a picture may have come to several places."""
    text = f"{filled} of {places} places are filled"
    return text if different == filled else f"{text}, with {counted(different, 'different picture')}"


def _teach(learner: Learner, pictures: Inputs, labels: Sequence[Hashable], epochs: int, *, quiet: bool) -> None:
    """Fit with a bar of epochs."""
    from maskcl.learner.foreign import foreign_told

    with progress("learning", epochs, "epochs", quiet=quiet) as advance:
        done = 0.0

        def count(steps: int, total: int) -> None:
            nonlocal done
            if advance is not None:
                advance(epochs * steps / total - done)
                done = epochs * steps / total

        with foreign_told(learner):
            learner.fit(pictures, labels, epochs=epochs, on_progress=count)


def predict(
    model: Model,
    images: Annotated[
        list[str], typer.Argument(help="Pictures, and folders: all pictures below them.", metavar="IMAGES...")
    ],
    top: Annotated[int, typer.Option("--top", metavar="K", help="Say the K most probable classes.")] = 1,
    format: Format = "table",
    skip_unreadable: Skip = False,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Say what is on pictures, and how probable it is."""
    from maskcl.learner.foreign import foreign_told
    from maskcl.learner.judging import best_classes
    from maskcl.learner.model_file import loaded, picture_size
    from maskcl.learner.pictures import pictures_in_parts

    check_choice(format, "--format", FORMATS)
    check(top >= 1, "--top", "must be a whole number, 1 or more", top)
    learner = loaded(model, device=device)
    found: list[tuple[str, list[tuple[Any, float]]]] = []
    with _way_out(), pictures_progress(quiet=quiet) as told:
        size = picture_size(learner, str(model))
        for paths, pictures in pictures_in_parts(
            images, "IMAGES", size, skip_unreadable=skip_unreadable, on_progress=told
        ):
            with foreign_told(learner):
                found += zip(paths, best_classes(learner, pictures, top), strict=True)
    print_guesses(found, format)


def evaluate(
    model: Model,
    folder: Classes,
    format: Format = "table",
    skip_unreadable: Skip = False,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Judge a model by a folder of pictures, class by class."""
    from maskcl.learner.foreign import foreign_told
    from maskcl.learner.judging import as_known, judged
    from maskcl.learner.model_file import loaded, picture_size
    from maskcl.learner.pictures import read_folder

    check_choice(format, "--format", FORMATS)
    learner = loaded(model, device=device)
    with _way_out(), pictures_progress(quiet=quiet) as told:
        size = picture_size(learner, str(model))
        pictures, names = read_folder(folder, "FOLDER", size, skip_unreadable=skip_unreadable, on_progress=told)
    with foreign_told(learner):
        found = judged(learner, pictures, as_known(names, learner.classes_.tolist()))
    print_judged(found, format)
    if found.unknown:
        note(f"warning: {some_of(found.unknown)}: not known to the model, and counted as wrong")


def export(
    model: Model,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="The ONNX file to write.", parser=_path)],
) -> None:
    """Write a model as ONNX, for programs without PyTorch."""
    from maskcl.learner.model_file import input_kind, loaded

    _check_file(onnx)
    learner = loaded(model, device="cpu")
    learner.export_onnx(onnx)
    names = learner.classes_.tolist()
    print_lines([("input", f"rows: {input_kind(learner)}"), ("outputs", f"logits, probabilities: [rows, {len(names)}]"),
                 ("classes", some_of(names)), ("file", str(onnx))])  # fmt: skip


def _asked(plain: dict[str, Any], mask: str | None, overrides: Sequence[str]) -> list[Asked]:
    """The settings that were given, in one list."""
    from maskcl.experiment import parse_overrides
    from maskcl.learner.model_file import Asked

    own = {"training.batch_size": "--batch-size", "training.epochs": "--epochs", "training.device": "--device",
           "optimizer.lr": "--lr", "epochs": "--epochs", "device": "--device"}  # fmt: skip
    found = [Asked(f"--{key.replace('_', '-')}", key, value) for key, value in plain.items() if value is not None]
    if mask is not None:
        pairs = [pair for pair in mask.split(",") if pair.strip()]
        word = "=" not in mask and mask.strip().isidentifier()
        value = mask.strip() if word else parse_overrides(pairs or [mask], option="--mask", example="leak=0.1")
        found.append(Asked("--mask", "mask", value))
    for key, value in parse_overrides(overrides, example="training.augment.flip=true").items():
        option = own.get(key, f"--{key.replace('_', '-')}" if key in plain or key == "mask" else None)
        check(option is None, f"--set {key}", f"must be given as {option}", value)
        found.append(Asked(f"--set {key}", key, value))
    return found


def _check_file(path: Path) -> None:
    """Refuse what cannot be written before minutes are spent on it."""
    from tempfile import TemporaryFile

    from maskcl.data.source import is_file, is_folder

    check(not is_folder(path), str(path), "must be a file, and is a folder")
    check(is_file(path) or not os.path.exists(path), str(path), "must be a file, and is a pipe, a socket or a device")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(f"{path}: must be a file that can be written ({error.strerror or error}).") from error


@contextmanager
def _way_out() -> Iterator[None]:
    """Tell whom a picture stops how to go on without it."""
    from maskcl.data.picture_set import UnusablePictureError

    try:
        yield
    except UnusablePictureError as error:
        text = str(error)
        hint = "" if "\nhint: " in text else "\nhint: --skip-unreadable leaves such pictures out"
        raise DataError(text + hint) from error
