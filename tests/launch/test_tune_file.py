"""The tuned experiment file: it runs as it is, says where it is from, keeps comments, and is written over nothing."""

# ruff: noqa: E501  (one case a line reads better than thirty columns less)

from __future__ import annotations

import csv
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tomlkit.exceptions import TOMLKitError

import maskcl
from maskcl.cli import main
from maskcl.engine import StopError
from maskcl.errors import MaskclError
from maskcl.experiment import plan, read_experiment
from maskcl.experiment.grid import override
from maskcl.launch.tune import tune
from maskcl.launch.tune.toml import as_toml, edited

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = """# What rate does ER want?
seeds = 2
method = "er" # plain replay

[memory]
size = 20 # few

[scenario]
num_tasks = 5
validation_fraction = 0.2 # of each class

[tune]
"optimizer.lr" = { low = 0.01, high = 0.3, log = true } # wide

# Short.
[training]
batch_size = 32
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(FILE)
    return tmp_path


def typed(*words: str) -> int:
    return main(["tune", *words])


COMMAND = ("a.toml", "--budget", "3", "--out", "b.toml", "--quiet")


def test_the_new_file_has_the_best_values_and_all_else_as_it_was(here: Path) -> None:
    study = tune("a.toml", budget=3, out="b.toml")
    head, _, body = Path("b.toml").read_text().partition("\n\n")
    lr = study.best[0]["optimizer.lr"]
    assert body == (
        FILE.replace("validation_fraction = 0.2 # of each class\n", "").replace(
            '[tune]\n"optimizer.lr" = { low = 0.01, high = 0.3, log = true } # wide\n\n', ""
        )
        + f"\n[optimizer]\nlr = {lr}\n"
    )
    assert all(line.startswith("#") for line in head.splitlines())
    raw, _ = read_experiment("b.toml")
    assert override(raw, {}, "b.toml") == {**study.experiment, "name": "b"}


def test_the_new_file_runs_as_it_is_on_test_rows(here: Path) -> None:
    study = tune("a.toml", budget=3, out="b.toml")
    assert main(["run", "b.toml", "--out", "runs/b", "--quiet"]) == 0
    (setting,) = maskcl.run("b.toml", out="runs/b").settings
    assert setting.seeds == [0, 1]
    assert setting.config["optimizer"]["lr"] == study.best[0]["optimizer.lr"]
    assert setting.config["scenario"]["validation_fraction"] == 0.0


def test_the_head_says_what_made_it_at_what_cost_and_how_good_it_was(here: Path) -> None:
    assert typed(*COMMAND) == 0
    head = Path("b.toml").read_text().partition("\n\n")[0]
    with Path("b.trials.csv").open() as file:
        (best,) = [row for row in csv.DictReader(file) if row["best"] == "true"]
    mean, half = (100 * float(best[f"final_accuracy{end}"]) for end in ("", "_interval"))
    for words in (
        "#   maskcl tune a.toml --budget 3 --out b.toml\n",
        "# From: a.toml\n",
        "#   optimizer.lr: 0.01 to 0.3, log\n",
        "# Metric: final_accuracy, higher is better, on 0.2 of each class's training rows, mean of 2 seeds\n",
        f"#   optimizer.lr = {best['optimizer.lr']}: final_accuracy {mean:.1f} ± {half:.1f}\n",
        "# Diverged: 0 of 3 trials, counted as the worst\n",
        "# Cost: 3 trials a setting, 6 runs, ",
        f"# Versions: maskcl {maskcl.__version__}, torch ",
    ):
        assert words in head + "\n"
    assert "optuna" in head.splitlines()[-1]


def test_the_table_of_trials_has_one_row_each(here: Path) -> None:
    study = tune("a.toml", budget=3, out="b.toml")
    assert study.table == Path("b.trials.csv")
    with study.table.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [0, 1, 2]
    for row, trial in zip(rows, study.settings[0].trials, strict=True):
        assert float(row["optimizer.lr"]) == trial.values["optimizer.lr"]
        assert float(row["final_accuracy"]) == trial.figure.mean
        assert (row["runs"], row["diverged"], row["config_hash"]) == ("2", "0", trial.config_hash)


def test_what_diverged_has_no_figure_in_the_table(here: Path) -> None:
    text = FILE.replace("{ low = 0.01, high = 0.3, log = true }", "[1e30, 0.1]")
    Path("a.toml").write_text(text)
    tune("a.toml", budget=4, out="b.toml")
    with Path("b.trials.csv").open() as file:
        rows = {row["optimizer.lr"]: row for row in csv.DictReader(file)}
    assert (rows["1e+30"]["final_accuracy"], rows["1e+30"]["diverged"]) == ("", "2")
    assert rows["0.1"]["final_accuracy"] != ""


def test_a_grid_becomes_a_row_a_setting(here: Path) -> None:
    Path("a.toml").write_text(FILE + '\n[grid]\nmask = ["none", { value = -inf }]\n"memory.size" = [20, 40]\n')
    study = tune("a.toml", budget=2, out="b.toml")
    rows = tomllib.loads(Path("b.toml").read_text())["grid"]["zip"]
    assert rows == [{**tuned.setting, **tuned.best.values} for tuned in study.settings]
    assert "# Short.\n[training]" in Path("b.toml").read_text()
    assert len(plan("b.toml").labels) == 4
    with Path("b.trials.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["mask"], row["memory.size"]) for row in table[::2]] == [
        ("none", "20"), ("none", "40"), ('{"value": -Infinity}', "20"), ('{"value": -Infinity}', "40"),
    ]  # fmt: skip


def test_the_line_for_editors_stays_first_and_leads_to_the_schema(here: Path) -> None:
    Path("experiments").mkdir()
    Path("experiments/a.toml").write_text("#:schema schema.json\n" + FILE)
    tune("experiments/a.toml", budget=1, out="tuned/b.toml")
    lines = Path("tuned/b.toml").read_text().splitlines()
    assert lines[0] == "#:schema ../experiments/schema.json"
    assert lines[1].startswith("# Tuned: ")
    assert "".join(lines).count("#:schema") == 1


def test_a_dict_is_written_as_well(here: Path) -> None:
    experiment = {**tomllib.loads(FILE), "mask": {"value": float("-inf")}}
    study = tune(experiment, budget=1, out="b.toml")
    raw, _ = read_experiment("b.toml")
    assert raw == {"name": "b", **study.experiment}
    assert raw["mask"] == {"value": float("-inf")}
    plan("b.toml")


def test_what_toml_cannot_say_is_refused(here: Path) -> None:
    with pytest.raises(MaskclError, match="out: must be left out where the experiment holds what no file can say"):
        tune({**tomllib.loads(FILE), "mask": None}, budget=1, out="b.toml")
    assert not Path("b.toml").exists()


# --- writing over nothing


def test_the_same_command_writes_the_same_again(here: Path) -> None:
    assert typed(*COMMAND) == 0
    before = Path("b.toml").read_bytes(), Path("b.trials.csv").read_bytes()
    assert typed("./a.toml", "--out", "b.toml", "--budget", "3") == 0
    assert (Path("b.toml").read_bytes(), Path("b.trials.csv").read_bytes()) == before


@pytest.mark.parametrize("other", [("--budget", "4"), ("--seed", "1"), ("--batch", "2"), ("--trials", "elsewhere")])
def test_another_command_writes_over_nothing(here: Path, other: tuple[str, str], capsys: Any) -> None:
    assert typed(*COMMAND) == 0
    before = Path("b.toml").read_bytes()
    assert typed(*COMMAND, *other) == 2
    assert "out: must be a new file's name, for what is there was not made by the same command, got 'b.toml'" in capsys.readouterr().err  # fmt: skip
    assert Path("b.toml").read_bytes() == before
    assert not Path("elsewhere").exists()
    assert typed(*COMMAND, *other, "--force") == 0
    assert Path("b.toml").read_bytes() != before


@pytest.mark.parametrize("name", ["b.toml", "b.trials.csv"])
def test_what_somebody_else_has_made_is_kept(here: Path, name: str, capsys: Any) -> None:
    Path(name).write_bytes(b"\xff mine")
    assert typed(*COMMAND) == 2
    assert f"was not made by the same command, got '{name}'" in capsys.readouterr().err
    assert Path(name).read_bytes() == b"\xff mine"
    assert sorted(path.name for path in here.iterdir()) == sorted(["a.toml", name])


@pytest.mark.parametrize("out", ["a.toml", "./a.toml", "link.toml"])
def test_the_file_itself_is_never_written_over(here: Path, out: str, capsys: Any) -> None:
    Path("link.toml").symlink_to("a.toml")
    assert typed("a.toml", "--budget", "1", "--out", out, "--force") == 2
    assert "out: must be another file than the one that is tuned" in capsys.readouterr().err
    assert Path("a.toml").read_text() == FILE


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("b.csv", "out: must be a new file's name that ends in .toml, got 'b.csv'"),
        ("folder.toml", "out: must be a file, and is a folder, got 'folder.toml'"),
        ("a.toml/b.toml", "out: must be a folder, or a new one's name, got 'a.toml'"),
        ("/proc/none/b.toml", "out: must be a folder that can be written"),
    ],
)
def test_an_out_that_cannot_be_is_refused_before_anything_runs(here: Path, out: str, words: str, capsys: Any) -> None:
    Path("folder.toml").mkdir()
    assert typed("a.toml", "--budget", "1", "--out", out) == 2
    assert words in capsys.readouterr().err
    assert not list(here.rglob("*.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_refused(here: Path, capsys: Any) -> None:
    Path("closed").mkdir(mode=0o500)
    assert typed("a.toml", "--budget", "1", "--out", "closed/b.toml") == 2
    assert "out: must be a folder that can be written" in capsys.readouterr().err


def test_a_disk_that_fails_at_the_end_leaves_what_was_there(here: Path, monkeypatch: Any, capsys: Any) -> None:
    assert typed(*COMMAND) == 0
    before = sorted((path, path.read_bytes()) for path in here.rglob("*") if path.is_file())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("maskcl.files.os.fsync", full)
    assert typed(*COMMAND) == 2
    assert "b.toml: must be a file that can be written (No space left on device)" in capsys.readouterr().err
    assert sorted((path, path.read_bytes()) for path in here.rglob("*") if path.is_file()) == before


# --- the command


def test_what_is_held_out_is_said(here: Path, capsys: Any) -> None:
    assert typed("a.toml", "--budget", "1", "--out", "b.toml") == 0
    assert "judged on 0.2 of each class's training rows; test rows are not looked at" in capsys.readouterr().err
    Path("a.toml").write_text(FILE.replace("validation_fraction = 0.2 # of each class\n", ""))
    assert typed("a.toml", "--budget", "1", "--out", "c.toml") == 0
    said = "judged on 0.1 of each class's training rows, for [scenario] validation_fraction says nothing else"
    assert said in capsys.readouterr().err


def test_the_best_is_printed_with_its_files(here: Path, capsys: Any) -> None:
    assert typed(*COMMAND) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["optimizer.lr", "final_accuracy", "in", "%", "trials", "diverged"]
    assert out[1].split()[-2:] == ["3", "0"]
    assert out[-1] == "experiment: b.toml, trials: b.trials.csv"
    assert len(list(Path("runs/a-tune").rglob("*.json"))) == 6


def test_a_dry_run_writes_nothing(here: Path, capsys: Any) -> None:
    assert typed(*COMMAND, "--dry-run") == 0
    assert "6 runs at most, settings x trials x seeds = 1 x 3 x 2, results in runs/a-tune" in capsys.readouterr().out
    assert [path.name for path in here.iterdir()] == ["a.toml"]


def test_ctrl_c_says_how_to_go_on(here: Path, monkeypatch: Any, capsys: Any) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskcl.experiment.in_process.run_population", stopped)
    assert typed(*COMMAND) == 130
    err = capsys.readouterr().err
    assert "stopped: what was finished is kept in runs/a-tune, and the same command goes on from there" in err
    assert not Path("b.toml").exists()


@pytest.mark.parametrize("library", ["optuna", "tomlkit"])
def test_without_its_libraries_it_says_how_to_get_them(here: Path, library: str, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert typed(*COMMAND) == 2
    assert capsys.readouterr().err == (
        f"error: tune: needs {library!r}, which is not installed.\nhint: pip install 'maskcl[tune]'\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a.toml", "--budget", "0", "--out", "b.toml"), "budget: must be a whole number, 1 or more, got 0"),
        (("a.toml", "--budget", "many", "--out", "b.toml"), "'--budget'"),
        (("a.toml", "--out", "b.toml"), "--budget"),
        (("a.toml", "--budget", "1"), "--out"),
        (("none.toml", "--budget", "1", "--out", "b.toml"), "none.toml: must be an experiment file, and is not there"),
        ((*COMMAND, "--executor", "gpu"), "--executor: must be one of auto, stack, loop, got 'gpu'"),
        ((*COMMAND, "--trials", "a.toml"), "trials: must be a folder, or a new one's name, got 'a.toml'"),
    ],
)
def test_bad_words_are_told_in_one_sentence(here: Path, words: tuple[str, ...], said: str, capsys: Any) -> None:
    assert typed(*words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert [path.name for path in here.iterdir()] == ["a.toml"]


def test_run_says_that_the_file_is_to_be_tuned(here: Path, capsys: Any) -> None:
    assert main(["run", "a.toml"]) == 2
    assert "maskcl tune a.toml --budget N --out FILE" in capsys.readouterr().err
    assert main(["run", "a.toml", "--set", "tune=none", "--dry-run"]) == 0


def test_the_experiment_of_the_page_can_be_tuned(here: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "tune.md").read_text(encoding="utf-8")
    Path("lr.toml").write_text(page.partition("```toml\n")[2].partition("```")[0].replace("seeds = 3", "seeds = 1"))
    study = tune("lr.toml", budget=2, out="tuned.toml")
    assert set(study.best[0]) == {"optimizer.lr", "mask.leak", "method.replay_batch"}
    assert len(plan("tuned.toml").runs) == 1


# --- layouts of TOML

TUNE = '[tune]\n"optimizer.lr" = [0.1, 0.2]\n'
VALUES: dict[str, Any] = {"optimizer.lr": 0.25}
LAYOUTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "dotted keys": (f'method = "er"\noptimizer.lr = 0.1 # rate\noptimizer.momentum = 0.5\n{TUNE}', VALUES, "lr = 0.25 # rate"),
    "inline table": (f'method = "er"\noptimizer = {{ lr = 0.1, momentum = 0.5 }} # o\n{TUNE}', VALUES, "{ lr = 0.25, momentum = 0.5 } # o"),
    "table, with comments": (f'method = "er"\n[optimizer] # o\n# rate:\nlr = 0.1 # r\n\n{TUNE}', VALUES, "[optimizer] # o\n# rate:\nlr = 0.25 # r"),
    "tune first": (f'{TUNE}# of tune\n\n# of method\n[method]\nname = "er"\n', VALUES, "# of method\n[method]"),
    "tune in tables": ('method = "er"\n[tune.optimizer]\nlr = [0.1, 0.2]\n\n# of memory\n[memory]\nsize = 9\n', VALUES, "# of memory\n[memory]"),
    "tune in dotted keys": ('method = "er"\ntune.optimizer.lr = [0.1, 0.2]\n# n\n[network]\nhidden = [9]\n', VALUES, "# n\n[network]"),
    "tune in one line": ('method = "er" # m\ntune = { "optimizer.lr" = [0.1, 0.2] }\n', VALUES, 'method = "er" # m'),
    "tables in pieces": (f'method.name = "er"\n[training]\nepochs = 1\n[training.schedule]\nname = "cosine"\n[memory]\nsize = 9\n[training.augment]\ncrop = 0\n{TUNE}', VALUES, "[training.augment]"),
    "word for a table": (f'method = "er" # m\n{TUNE}', {"method.replay_batch": 5}, "# m"),
    "word for a schedule": (f'method = "er"\n[training]\nschedule = "cosine" # s\n{TUNE}', {"training.schedule.final": 0.2}, "# s"),
    "a table deeper": (f'method = "er"\n# k\n{TUNE}', {"training.schedule.final": 0.2}, "# k"),
    "section for a word": (f'mask = "none"\nmethod = "er" # m\n{TUNE}', {"mask": {"leak": 0.1}}, "# m"),
    "section for a section": (f'[method]\nname = "er"\n\n# t\n[training]\nepochs = 1\n{TUNE}', {"method": {"name": "der", "alpha": 0.1}}, "# t\n[training]"),
    "word for a section": (f'# m\n[method]\nname = "er"\n[mask]\nleak = 0.1\n{TUNE}', {"mask": "none"}, ""),
    "two of one section": (f'method = "er"\n# k\n{TUNE}', {"optimizer.lr": 0.3, "optimizer.momentum": 0.5}, "# k"),
    "lists and infinity": (f'method = "er"\n# k\n{TUNE}', {"network.hidden": [9, 9], "mask.value": float("-inf")}, "# k"),
    "carriage returns": (f'method = "er"\n# k\n{TUNE}'.replace("\n", "\r\n"), VALUES, "# k"),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_every_layout_comes_out_with_the_values_and_its_comments(case: str) -> None:
    text, values, kept = LAYOUTS[case]
    raw = tomllib.loads(text.replace("\r\n", "\n"))
    meant = override({name: part for name, part in raw.items() if name != "tune"}, values, "a.toml")
    found = edited(text, {"name": "a", **meant}, values)
    assert override(tomllib.loads(found), {}, "b.toml") == meant
    assert kept in found
    assert "tune" not in found


@pytest.mark.parametrize(
    "broken", [{"side_effect": TOMLKitError("no")}, {"return_value": None}], ids=["raises", "sets nothing"]
)
def test_a_layout_that_cannot_be_changed_loses_its_comments_and_no_value(broken: dict[str, Any]) -> None:
    text = f'method = "er"\n# k\n{TUNE}'
    with mock.patch("maskcl.launch.tune.toml._set", **broken):
        found = edited(text, {"name": "a", "method": "er", "optimizer": {"lr": 0.1}}, VALUES)
    assert found == 'method = "er"\n\n[optimizer]\nlr = 0.1\n'


def test_sections_alone_are_a_file_too() -> None:
    sections = {"training": {"schedule": {"name": "cosine"}, "epochs": 2}, "method": "er", "seeds": [1, 2],
                "grid": {"zip": [{"mask": {"leak": 0.1}, "memory.size": 9}]}}  # fmt: skip
    assert tomllib.loads(as_toml(sections)) == sections


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_status_tells_which_signal_stopped_it(
    here: Path, number: int, status: int, monkeypatch: Any, capsys: Any
) -> None:
    def signalled(*_: object, **__: object) -> None:
        signal.raise_signal(number)
        raise StopError

    monkeypatch.setattr("maskcl.experiment.in_process.run_population", signalled)
    assert typed(*COMMAND) == status
    assert "stopped: what was finished is kept in" in capsys.readouterr().err


def test_a_run_that_fails_is_one_sentence_and_in_python_its_error(here: Path, monkeypatch: Any, capsys: Any) -> None:
    def failing(specs: Any, *, on_failure: Any, **_: object) -> None:
        error = RuntimeError("no good\nat all")
        if on_failure is None:
            raise error
        on_failure(range(len(specs)), error)

    monkeypatch.setattr("maskcl.experiment.in_process.run_population", failing)
    assert typed(*COMMAND) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a.toml: trials: must be runs that end, and er ")
    assert line.endswith("seed 0 failed (RuntimeError: no good).")
    assert not Path("b.toml").exists()
    with pytest.raises(RuntimeError, match="no good"):
        tune("a.toml", budget=1)


@pytest.mark.skipif(os.name != "posix", reason="pipes with names are POSIX's")
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_pipe_is_refused_and_not_waited_for(here: Path, force: tuple[str, ...], capsys: Any) -> None:
    os.mkfifo("b.toml")
    assert typed(*COMMAND, *force) == 2
    assert "out: must be a file, and is a pipe, a socket or a device, got 'b.toml'." in capsys.readouterr().err
