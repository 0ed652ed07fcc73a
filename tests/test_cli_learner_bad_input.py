"""What a person at the shell can get wrong: one sentence, exit status 2, nothing written, nothing changed."""

# ruff: noqa: E501  (one case a line reads better)

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from painted import SMALL, paint
from torch import nn

from maskcl import Learner
from maskcl.cli import main

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("model")
    assert (
        main(["fit", str(paint(folder / "p", "red", "green")), "--into", str(folder / "m"), "--epochs", "1", *SMALL])
        == 0
    )
    return (folder / "m").read_bytes()


@pytest.fixture
def here(tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a.model and with pictures, and the working directory."""
    (tmp_path / "a.model").write_bytes(model)
    paint(tmp_path / "pets", "red", "green", each=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(content: bytes, **values: Any) -> bytes:
    """A model file whose header says something else."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    told = json.loads(header["__metadata__"]["maskcl.learner"]) | values
    header["__metadata__"]["maskcl.learner"] = json.dumps(told)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


FIT = ["fit", "pets", "--into", "new.model"]
ON = ["fit", "pets", "--into", "a.model"]

WORDS: dict[str, tuple[list[str], str]] = {
    "no model named": (["fit", "pets"], "Missing option '--into'."),
    "an unknown option": ([*FIT, "--epoch", "3"], "No such option: --epoch"),
    "no such folder": (["fit", "pest", "--into", "new.model"], "FOLDER: must be a folder of pictures, got 'pest'."),
    "a file for a folder": (["fit", "a.model", "--into", "new.model"], "FOLDER: must be a folder of pictures, got 'a.model'."),
    "no epochs": ([*FIT, "--epochs", "0"], "--epochs: must be a whole number, 1 or more, got 0."),
    "all held out": ([*FIT, "--held-out", "1"], "--held-out: must be above 0 and below 1, got 1.0."),
    "an unknown network": ([*FIT, "--network", "resnet"], "network.name: must be"),
    "an unknown method": ([*FIT, "--method", "era"], "method.name: must be one of"),
    "a method for whole runs": ([*FIT, "--method", "joint"], "must not train on all tasks together, as 'joint' does"),
    "a memory of set classes": ([*FIT, "--method", "agem"], "memory.policy: must not give slots to classes beforehand, for a model goes on to learn new ones, got 'ring'.\nhint: --set memory.policy=reservoir"),
    "a negative memory": ([*FIT, "--memory=-1"], "memory.size: must be 0 or more"),
    "a mask of no value": ([*FIT, "--mask", "leak"], "mask: must be 'none' or a table of settings, got 'leak'."),
    "a mask that is none": ([*FIT, "--mask", "leek=0.1"], "'leek' is not a key of [mask], got 0.1. Did you mean 'leak'?"),
    "half a mask": ([*FIT, "--mask", "leak=,policy=batch"], "--mask: must be KEY=VALUE, got 'leak='."),
    "a mask twice": ([*FIT, "--mask", "leak=0.1,leak=0.2"], "--mask leak: must be given once, and is given twice."),
    "a rate of nothing": ([*FIT, "--lr", "0"], "optimizer.lr: must be a number above 0, got 0.0."),
    "pictures of no size": ([*FIT, "--image-size", "0"], "Learner: image_size: must be a whole number from 1 to 4096, got 0."),
    "a negative seed": ([*FIT, "--seed=-1"], "Learner: seed: must be a whole number, 0 or more, got -1."),
    "no such device": ([*FIT, "--device", "gpu"], "training.device: must be"),
    "a key of no section": ([*FIT, "--set", "scenario.num_tasks=2"], "--set scenario.num_tasks: must be a key of network, method, memory, mask, cfgm, optimizer, training, got 2."),
    "a key that has an option": ([*FIT, "--set", "training.epochs=2"], "--set training.epochs: must be given as --epochs, got 2."),
    "a rate by its key": ([*FIT, "--set", "optimizer.lr=1"], "--set optimizer.lr: must be given as --lr, got 1."),
    "a key of nothing": ([*FIT, "--set", "sneed=3"], "--set sneed: must be a key of network, method, memory, mask, cfgm, optimizer, training, got 3.\nhint: did you mean seed?"),
    "epochs as a setting": ([*FIT, "--set", "epochs=3"], "--set epochs: must be given as --epochs, got 3."),
    "a device as a setting": ([*FIT, "--set", "device=cpu"], "--set device: must be given as --device, got 'cpu'."),
    "an argument of nobody": ([*FIT, "--set", "self=1"], "--set self: must be a key of network"),
    "a name of Python's": ([*ON, "--set", "__class__=1"], "--set __class__: must be a key of network"),
    "classes that no folder fills": ([*FIT, "--set", "classes=[1,2]"], "--set classes: must be a key of network"),
    "no path for a folder": (["fit", "", "--into", "new.model"], "FOLDER: must not be empty."),
    "no path for a model": (["fit", "pets", "--into", ""], "--into: must not be empty."),
    "no path for a picture": (["predict", "a.model", ""], "IMAGES: must not be empty."),
    "a graph over its model": (["export", "a.model", "--onnx", "./a.model"], "a.model: must be another file than one that holds a learner, which would be lost."),
    "a memory beyond the machine's": ([*FIT, "--memory", "1000000000000"], "Learner: memory.size: must fit into the "),
    "a batch beyond the machine's": ([*FIT, "--batch-size", "1000000000000"], "Learner: training.batch_size: must fit into the "),
    "a section by its key": ([*FIT, "--set", "network=mlp"], "--set network: must be given as --network, got 'mlp'."),
    "no key of a network": ([*FIT, "--set", "network.depth=2"], "'depth' is not a key of"),
    "a key of a key": ([*FIT, "--set", "optimizer.momentum.x=2"], "optimizer.momentum: must be a number, got {'x': 2}."),
    "a folder for a model": (["fit", "pets", "--into", "pets"], "pets: must be a file, and is a folder."),
    "a file for the model's folder": (["fit", "pets", "--into", "a.model/new.model"], "a.model/new.model: must be a file that can be written ("),
    "another network": ([*ON, "--network", "convnet"], "--network: must be left out or be as a.model has it, for it goes on, got 'convnet'.\nhint: another file is a new model"),
    "another width": ([*ON, "--set", "network.hidden=[9]"], "--set network.hidden: must be left out or be as a.model has it, for it goes on, got [9]."),
    "another method": ([*ON, "--memory", "30", "--method", "derpp"], "--method: must be left out or be as a.model has it, for it goes on, got 'derpp'."),
    "another memory": ([*ON, "--memory", "31"], "--memory: must be left out or be as a.model has it, for it goes on, got 31."),
    "another mask": ([*ON, "--mask", "leak=0.1"], "--mask: must be left out or be as a.model has it, for it goes on, got {'leak': 0.1}."),
    "another rate": ([*ON, "--lr", "0.5"], "--lr: must be left out or be as a.model has it, for it goes on, got 0.5."),
    "another size": ([*ON, "--image-size", "16"], "--image-size: must be left out or be as a.model has it, for it goes on, got 16."),
    "another seed": ([*ON, "--seed", "1"], "--seed: must be left out or be as a.model has it, for it goes on, got 1."),
    "predict before fit": (["predict", "new.model", "pets"], "new.model: must be a model, and is not there.\nhint: maskcl fit FOLDER --into new.model"),
    "evaluate before fit": (["evaluate", "new.model", "pets"], "new.model: must be a model, and is not there."),
    "export before fit": (["export", "new.model", "--onnx", "a.onnx"], "new.model: must be a model, and is not there."),
    "a folder is no model": (["predict", "pets", "pets"], "pets: must be a model, and is a folder."),
    "no pictures named": (["predict", "a.model"], "Missing argument 'IMAGES...'."),
    "no such picture": (["predict", "a.model", "pets", "pets/x.png"], "IMAGES: must be a picture, or a folder of pictures, got 'pets/x.png'."),
    "what is no picture": (["predict", "a.model", "a.model"], "a.model: must be a picture ("),
    "an unknown format": (["predict", "a.model", "pets", "--format", "jsn"], "--format: must be one of table, csv, json, got 'jsn'. Did you mean 'json'?"),
    "a judgement in an unknown format": (["evaluate", "a.model", "pets", "--format", "html"], "--format: must be one of table, csv, json, got 'html'."),
    "no classes asked for": (["predict", "a.model", "pets", "--top", "0"], "--top: must be a whole number, 1 or more, got 0."),
    "a folder of pictures without classes": (["evaluate", "a.model", "pets/red"], "pets/red: must hold nothing but folders, one for each class, and holds the file "),
}  # fmt: skip


@pytest.mark.parametrize("case", WORDS)
def test_what_was_typed_wrongly_is_told_in_one_sentence(
    here: Path, model: bytes, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, words = WORDS[case]
    refused(argv, words, capsys)
    assert sorted(path.name for path in here.iterdir()) == ["a.model", "pets"]
    assert (here / "a.model").read_bytes() == model


def refused(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(argv if argv[0] == "export" else [*argv, "-q"])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


def laid_out(here: Path, *paths: str) -> str:
    for path in paths:
        (here / path).mkdir(parents=True)
    return paths[0].split("/")[0]


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty folder": (lambda f: f.mkdir(), "FOLDER: must have a folder of pictures for each class, got 'odd'."),
    "a class without pictures": (lambda f: (paint(f, "red", "green"), (f / "owl").mkdir()), "odd/owl: must hold pictures, and holds none."),
    "one class": (lambda f: paint(f, "red"), "odd: must have two classes for a new model to tell apart, and has one, got 'red'."),
    "splits instead of classes": (lambda f: (paint(f / "train", "red"), paint(f / "test", "red")), "odd: must have a folder of pictures for each class, and has 'test' and 'train'.\nhint: the classes are in odd/train"),
    "a picture that is none": (lambda f: (paint(f, "red", "green"), (f / "red" / "x.png").write_bytes(b"")), "odd/red/x.png: must be a picture, and is empty.\nhint: --skip-unreadable leaves such pictures out"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_folders_that_cannot_be_learnt_are_told_in_one_sentence(
    here: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = FOLDERS[case]
    make(here / "odd")
    refused(["fit", "odd", "--into", "new.model", *SMALL], words, capsys)
    assert sorted(path.name for path in here.iterdir()) == ["a.model", "odd", "pets"]
    if "one class" not in case:
        refused(["evaluate", "a.model", "odd"], words, capsys)


def test_a_class_of_which_nothing_can_be_used_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(here / "odd", "red", "green")
    (here / "odd" / "owl").mkdir()
    (here / "odd" / "owl" / "x.png").write_bytes(b"")
    status = main(["fit", "odd", "--into", "new.model", "--skip-unreadable", *SMALL])
    _, err = capsys.readouterr()
    assert status == 2
    assert err.splitlines()[-1] == "error: odd/owl: must hold pictures that can be used, and holds none."
    assert main(["predict", "a.model", "odd/owl", "--skip-unreadable", "-q"]) == 2
    assert "error: IMAGES: must have a picture that can be used, and all were left out." in capsys.readouterr().err


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda c: b"", "must be a whole safetensors file ("),
    "cut": (lambda c: c[:-100], "must be a whole safetensors file ("),
    "text": (lambda c: b"no model at all", "must be a whole safetensors file ("),
    "of another version": (lambda c: changed(c, format=99), "must have format 2, got 99.\nhint: it was written by maskcl "),
    "of other tensors": (lambda c: changed(c, num_classes=7), "must be as it was written, and its digest says that something in it has changed."),
    "of no header": (lambda c: c.replace(b"maskcl.learner", b"maskcl.lorries"), "must hold a learner."),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("command", ["fit", "predict", "evaluate", "export"])
def test_a_file_that_is_no_model_is_refused_and_left(
    here: Path, model: bytes, command: str, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    breaks, words = BROKEN[case]
    (here / "b.model").write_bytes(breaks(model))
    argv = {"fit": ["fit", "pets", "--into", "b.model"], "export": ["export", "b.model", "--onnx", "b.onnx"]}
    refused(argv.get(command, [command, "b.model", "pets"]), f"b.model: {words}", capsys)
    assert (here / "b.model").read_bytes() == breaks(model)
    assert not (here / "b.onnx").exists()


def test_a_model_of_something_else_than_pictures_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Learner("mlp", memory=4).fit(np.eye(4, dtype=np.float32), [0, 1, 0, 1]).save("b.model")
    words = "b.model: must be a model of coloured pictures, uint8 [3, height, width], got 'float32 [4]'."
    for argv in (["fit", "pets", "--into", "b.model"], ["predict", "b.model", "pets"], ["evaluate", "b.model", "pets"]):
        refused(argv, words, capsys)


def test_a_network_that_no_file_holds_is_left_to_python(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    Learner(network, memory=4).fit(np.zeros((4, 3, 8, 8), np.uint8), ["red", "green"] * 2).save("b.model")
    words = "b.model: network: must be given, for the file holds a network of one's own.\nhint: Learner.load("
    for argv in (["fit", "pets", "--into", "b.model"], ["predict", "b.model", "pets"]):
        refused(argv, words, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_told_before_pictures_are_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in (["fit", "no-such", "--into", "new.model"], ["fit", "no-such", "--into", "a.model"],
                 ["predict", "a.model", "no-such"]):  # fmt: skip
        refused([*argv, "--device", "cuda"], "training.device: must be one that is there, and there is cpu", capsys)


def test_pictures_of_another_size_are_refused_where_the_model_has_no_square(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.zeros((4, 3, 8, 6), np.uint8)
    Learner("mlp", memory=4).fit(rows, ["red", "green"] * 2).save("b.model")
    words = "Learner.predict: inputs: must have the shape of the first fit's rows, [3, 8, 6], got [3, 8, 8]."
    refused(["predict", "b.model", "pets"], words, capsys)
    paint(here / "mixed", "red", "green", each=1)
    paint(here / "mixed", "blue", each=1, size=9)
    refused(["predict", "b.model", "mixed"], "must have the size of blue/00.png, 9x9, got '8x8'.", capsys)
