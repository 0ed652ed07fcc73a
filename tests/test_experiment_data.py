"""Data of one's own in experiment files: folders of pictures and .npz files."""

# ruff: noqa: E501  (one case a line reads better)

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import draw, draw_folder, draw_tiny

import maskcl
from maskcl.cli import main
from maskcl.errors import MaskclError
from maskcl.experiment import plan
from maskcl.results import Results

CLASSES = ("a", "b", "c", "d")
FAST: dict[str, Any] = {"network": {"name": "mlp", "hidden": [8]}, "training": {"batch_size": 4}, "memory": {"size": 4}}


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKCL_DATA", str(tmp_path / "root"))
    return draw_folder(tmp_path / "pets", CLASSES, each=4)


def experiment(dataset: Any, **more: Any) -> dict[str, Any]:
    return {"method": "er", "seeds": 1, "scenario": {"dataset": dataset, "num_tasks": 2}} | FAST | more


def described(dataset: Any) -> dict[str, Any]:
    (run,) = plan(experiment(dataset)).runs
    return run.config["scenario"]


def test_a_run_on_a_folder_is_a_run_on_its_arrays(pets: Path) -> None:
    ours = maskcl.run(experiment({"folder": str(pets)}))
    arrays = maskcl.data.from_folder(pets)
    scenario = {"scenario": {"num_tasks": 2}}
    theirs = maskcl.run(experiment(None) | scenario, dataset=arrays)
    np.testing.assert_array_equal(ours.runs[0]["class_incremental"], theirs.runs[0]["class_incremental"])
    assert ours.runs[0]["config_hash"] == theirs.runs[0]["config_hash"]
    assert ours.runs[0]["config"]["network"] == theirs.runs[0]["config"]["network"]


def test_results_tell_name_and_content_and_not_the_path(pets: Path, tmp_path: Path) -> None:
    told = described({"folder": pets})
    assert told["dataset"] == "pets"
    assert str(tmp_path) not in str(told)
    shutil.copytree(pets, tmp_path / "elsewhere" / "pets")
    assert described({"folder": str(tmp_path / "elsewhere" / "pets")}) == told
    assert described({"folder": str(pets), "name": "mine"}) == told | {"dataset": "mine"}
    assert described({"folder": str(pets), "image_size": 4})["fingerprint"] != told["fingerprint"]
    draw(pets / "test" / "a" / "0.png", seed=77)
    assert described({"folder": str(pets)})["fingerprint"] != told["fingerprint"]


def test_a_share_is_held_out_as_the_file_says(pets: Path) -> None:
    shutil.rmtree(pets / "test")
    prints = {described({"folder": str(pets), "held_out": 0.5, "split_seed": seed})["fingerprint"] for seed in (0, 1)}
    assert len(prints) == 2


def test_a_finished_run_is_found_again(pets: Path, tmp_path: Path, counted: list[int]) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        f'seeds = 1\nmethod = "er"\nscenario = {{ dataset = {{ folder = "{pets.as_posix()}" }}, num_tasks = 2 }}\n'
        "memory = { size = 4 }\ntraining = { batch_size = 4 }\nnetwork = { hidden = [8] }\n"
    )
    for _ in range(2):
        assert main(["run", str(path), "--out", str(tmp_path / "out"), "-q"]) == 0
    assert counted == [1]
    (run,) = Results.load(tmp_path / "out").runs
    assert run["config"]["scenario"]["dataset"] == "pets"


def test_a_grid_may_hold_several_data_sets(pets: Path, tmp_path: Path) -> None:
    arrays = maskcl.data.from_folder(pets)
    np.savez(
        tmp_path / "own.npz",
        **{name: getattr(arrays, name) for name in ("train_inputs", "train_labels", "test_inputs", "test_labels")},
    )
    grid = {
        "scenario.dataset": [
            {"folder": str(pets)},
            {"folder": str(pets), "image_size": 4},
            {"npz": str(tmp_path / "own.npz")},
        ]
    }
    planned = plan(experiment("digits", grid=grid))
    assert len(set(planned.labels)) == 3
    told = [run.config["scenario"] for run in planned.runs]
    assert [each["dataset"] for each in told] == ["pets", "pets", "own"]
    assert told[0]["fingerprint"] == told[2]["fingerprint"] != told[1]["fingerprint"]


def test_the_command_line_may_name_a_folder(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "any.toml"
    path.write_text('method = "er"\nscenario = { num_tasks = 2 }\ntraining = { batch_size = 4 }\n')
    given = f'scenario.dataset={{ folder = "{pets.as_posix()}" }}'
    assert main(["run", str(path), "--dry-run", "--out", str(tmp_path / "out"), "--set", given]) == 0
    assert "er no mask" in capsys.readouterr().out


def test_tiny_imagenet_is_told_with_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from drawn import SMALL_TINY

    from maskcl.data import DATASETS

    draw_tiny(tmp_path, ("n01", "n02", "n03", "n04"))
    small = dataclasses.replace(DATASETS["tiny_imagenet"], source=SMALL_TINY)
    monkeypatch.setitem(DATASETS._things, "tiny_imagenet", small)
    monkeypatch.setenv("MASKCL_DATA", str(tmp_path))
    told = described("tiny_imagenet")
    assert told["dataset"] == "tiny_imagenet"
    assert told["fingerprint"] == maskcl.data.load("tiny_imagenet").fingerprint


WRONG: dict[str, tuple[Any, str]] = {
    "unknown key": ({"folder": "pets", "image_sze": 3}, "experiment: scenario.dataset: 'image_sze' is not a key of [scenario.dataset], got 3. Did you mean 'image_size'?"),
    "key of the other": ({"npz": "x.npz", "image_size": 8}, "experiment: scenario.dataset: 'image_size' is not a key of [scenario.dataset], got 8.\nhint: keys are npz, name"),
    "neither": ({"name": "x"}, "experiment: scenario.dataset.folder: must be given, and is missing."),
    "a number": (3, "experiment: scenario.dataset: must be 'digits', "),
    "a list": (["mnist"], "experiment: scenario.dataset: must be 'digits', "),
    "folder a number": ({"folder": 3}, "experiment: scenario.dataset.folder: must be a string, got 3."),
    "size a word": ({"folder": "pets", "image_size": "big"}, "experiment: scenario.dataset.image_size: must be a whole number, got 'big'."),
    "size too small": ({"folder": "pets", "image_size": 0}, "experiment: scenario.dataset.image_size: must be a whole number from 1 to 4096, got 0."),
    "share beside test": ({"folder": "pets", "held_out": 0.5}, "experiment: scenario.dataset.held_out: must be left out where there is a folder 'test', got 0.5."),
    "no such folder": ({"folder": "dogs"}, "experiment: scenario.dataset.folder: must be a folder of pictures, and "),
    "no such file": ({"npz": "dogs.npz"}, "experiment: scenario.dataset.npz: must be a file of arrays, and "),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_sentence_with_its_place(
    pets: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(pets.parent)
    given, must = WRONG[case]
    with pytest.raises(MaskclError) as caught:
        plan(experiment(given))
    assert str(caught.value).startswith(must)


def test_a_broken_picture_ends_a_command_with_2(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pets / "train" / "a" / "1.png").write_bytes(b"GIF89a")
    path = tmp_path / "own.toml"
    path.write_text(f'method = "er"\nscenario = {{ dataset = {{ folder = "{pets.as_posix()}" }}, num_tasks = 2 }}\n')
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"error: {path}: {pets / 'train' / 'a' / '1.png'}: must be a" in said
    assert "hint: skip_unreadable leaves such pictures out" in said
    assert not (tmp_path / "out").exists()
