from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from maskcl import __version__
from maskcl.cli import main
from maskcl.errors import MaskclWarning

SMALL = """
seeds = 1
method = "er"
[scenario]
tasks = [[0, 1], [2, 3]]
[memory]
size = 20
[network]
hidden = [16]
[training]
batch_size = 32
[grid]
mask = ["none", { leak = 0.1 }]
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "maskcl", "methods", "no such"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_run_prints_the_table_and_the_page_and_nothing_else(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "small.toml", "--executor", "stack"]) == 0
    shown = capsys.readouterr()
    assert "Final" in shown.out
    assert "leak=0.1" in shown.out
    assert shown.out.splitlines()[-1] == "report: runs/small/report.html"
    assert "2/2 runs" in shown.err
    assert "executor: stack for 2 runs (" in shown.err
    page = (small / "runs" / "small" / "report.html").read_text()
    assert "maskcl run small.toml --executor stack" in page


def test_a_second_run_has_nothing_to_do(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "small.toml", "--out", "out", "--executor", "stack", "--quiet"])
    first = capsys.readouterr()
    assert first.err == ""
    assert main(["run", "small.toml", "--out", "out", "--executor", "stack"]) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err == "2 of 2 runs are finished already\n"


def test_dry_run_prints_the_plan_and_writes_nothing(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(small.rglob("*"))
    argv = ["run", "small.toml", "--dry-run", "--seeds", "3", "--set", "memory.size=30", "--set", "optimizer.name=adam"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "er leak=0.1  3     0     er_leak=0.1-" in out
    assert out.splitlines()[-1] == "small: 6 of 6 runs to do, results in runs/small"
    assert sorted(small.rglob("*")) == before


def test_subset_is_a_rehearsal_in_a_folder_of_its_own(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "small.toml", "--subset", "0.2", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "runs/small-subset-0.2" in out.splitlines()[-1]
    page = Path("runs/small-subset-0.2/report.html").read_text()
    assert re.search(r"Learnt from a part of the rows \(scenario\.subset\): 20\s%\.", page)
    assert main(["run", "small.toml", "--subset", "1.5"]) == 2
    assert capsys.readouterr().err == "error: --subset: must be above 0 and at most 1, got 1.5.\n"


def test_demo_runs_the_shipped_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from maskcl.experiment import shipped

    text = shipped("demo.toml").read_text(encoding="utf-8")
    short = tmp_path / "short.toml"  # the same on a twentieth of the rows: the whole takes a minute
    short.write_text(text.replace("[scenario]", "[scenario]\nsubset = 0.05\neval_subset = 0.1"), encoding="utf-8")
    monkeypatch.setattr("maskcl.experiment.shipped", {"demo.toml": short}.__getitem__)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--seeds", "1", "--executor", "stack", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert [out.count(name) for name in ("DER++", "m=-inf", "leak=0.03")] == [7, 2, 2]
    assert out.splitlines()[-1] == "report: runs/demo/report.html"
    assert len(list((tmp_path / "runs" / "demo").rglob("seed-0.json"))) == 14
    assert len(list((tmp_path / "runs" / "demo" / "figures").glob("*.png"))) >= 3


def test_ctrl_c_is_one_sentence_and_keeps_what_was_finished(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from maskcl.engine import run_population

    def interrupted(specs: Any, **options: Any) -> Any:
        run_population(specs[:1], **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("maskcl.experiment.in_process.run_population", interrupted)
    assert main(["run", "small.toml", "--out", "out", "--executor", "stack", "-q"]) == 130
    shown = capsys.readouterr()
    assert shown.err == "stopped: what was finished is kept in out, and the same command goes on from there\n"
    assert shown.out == ""
    assert [path.name for path in (small / "out").glob("*/*.*") if path.suffix != ".lock"] == ["seed-0.json"]


def test_warnings_are_lines_on_stderr_and_come_once(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", "small.toml", "--dry-run", "--set", "grid.mask=[{leak = 1.5}]", "--set", "grid.memory.size=[5, 10]"]
    assert main(argv) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: mask.leak = 1.5 is above 1: old classes are pushed down harder than without a mask."
    ]


def test_warnings_are_left_as_they_were_found() -> None:
    main(["--version"])
    with pytest.warns(MaskclWarning):
        warnings.warn("as before", MaskclWarning, stacklevel=1)


@pytest.mark.parametrize("format", ["table", "csv", "markdown", "latex", "html"])
def test_report_reads_a_folder(format: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "small.toml", "--out", "out", "--executor", "stack", "-q"])
    capsys.readouterr()
    assert main(["report", "out", "--format", format]) == 0
    out = capsys.readouterr().out
    assert out == "out/report.html\n" if format == "html" else "ER" in out or "er" in out


def test_methods_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    from maskcl.methods import REGISTRY

    assert main(["methods"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list(REGISTRY)
    assert main(["methods", "der++"]) == 0
    out = capsys.readouterr().out
    assert "arXiv 2004.07211" in out
    assert "weight of the distillation, 0 or more" in out


def test_data_sets_are_listed_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKCL_DATA", str(tmp_path))
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    states = {line.split()[0]: re.split(r"  +", line.strip())[-1] for line in lines}
    assert states.pop("digits") == states.pop("mnist_small") == "built in"
    assert states == dict.fromkeys(("mnist", "fashion_mnist", "cifar10", "cifar100", "tiny_imagenet"), "missing")
    assert main(["data", "verify", "digits"]) == main(["data", "download", "digits"]) == 0
    assert capsys.readouterr().out == "digits is built in\n" * 2


def test_mnist_is_checked_and_not_fetched_where_it_is(mnist_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", "mnist", "--data-root", str(mnist_root)]) == 0
    assert capsys.readouterr().out.count("intact") == 4
    assert main(["data", "download", "mnist", "--data-root", str(mnist_root), "-q"]) == 0
    assert capsys.readouterr().out.count("was there") == 4


def test_the_schema_is_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "maskcl experiment"


def test_bench_hands_on_names_rows_and_status(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], int | None]] = []
    monkeypatch.setattr("maskcl.bench.main", lambda names, *, rows: asked.append((names, rows)) or 3)
    assert main(["bench", "er", "flat"]) == 3
    assert main(["bench", "stream", "--rows", "5000"]) == 3
    assert asked == [(["er", "flat"], None), (["stream"], 5000)]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"maskcl {__version__}\n"


def test_a_terminal_without_the_signs_we_print_gets_others(small: Path) -> None:
    main(["run", "small.toml", "--out", "out", "--seeds", "2", "--executor", "stack", "-q"])
    code = "import sys; from maskcl.cli import main; sys.exit(main(['report', 'out']))"
    env = {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b" ? " in done.stdout


@pytest.mark.parametrize("argv", [[], ["--help"], ["run", "--help"], ["--version"], ["data", "-h"]])
def test_help_needs_no_torch(argv: list[str]) -> None:
    heavy = "('torch', 'numpy', 'matplotlib', 'sklearn', 'rich.progress')"
    code = f"import sys; from maskcl.cli import main; main({argv}); print([m for m in {heavy} if m in sys.modules])"
    assert python(code).splitlines()[-1] == "[]"


def test_a_part_without_runs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    assert main(["run", str(file), "--out", str(tmp_path / "out"), "--shard", "900/900"]) == 0
    assert "nothing to do: small has " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_closed_stderr_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    monkeypatch.setattr("sys.stderr", None)  # as Python has it where it was closed before
    assert main(["run", str(file), "--out", str(tmp_path / "out"), "--seeds", "1"]) == 0
