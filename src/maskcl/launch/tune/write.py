"""What a search leaves: an experiment file that says where its values are from, and a table of all trials."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maskcl.errors import check
from maskcl.experiment import Sections, plan
from maskcl.experiment.arguments import check_folder, try_folder
from maskcl.experiment.files import Source
from maskcl.experiment.grid import override
from maskcl.experiment.parsing import parse
from maskcl.files import write_atomically
from maskcl.launch.tune.header import header
from maskcl.launch.tune.study import Study, Tuned

__all__ = ["Target", "tuned_sections", "write"]


@dataclass(frozen=True)
class Target:
    """Where results go, and what makes them.

    Attributes:
        file: The new experiment file.
        table: The table of trials, beside it.
        command: What makes them, in one form however it was typed: only a file that says it was made by the same
            command is written over.
    """

    file: Path
    table: Path
    command: str

    @classmethod
    def of(cls, source: Source, out: Any, **given: Any) -> Target:
        """Return the target of some arguments.

        Args:
            source: What is tuned.
            out: The new experiment file.
            given: The options that decide on the result, None where not given.

        Raises:
            ConfigError: It is no name of a file of experiments, or that of the source.
        """
        good = isinstance(out, (str, os.PathLike)) and Path(out).suffix == ".toml"
        check(good, "out", "must be a new file's name that ends in .toml", out if out is None else str(out))
        file = Path(out)
        same = not isinstance(source, Mapping) and file.absolute() == Path(source).absolute()
        same = same or (not isinstance(source, Mapping) and file.exists() and file.samefile(source))
        check(not same, "out", "must be another file than the one that is tuned", str(out))
        name = "experiment" if isinstance(source, Mapping) else str(Path(source))
        words = ["maskcl", "tune", name]
        for option, value in {**given, "out": file}.items():
            words += [] if value is None else [f"--{option}", str(value)]
        return cls(file, file.with_suffix(".trials.csv"), shlex.join(words))

    def check(self, *, force: bool) -> None:
        """Refuse to begin what could not be written, or would be written over what somebody else has made."""
        for path in (self.file, self.table):
            check(not os.path.isdir(path), "out", "must be a file, and is a folder", str(path))
            good = os.path.isfile(path) or not os.path.exists(path)
            check(good, "out", "must be a file, and is a pipe, a socket or a device", str(path))
        check_folder(self.file.parent, "out")
        if not force and not self._is_ours():
            there = self.file if self.file.exists() else self.table
            must = "must be a new file's name, for what is there was not made by the same command"
            check(not there.exists(), "out", must, str(there), hint="another name, or --force")

    def try_folder(self) -> None:
        """Make the folder, and raise ConfigError where nothing can be written."""
        try_folder(self.file.parent, "out")

    def _is_ours(self) -> bool:
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False
        return f"#   {self.command}" in lines


def tuned_sections(raw: Mapping[str, Any], settings: Sequence[Tuned], where: str) -> dict[str, Any]:
    """Return an experiment with the best values set: by [[grid.zip]], a row a setting, where there is a grid.

    Args:
        raw: What was tuned, without [tune].
        settings: What was found.
        where: For messages.
    """
    found = {name: part for name, part in raw.items() if name != "grid"}
    if isinstance(found.get("scenario"), Mapping):
        found["scenario"] = {k: part for k, part in found["scenario"].items() if k != "validation_fraction"}
    if "grid" not in raw:
        found = override(found, settings[0].best.values, where)
        if parse(found, where, varies_method=True).memory is None:  # the best method may be one without
            found.pop("memory", None)
        return found
    return {**found, "grid": {"zip": [{**tuned.setting, **tuned.best.values} for tuned in settings]}}


def write(study: Study, target: Target, source: Source, options: Mapping[str, Any]) -> Study:
    """Write file and table, each whole or not at all; return the study that says where they are.

    Args:
        study: What was found.
        target: Where to.
        source: What was tuned.
        options: Arguments of `plan` with which the new file is tried before it is written.
    """
    from maskcl.launch.tune.toml import as_toml, edited, says

    if isinstance(source, Mapping):
        body = as_toml(study.experiment)
    else:
        body = edited(Path(source).read_bytes().decode("utf-8-sig"), study.experiment, study.settings[0].best.values)
    text = _headed(header(study, target.command, source), body, source, target.file)
    assert says(text, study.experiment), f"{target.file} would not say what was found"
    plan(Sections(study.experiment, source), **options)
    write_atomically(target.file, text.encode())  # first, for it says whose the table is
    write_atomically(target.table, _csv(study.rows()).encode())
    return replace(study, file=target.file, table=target.table)


def _headed(lines: Sequence[str], body: str, source: Source, file: Path) -> str:
    """A file with a header; the line by which editors know the schema stays first, and leads to where it led."""
    first, _, rest = body.partition("\n")
    mark = "#:schema "
    if first.startswith(mark) and not isinstance(source, Mapping):
        schema, body = first.removeprefix(mark).strip(), rest
        if "://" not in schema and not Path(schema).is_absolute():
            schema = Path(os.path.relpath(Path(source).parent / schema, file.parent)).as_posix()
        lines = [f"{mark}{schema}", *lines]
    return "\n".join([*lines, "", body.lstrip("\n")])


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table, fractions in full; what is no number and no word is JSON, NaN is empty."""
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(key)) for key in columns] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "" if value != value else repr(value)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)
