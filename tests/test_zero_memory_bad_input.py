"""Learning without a memory, given wrongly: one sentence, exit status 2, nothing written."""

# ruff: noqa: E501  (one case a line reads better than thirty columns less)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from maskcl import class_incremental, from_arrays
from maskcl.cfgm import Cfgm
from maskcl.cli import main
from maskcl.errors import ConfigError, DataError, MaskclError, ShapeError
from maskcl.functional import cfgm

GOOD = """
seeds = 1
[scenario]
num_tasks = 5
[method]
name = "finetune"
[cfgm]
step = 2.0
"""

# What is put in place of a part of GOOD, and the whole sentence (with its hint) after the file's name.
FILES: dict[str, tuple[str, str, str]] = {
    "a frozen target in the first task": ("step = 2.0", "step = 2.0\nfrom_task = 0", "cfgm.from_task: must be a whole number, 1 or more, got 0.\nhint: the first task has no old class, and no network before it"),
    "from a negative task": ("step = 2.0", "step = 2.0\nfrom_task = -1", "cfgm.from_task: must be a whole number, 1 or more, got -1.\nhint: the first task has no old class, and no network before it"),
    "from a task that never comes": ("step = 2.0", "step = 2.0\nfrom_task = 5", "cfgm.from_task: must be below the number of tasks, 5, got 5."),
    "one task alone": ("num_tasks = 5", "num_tasks = 1", "cfgm.from_task: must be below the number of tasks, 1, got 1."),
    "negative step": ("step = 2.0", "step = -2.0", "cfgm.step: must be a finite number, 0 or more, got -2.0."),
    "step of nan": ("step = 2.0", "step = nan", "cfgm.step: must be a finite number, 0 or more, got nan."),
    "infinite step": ("step = 2.0", "step = inf", "cfgm.step: must be a finite number, 0 or more, got inf."),
    "step is a word": ("step = 2.0", 'step = "big"', "cfgm.step: must be a number, got 'big'."),
    "step is true": ("step = 2.0", "step = true", "cfgm.step: must be a number, got True."),
    "no step": ("step = 2.0", "", "cfgm.step: must be given, and is missing."),
    "no steps": ("step = 2.0", "step = 2.0\nnum_steps = 0", "cfgm.num_steps: must be a whole number, 1 or more, got 0."),
    "no samples a row": ("step = 2.0", "step = 2.0\nper_row = 0", "cfgm.per_row: must be a whole number, 1 or more, got 0."),
    "negative weight": ("step = 2.0", "step = 2.0\nweight = -1.0", "cfgm.weight: must be a finite number, 0 or more, got -1.0."),
    "temperature of 0": ("step = 2.0", 'step = 2.0\nloss = "kl"\ntemperature = 0.0', "cfgm.temperature: must be a finite number, above 0, got 0.0."),
    "temperature without kl": ("step = 2.0", "step = 2.0\ntemperature = 2.0", "cfgm.temperature: acts only with loss 'kl', got 2.0."),
    "kl of labels": ("step = 2.0", 'step = 2.0\ntarget = "label"\nloss = "kl"', "cfgm.loss: acts only with target 'frozen' (target 'label' takes cross-entropy), got 'kl'."),
    "clamp is a word": ("step = 2.0", 'step = 2.0\nclamp = "yes"', "cfgm.clamp: must be true or false, got 'yes'."),
    "crop is negative": ("step = 2.0", "step = 2.0\ncrop = -1", "cfgm.crop: must be a whole number of pixels, 0 or more, got -1."),
    "crop of the whole image": ("step = 2.0", "step = 2.0\ncrop = 8", "cfgm.crop: must be below height and width of (1, 8, 8), got 8."),
    "flip is a word": ("step = 2.0", 'step = 2.0\nflip = "left"', "cfgm.flip: must be true or false, got 'left'."),
    "clamp is a range": ("step = 2.0", "step = 2.0\nclamp = [1.0, 0.0]", "cfgm.clamp: must be true or false, got [1.0, 0.0]."),
    "unknown norm": ("step = 2.0", 'step = 2.0\nnorm = "rwa"', "cfgm.norm: must be one of raw, l2, sign, got 'rwa'. Did you mean 'raw'?"),
    "unknown draw": ("step = 2.0", 'step = 2.0\ndraw = "unifrom"', "cfgm.draw: must be one of uniform, balanced, got 'unifrom'. Did you mean 'uniform'?"),
    "unknown generator": ("step = 2.0", 'step = 2.0\ngenerator = "froze"', "cfgm.generator: must be one of current, frozen, got 'froze'. Did you mean 'frozen'?"),
    "unknown update": ("step = 2.0", 'step = 2.0\nupdate = "seperate"', "cfgm.update: must be one of separate, joint, got 'seperate'. Did you mean 'separate'?"),
    "unknown key": ("step = 2.0", "step = 2.0\nsteps = 3", "[cfgm] 'steps' is not a key of [cfgm], got 3. Did you mean 'step'?"),
    "bounds are no key": ("step = 2.0", "step = 2.0\nbounds = [1.0, 0.0]", "[cfgm] 'bounds' is not a key of [cfgm], got [1.0, 0.0].\nhint: keys are step, num_steps, norm, clamp, draw, per_row, generator, target, loss, temperature, update, weight, from_task, crop, flip"),
    "joint training": ('"finetune"', '"joint"', "cfgm: must be left out with method 'joint', which has no old classes to make, got 'cfgm step=2'."),
    "a memory": ("[cfgm]", "[memory]\nsize = 10\n[cfgm]", "[memory]: must not be given, for method 'finetune' has no memory.\nhint: leave it out, or choose a method with a memory"),
    "a negative step in a grid": ("[cfgm]", '[grid]\n"cfgm.step" = [1.0, -1.0]\n[cfgm]', "cfgm.step: must be a finite number, 0 or more, got -1.0."),
    "a class that is not there": ("num_tasks = 5", "tasks = [[0, 1], [2, 10]]", "scenario.tasks[1]: must be classes from 0 to 9, got 10."),
    "a negative class": ("num_tasks = 5", "tasks = [[0, 1], [2, -1]]", "scenario.tasks[1]: must be classes from 0 to 9, got -1."),
    "temperature of LwF": ('"finetune"', '"lwf"\ntemperature = 0.0', "method.temperature: must be above 0, got 0.0."),
    "weight of LwF": ('"finetune"', '"lwf"\nalpha = nan', "method.alpha: must be a number, 0 or more, got nan."),
    "strength of EWC": ('"finetune"', '"ewc"\nstrength = -1.0', "method.strength: must be a number, 0 or more, got -1.0."),
    "importance of no rows": ('"finetune"', '"ewc"\nfisher_rows = 0', "method.fisher_rows: must be a whole number, 1 or more, got 0."),
    "xi of SI": ('"finetune"', '"si"\nxi = 0.0', "method.xi: must be above 0, got 0.0."),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_wrong_files_are_refused_in_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new, sentence = FILES[case]
    assert GOOD.count(old) == 1
    Path("a.toml").write_text(GOOD.replace(old, new))
    assert main(["run", "a.toml", "--out", "out"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: a.toml: {sentence}\n"
    assert not Path("out").exists()


def test_the_good_file_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(GOOD)
    assert main(["run", "a.toml", "--dry-run"]) == 0


LINEAR = nn.Linear(3, 4)
ROWS, CLASSES = torch.rand(2, 3), torch.tensor([0, 1])


def refused(kind: type[MaskclError], sentence: str, make: object) -> None:
    with pytest.raises(kind) as caught:
        make()  # type: ignore[operator]
    assert str(caught.value) == sentence


@pytest.mark.parametrize("bounds", [(1, 0), (1.0, -1.0), (float("nan"), 1.0)], ids=str)
def test_bounds_in_the_wrong_order_are_refused(bounds: tuple[float, float]) -> None:
    sentence = f"cfgm: bounds: must be two numbers, the lower first, got {bounds!r}."
    refused(ShapeError, sentence, lambda: cfgm(LINEAR, ROWS, CLASSES, step=1.0, bounds=bounds))


def test_bounds_that_leave_one_value_are_held() -> None:
    assert torch.equal(cfgm(LINEAR, ROWS, CLASSES, step=1.0, bounds=(0.5, 0.5)), torch.full((2, 3), 0.5))


def test_a_data_sets_range_is_refused_in_the_wrong_order() -> None:
    """It is what samples are cut to with clamp."""
    x, y = np.zeros((4, 3), np.float32), [0, 1, 0, 1]
    sentence = "arrays input_range: must be two finite numbers, the lower first, got (1.0, 0.0)."
    refused(DataError, sentence, lambda: from_arrays(x, y, x, y, input_range=(1.0, 0.0)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool], ids=str)
def test_integer_images_are_refused(dtype: torch.dtype) -> None:
    sentence = f"cfgm: inputs: must be floating point, scaled like the training data, got {dtype}.\nhint: divide 8-bit images by 255"
    refused(ShapeError, sentence, lambda: cfgm(LINEAR, ROWS.to(dtype), CLASSES, step=1.0))
    images = ROWS.to(dtype).numpy()
    got, hint = repr(str(images.dtype)), "images / their largest value"
    if dtype == torch.uint8:
        got = "'uint8 of shape (2, 3)'"
        hint = "images / 255, or give them the shape [rows, channels, height, width]"
    must = "must be floating-point numbers, or images of type uint8"
    sentence = f"arrays train_inputs: {must}, got {got}.\nhint: scale images first, e.g. {hint}"
    refused(DataError, sentence, lambda: from_arrays(images, [0, 1], images, [0, 1]))


def test_labels_of_a_shape_that_does_not_fit_are_refused() -> None:
    sentence = "cfgm: labels: must have the leading shape of the inputs, (2, 3), got (3,)."
    refused(ShapeError, sentence, lambda: cfgm(LINEAR, ROWS, torch.zeros(3, dtype=torch.int64), step=1.0))


@pytest.mark.parametrize("labels", [[0, 4], [0, -1], [0, -100]], ids=str)
def test_labels_that_the_network_has_no_output_for_give_no_samples(labels: list[int]) -> None:
    sentence = f"cfgm: labels: must be classes from 0 to 3, got {labels[1]}."
    refused(DataError, sentence, lambda: cfgm(LINEAR, ROWS, torch.tensor(labels), step=1.0))


X = np.random.default_rng(0).random((6, 3), dtype=np.float32)
LABELS = [0, 1, 2, 0, 1, 2]


def test_labels_of_classes_that_are_not_there_are_refused_in_data_of_ones_own() -> None:
    sentence = "arrays test_labels: must be classes from 0 to 2, got 3."
    refused(DataError, sentence, lambda: from_arrays(X, LABELS, X[:1], [3], num_classes=3))
    sentence = "arrays train_labels: must be classes from 0 to 1, got 2."
    refused(DataError, sentence, lambda: from_arrays(X, LABELS, X, LABELS, num_classes=2))
    sentence = "arrays train_labels: must be classes from 0 to 2, got -1."
    refused(DataError, sentence, lambda: from_arrays(X, [-1, *LABELS[1:]], X, LABELS))


def test_a_class_without_training_rows_is_refused_where_tasks_are_cut() -> None:
    data = from_arrays(X, LABELS, X[:1], [3])
    sentence = "scenario task 1: class 3 must have training rows in 'arrays', got 0.\nhint: leave the class out with tasks=[[...], ...]"
    refused(DataError, sentence, lambda: class_incremental(data, num_tasks=2))


def test_a_bad_step_is_refused_in_python_as_in_a_file() -> None:
    refused(ConfigError, "cfgm.step: must be a finite number, 0 or more, got -1.", lambda: Cfgm(step=-1))
    refused(ConfigError, "cfgm.step: must be a finite number, 0 or more, got -2.0.", lambda: Cfgm.authors(-10))
