"""Speed, always as ratios within one run: `maskcl bench`. Needs idle cores to mean anything."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from maskcl.errors import check, check_choice
from maskcl.machine import free_cores

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS = ("er", "derpp", "flat", "orders", "cfgm", "resnet18", "stream")
"""What `maskcl bench` measures; "gpu" only where it is named, for it needs one."""
BASES = {"flat": "ratio to task 1", "orders": "time to 20 seeds"}
"""What the ratios of a benchmark are to; a bare loop for all others."""


def main(names: Sequence[str], *, rows: int | None = None) -> int:
    """Run benchmarks (all by default) and print their tables; the command `maskcl bench`.

    Args:
        names: Some of `BENCHMARKS`, or "gpu".
        rows: Length of the stream in "stream"; None: its default.
    """
    import torch

    from maskcl.bench.cfgm import bench_cfgm
    from maskcl.bench.gpu import bench_gpu, check_gpu
    from maskcl.bench.orders import bench_orders
    from maskcl.bench.resnet18 import bench_resnet18
    from maskcl.bench.step import MEMBERS, ROUNDS, bench_flat, bench_step
    from maskcl.bench.stream import ROWS, bench_stream, check_rows

    for name in names:
        check_choice(name, "maskcl bench", (*BENCHMARKS, "gpu"))
    if "gpu" in names:
        check_gpu()
    check(rows is None or "stream" in (names or BENCHMARKS), "maskcl bench: --rows", "acts on 'stream' alone", rows)
    check_rows(num_rows := ROWS if rows is None else rows)
    out, progress = Console(), Console(stderr=True)
    threads, before = free_cores(), torch.get_num_threads()
    out.print(f"torch {torch.__version__}, {threads} threads; medians of {ROUNDS} rounds, range in brackets")
    tables: dict[str, Callable[..., Table]] = {
        "cfgm": bench_cfgm,
        "gpu": bench_gpu,
        "resnet18": partial(bench_resnet18, threads=threads),
        "stream": partial(bench_stream, num_rows),
    }
    for name in names or BENCHMARKS:
        if name in tables:
            out.print(tables[name](say=progress.print))
            torch.set_num_threads(before)
            continue
        alone = {"flat": bench_flat, "orders": bench_orders}
        if name in alone:
            lines, title = alone[name](say=progress.print), f"maskcl bench {name}"
        else:
            lines = bench_step(name, threads=threads, say=progress.print)
            title = f"maskcl bench {name}, {MEMBERS} members"
        table = Table(title=title)
        for column in ("", "stream rows / s", BASES.get(name, "ratio to bare loop"), "limit"):
            table.add_column(column, justify="left" if column == "" else "right")
        for line in lines:
            low, high = line.spread
            ratio = f"{line.ratio:.2f} ({low:.2f} to {high:.2f})"
            table.add_row(line.name, f"{line.samples_per_second:,.0f}", ratio, line.aim)
        out.print(table)
        torch.set_num_threads(before)
    out.print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 0
