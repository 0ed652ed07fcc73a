"""fit, predict, evaluate, export: a classifier of pictures without a line of Python."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted import SMALL, paint
from PIL import Image

from maskcl import Learner
from maskcl.cli import main
from maskcl.engine.population import Population

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *argv: Any) -> tuple[int, str, str]:
    status = main([str(word) for word in argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders old (red, green), new (blue), test (all three), and a model of old."""
    folder = tmp_path_factory.mktemp("painted")
    paint(folder / "old", "red", "green")
    paint(folder / "new", "blue", seed=1)
    paint(folder / "test", "red", "green", "blue", each=5, seed=2)
    assert main(["fit", str(folder / "old"), "--into", str(folder / "old.model"), "--epochs", "5", *SMALL]) == 0
    return folder


@pytest.fixture
def model(painted: Path, tmp_path: Path) -> Path:
    """A copy of the model that may be changed."""
    path = tmp_path / "a.model"
    path.write_bytes((painted / "old.model").read_bytes())
    return path


def test_a_model_is_begun_goes_on_and_knows_old_and_new(painted: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "models" / "a.model"  # the folder is made
    status, out, err = said(capsys, "fit", painted / "old", "--into", path, "--epochs", 5, *SMALL[:-1])
    assert status == 0
    lines = [line.split("  ", 1)[0] for line in out.splitlines()]
    assert lines == ["new classes", "learnt", "memory", "model"]
    assert "2: green, red" in out
    assert "24 pictures in 5 epochs, " in out
    assert "5/5 epochs" in err
    assert "24/24 pictures" in err
    assert f"hint: maskcl evaluate {path} FOLDER" in err
    status, out, err = said(capsys, "fit", painted / "new", "--into", path, "--epochs", 5, "-q")
    assert (status, err) == (0, "")
    assert "new classes    1: blue\n" in out
    assert "known classes  2: green, red\n" in out
    status, out, _ = said(capsys, "evaluate", path, painted / "test", "-q")
    assert status == 0
    assert "accuracy 100.0 %: 15 of 15 pictures" in out


def test_the_shell_learns_what_python_learns(painted: Path, model: Path) -> None:
    learner = Learner({"name": "mlp", "hidden": [16]}, memory=30, batch_size=8, image_size=8, mask={"leak": 0.03})
    learner.fit(str(painted / "old"), epochs=5).fit(str(painted / "new"), epochs=2)
    assert main(["fit", str(painted / "new"), "--into", str(model), "--epochs", "2", "-q"]) == 0
    for ours, theirs in zip(learner.network_.parameters(), Learner.load(model).network_.parameters(), strict=True):
        assert ours.equal(theirs)


def test_a_class_that_comes_back_is_said_to_be_there_again(painted: Path, model: Path, capsys: Capture) -> None:
    _, out, _ = said(capsys, "fit", painted / "old", "--into", model, "--epochs", 1, "-q")
    assert "again classes  2: green, red\n" in out
    assert "new" not in out


def test_settings_that_a_file_has_may_be_said_again(painted: Path, model: Path, capsys: Capture) -> None:
    before = model.read_bytes()
    assert said(capsys, "fit", painted / "new", "--into", model, "--epochs", 1, *SMALL, "--lr", 0.05)[0] == 0
    assert model.read_bytes() != before
    status, _, err = said(capsys, "fit", painted / "new", "--into", model, "--mask", "leak=0.03,policy=batch")
    assert status == 2
    assert err.startswith(f"error: --mask: must be left out or be as {model} has it, for it goes on, got ")


def test_a_mask_is_what_the_option_says(painted: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.model"
    argv = ["fit", str(painted / "old"), "--into", str(path), "--epochs", "1", *SMALL, "--seed", "3"]
    assert main([*argv, "--mask", "leak=0.1,policy=batch", "--set", "training.augment.flip=true"]) == 0
    found = Learner.load(path)
    assert (found.mask, found.seed, found.image_size) == ({"leak": 0.1, "policy": "batch"}, 3, 8)
    assert found.training == {"augment": {"flip": True}}
    assert main([*argv, "--mask", "value=0,policy=batch"]) == 2
    path.unlink()
    assert main([*argv, "--mask", "none"]) == 0
    assert Learner.load(path)._core.config.method.mask is None
    path.unlink()
    assert main([*argv, "--set", "mask.value=0", "--set", "mask.policy=batch"]) == 0
    assert Learner.load(path).mask == {"value": 0, "policy": "batch"}


def test_the_defaults_of_a_new_model(painted: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.model"
    argv = ["fit", str(painted / "old"), "--into", str(path), "--epochs", "1", "-q"]
    assert main(argv) == 0
    found = Learner.load(path)
    assert (found.network, found.method) == ({"name": "convnet", "hidden": [32, 64, 128]}, {"name": "er"})
    assert (found.optimizer, found.lr, found.mask) == ({"name": "adam"}, 0.001, {"leak": 0.03})
    assert (found.memory, found.batch_size, found.image_size, found.seed) == (2000, 32, 32, 0)
    path.unlink()
    assert main([*argv[:4], "--method", "gdumb", "--set", "method.passes=1", *SMALL]) == 0  # it has its own epochs
    path.unlink()
    assert main([*argv, "--method", "er_ace", "--set", "optimizer.name=sgd", "--network", "mlp"]) == 0
    found = Learner.load(path)
    assert (found.network, found.optimizer, found.lr, found.mask) == ({"name": "mlp"}, {"name": "sgd"}, None, None)


def test_what_is_held_out_is_not_learnt_and_judged_by(painted: Path, tmp_path: Path, capsys: Capture) -> None:
    argv = ("fit", painted / "old", "--into", tmp_path / "a.model", "--epochs", 5, "--held-out", 0.25, *SMALL)
    _, out, err = said(capsys, *argv)
    assert "18 pictures in 5 epochs" in out
    assert "held out     100.0 % right of 6 pictures" in out
    assert err == ""


def test_stopping_leaves_the_old_model(
    painted: Path, model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: Any, steps: Any, *rest: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    before = model.read_bytes()
    monkeypatch.setattr(Population, "_end_task", stopped)  # all steps are done
    status, out, err = said(capsys, "fit", painted / "new", "--into", model, "-q")
    assert (status, out, err) == (130, "", f"stopped: {model} is as it was\n")
    assert model.read_bytes() == before
    status, _, err = said(capsys, "fit", painted / "old", "--into", tmp_path / "b.model", *SMALL)
    assert (status, err) == (130, "stopped: there is no model yet\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.model"]


def test_predictions_are_printed_in_the_order_asked_for(painted: Path, capsys: Capture) -> None:
    one, folder = painted / "test" / "red" / "03.png", painted / "test" / "green"
    status, out, err = said(capsys, "predict", painted / "old.model", one, folder, "-q")
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["path", "label", "probability"]
    assert [row[0] for row in rows[1:]] == [str(one), *(str(folder / f"{i:02}.png") for i in range(5))]
    assert [row[1] for row in rows[1:]] == ["red", *["green"] * 5]
    assert all(0.5 < float(row[2]) <= 1 for row in rows[1:])


def test_predictions_for_spreadsheets_and_programs(painted: Path, capsys: Capture) -> None:
    picture = painted / "test" / "red" / "00.png"
    argv = ("predict", painted / "old.model", picture, "--top", 5, "-q", "--format")
    (row,) = csv.DictReader(io.StringIO(said(capsys, *argv, "csv")[1]))
    (told,) = json.loads(said(capsys, *argv, "json")[1])
    assert list(row) == ["path", "label", "probability", "label2", "probability2"]  # of two classes, five are two
    assert (row["path"], row["label"], row["label2"]) == (str(picture), "red", "green")
    assert [best["label"] for best in told["classes"]] == ["red", "green"]
    assert told["probability"] == told["classes"][0]["probability"]
    learner = Learner.load(painted / "old.model")
    pixels = np.asarray(Image.open(picture)).transpose(2, 0, 1)[None]
    assert [best["probability"] for best in told["classes"]] == learner.predict_proba(pixels)[0, [1, 0]].tolist()
    assert float(row["probability"]) == pytest.approx(told["probability"], abs=1e-6)


def test_pictures_of_any_size_and_colour_are_brought_to_the_models(
    painted: Path, tmp_path: Path, capsys: Capture
) -> None:
    paint(tmp_path, "red", each=1, size=33)
    Image.new("L", (50, 20), 30).save(tmp_path / "red" / "wide.png")
    status, out, _ = said(capsys, "predict", painted / "old.model", tmp_path, "-q")
    assert (status, len(out.splitlines())) == (0, 3)
    assert out.splitlines()[1].split()[1] == "red"


def test_pictures_that_cannot_be_used_are_left_out_when_asked(painted: Path, tmp_path: Path, capsys: Capture) -> None:
    paint(tmp_path, "red", "green", each=4)
    (tmp_path / "red" / "notes.txt").write_text("no picture")
    for argv in (("predict", painted / "old.model", tmp_path), ("evaluate", painted / "old.model", tmp_path),
                 ("fit", tmp_path, "--into", tmp_path.parent / "x.model", *SMALL)):  # fmt: skip
        status, out, err = said(capsys, *argv, "-q")
        assert (status, out) == (2, "")
        assert "notes.txt: must be a picture (" in err
        assert err.endswith("hint: --skip-unreadable leaves such pictures out\n")
        status, out, err = said(capsys, *argv, "-q", "--skip-unreadable")
        assert status == 0
        assert "warning: " in err
        assert "1 picture left out as unusable, the first: " in err
        assert "notes" not in out


def test_accuracy_by_class_what_is_taken_for_what_and_classes_that_nobody_taught(
    painted: Path, capsys: Capture
) -> None:
    argv = ("evaluate", painted / "old.model", painted / "test")
    status, out, err = said(capsys, *argv, "-q")
    assert status == 0
    assert "accuracy 66.7 %: 10 of 15 pictures" in out
    assert err == "warning: blue: not known to the model, and counted as wrong\n"
    lines = {line.split()[0]: line.split() for line in out.splitlines()[1:4]}
    assert lines["red"] == ["red", "5", "5", "100.0"]
    assert lines["blue"][:5] == ["blue", "(unknown)", "5", "0", "0.0"]
    told = json.loads(said(capsys, *argv, "--format", "json", "-q")[1])
    assert (told["accuracy"], told["pictures"], told["right"]) == (pytest.approx(2 / 3), 15, 10)
    assert told["unknown"] == ["blue"]
    assert told["confusion"]["predicted"] == ["green", "red"]
    counts = dict(zip(told["confusion"]["labels"], told["confusion"]["counts"], strict=True))
    assert (counts["green"], counts["red"], sum(counts["blue"])) == ([5, 0], [0, 5], 5)
    rows = list(csv.DictReader(io.StringIO(said(capsys, *argv, "--format", "csv", "-q")[1])))
    assert [(row["class"], row["pictures"], row["accuracy"]) for row in rows] == [
        ("green", "5", "1.000000"), ("red", "5", "1.000000"), ("blue", "5", "0.000000")]  # fmt: skip


def test_folders_stand_for_the_numbers_that_python_fitted(tmp_path: Path, capsys: Capture) -> None:
    folder = paint(tmp_path / "pictures", "red", "green")
    paths = [path for name in ("red", "green") for path in sorted((folder / name).iterdir())]
    images = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in paths])
    learner = Learner("mlp", memory=20, batch_size=8)
    learner.fit(images, [1] * 12 + [2] * 12, epochs=5).save(tmp_path / "a.model")
    (folder / "red").rename(folder / "1")
    (folder / "green").rename(folder / "2")
    assert "24 of 24" in said(capsys, "evaluate", tmp_path / "a.model", folder, "-q")[1]
    paint(folder, "blue")
    assert said(capsys, "fit", folder, "--into", tmp_path / "a.model", "--epochs", 2, "-q")[0] == 0
    assert Learner.load(tmp_path / "a.model").classes_.tolist() == [1, 2, "blue"]


def test_paths_may_begin_where_one_is(
    painted: Path, model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(painted / "test")
    assert "10 of 15" in said(capsys, "evaluate", model, ".", "-q")[1]
    out = said(capsys, "predict", model, ".", "red/00.png", "-q")[1]
    paths = [line.split()[0] for line in out.splitlines()[1:]]
    assert paths[:6] == [*(f"./blue/{i:02}.png" for i in range(5)), "./green/00.png"]
    assert paths[-1] == "red/00.png"
    monkeypatch.chdir("red")
    for name in ("00.png", "./00.png"):
        assert said(capsys, "predict", model, name, "-q")[1].splitlines()[1].split()[:2] == [name, "red"]
