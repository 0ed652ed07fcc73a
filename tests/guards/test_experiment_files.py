"""Every experiment file loads, says what a reader needs, and is known to editors by a current schema."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path

import pytest

from maskcl.errors import MissingDataError
from maskcl.experiment import json_schema, plan, read_experiment
from maskcl.experiment.files import parse_overrides
from maskcl.experiment.grid import expand, override
from maskcl.experiment.parsing import parse

FOLDER = Path(__file__).parents[2] / "experiments"
FILES = sorted(FOLDER.glob("*.toml"))
SETTINGS = {"demo": 14, "demo_tuning": 240, "digits_masks": 20, "split_mnist_masks": 22, "split_mnist_published": 8}


def test_the_schema_beside_the_files_is_current() -> None:
    committed = json.loads((FOLDER / "schema.json").read_text())
    assert committed == json_schema(), "maskcl schema > experiments/schema.json"


def searched(path: Path) -> bool:
    """Whether values of a file are still to be searched for: it is named for what the search writes."""
    return "tune" in read_experiment(path)[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_setting_is_valid(path: Path) -> None:
    raw, where = read_experiment(path)
    raw.pop("tune", None)
    settings, _ = expand(raw, where)
    configs = [parse(setting, where, varies_method=True) for setting in settings]
    assert {config.experiment for config in configs} == {path.stem.removesuffix("_tuning" if searched(path) else "")}
    assert len(configs) == SETTINGS.get(path.stem, len(configs))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_run_can_be_planned(path: Path, request: pytest.FixtureRequest) -> None:
    as_it_is = {"tune": "none"} if searched(path) else None
    try:
        planned = plan(path, overrides=as_it_is)
    except MissingDataError:
        root = request.getfixturevalue("mnist_root")
        try:
            planned = plan(path, data_root=root, overrides=as_it_is)
        except MissingDataError as error:
            pytest.skip(str(error))
    assert len({(run.label, run.seed) for run in planned.runs}) == len(planned.runs) > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_head_names_schema_command_time_and_figures(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == "#:schema schema.json"
    head = "\n".join(line for line in lines[: lines.index("")] if line.startswith("#"))
    assert f"maskcl {'tune' if searched(path) else 'run'} experiments/{path.name}" in head
    assert re.search("Takes.* .+", head)
    assert re.search("Figures: .+", head)


@pytest.mark.parametrize("path", [path for path in FILES if "--subset" in path.read_text()], ids=lambda path: path.stem)
def test_a_rehearsal_in_the_head_is_of_one_setting_of_the_file(path: Path) -> None:
    head = path.read_text().partition("\n\n")[0].replace("\\\n#", "")
    (command,) = [line for line in head.splitlines() if "--subset" in line]
    words = shlex.split(command.lstrip("# "))
    given = parse_overrides(value for flag, value in itertools.pairwise(words) if flag == "--set")
    raw, where = read_experiment(path)
    (one,), _ = expand(override(raw, given, where), where)
    of_file = expand(override(raw, {"training.epochs": 1}, where), where)[0]
    (rehearsed,) = [parse(setting, where, varies_method=True) for setting in of_file if setting == one]
    assert rehearsed.training.epochs == 1
