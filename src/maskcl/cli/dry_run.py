"""`maskcl run --dry-run`: what there is to do, what will train together, and what it will take, about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskcl.cli.console import print_table
from maskcl.errors import counted

if TYPE_CHECKING:
    from maskcl.engine.forecast import Forecast, GroupForecast
    from maskcl.experiment import Plan
    from maskcl.experiment.planning import Planned

__all__ = ["print_plan"]


def print_plan(planned: Plan, out: Path, *, executor: str, jobs: int, devices: int, cores: int) -> None:
    """Print settings and their runs, the groups of those that are to be made, and estimates; nothing is written.

    Args:
        planned: The runs.
        out: Folder of results.
        executor: As it was asked for.
        jobs: Processes.
        devices: Devices that make each run together.
        cores: Of each process or device, where there are several.
    """
    from maskcl.engine.forecast import forecast

    by_label = defaultdict(list)
    for run in planned.runs:
        by_label[run.label].append(run)
    rows = [
        [label, str(len(runs)), str(sum(run.done is not None for run in runs)), _folder(runs[0])]
        for label, runs in by_label.items()
    ]
    print_table(["setting", "runs", "done", "folder"], rows)
    pending = planned.pending
    if pending:
        specs, threads = [run.spec for run in pending], cores if max(jobs, devices) > 1 else None
        executor = executor if devices == 1 else "loop"
        found = forecast(specs, executor=executor, threads=threads, processes=jobs)
        print()
        _print_groups(found, [run.label for run in pending])
        print()
        print(_in_all(found))
        if devices > 1:
            print(f"estimates are of one device; each run will be made by {devices}, one run after the other")
    print(f"{planned.name}: {len(pending)} of {len(planned.runs)} runs to do, results in {out}")


def _folder(run: Planned) -> str:
    return "" if run.path is None else run.path.parent.name


def _print_groups(found: Forecast, labels: Sequence[str]) -> None:
    """A line for the groups of one structure: those that run on the same terms."""
    alike: dict[int, list[GroupForecast]] = defaultdict(list)
    for one in found.groups:
        alike[id(one.group.choice)].append(one)
    rows = []
    for groups in alike.values():
        names = list(dict.fromkeys(labels[i] for one in groups for i in one.group.indices))
        more = f" and {counted(len(names) - 1, 'more setting')}" if len(names) > 1 else ""
        sizes = sorted({len(one.group.indices) for one in groups})
        size = " to ".join(dict.fromkeys((str(sizes[0]), str(sizes[-1]))))
        group, choice, longest = groups[0].group, groups[0].group.choice, max(groups, key=lambda one: one.num_bytes)
        each = None if longest.seconds is None else max(one.seconds or 0.0 for one in groups)
        rows.append(
            [f"{names[0]}{more}", f"{counted(len(groups), 'group')} of {size}",
             "stack" if choice.stacked else "loop", str(group.threads), _time(each), _size(longest.num_bytes)]
        )  # fmt: skip
    columns = ["train together", "groups", "executor", "threads", "time of each, about", "memory of each, about"]
    print_table(columns, rows)


def _in_all(found: Forecast) -> str:
    """One line of estimates."""
    how = f"up to {found.at_a_time} groups at a time" if found.at_a_time > 1 else "one group at a time"
    if found.seconds is not None:
        time = f"about {_time(found.seconds)}"
    elif found.left_out == found.structures:
        time = "time unknown"
    elif found.left_out:
        time = f"at least {_time(found.least_seconds)}"
    else:
        time = "time unknown (a compiled network, or a method that needs a whole task)"
    of = f"of {found.structures} kinds of runs"
    some = f"; {found.left_out} {of} are not in it: measuring would take too long" if found.left_out else ""
    some += f"; {found.likened} {of} taken to be as one with another mask or size of memory" if found.likened else ""
    return (
        f"estimated: {time} and {_size(found.num_bytes)} of memory, {how}; "
        f"from steps measured for {found.measured:.1f} s on the machine as busy as it is now{some}"
    )


def _time(seconds: float | None) -> str:
    """A duration in two digits.

    >>> _time(0.2), _time(84), _time(400), _time(9000)
    ('1 s', '84 s', '6.7 min', '2.5 h')
    """
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    number, unit = (seconds / 60, "min") if seconds < 5400 else (seconds / 3600, "h")
    return f"{number:.1f} {unit}" if number < 10 else f"{number:,.0f} {unit}"


def _size(num_bytes: int) -> str:
    """Bytes in two digits.

    >>> _size(12_345), _size(123_456_789), _size(4_200_000_000)
    ('1 MB', '120 MB', '4.2 GB')
    """
    if num_bytes >= 10**9:
        return f"{num_bytes / 1e9:.1f} GB"
    return f"{float(f'{max(1.0, num_bytes / 1e6):.2g}'):.0f} MB"
