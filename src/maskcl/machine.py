"""What the machine has left: memory and cores."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["available_bytes", "free_cores", "usable_cores"]


def available_bytes() -> int:
    """Return the memory that can still be used, in bytes: the machine's, or the container's where it is less."""
    limits = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
    cgroup = Path("/sys/fs/cgroup/memory.max")
    if cgroup.exists() and (text := cgroup.read_text().strip()).isdigit():
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        limits.append(int(text) - used + _file_cache(Path("/sys/fs/cgroup/memory.stat")))
    return max(0, min(limits)) if limits else 4 * 2**30


def usable_cores() -> int:
    """Return the cores that this process may use, whatever else is running: OMP_NUM_THREADS, or those it is bound to.

    OMP_NUM_THREADS counts where it is fewer; of a list ("4,2") its first number, as OpenMP has it.
    """
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    allowed = _allowed_cores()
    return min(allowed, int(said)) if said.isdecimal() and int(said) >= 1 else allowed


def free_cores(seconds: float = 0.1) -> int:
    """Return the cores left for us, 1 or more: those we may use, less what other processes use at this moment.

    Not the load average: that still counts the run that has just ended.

    Args:
        seconds: How long to look.
    """
    usable = _allowed_cores()
    before, own = _busy_seconds(), time.process_time()
    if before is None:
        return usable
    time.sleep(seconds)
    after = _busy_seconds()
    assert after is not None
    others = (after - before) - (time.process_time() - own)
    return max(1, usable - round(others / seconds))


def _allowed_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _file_cache(stat: Path) -> int:
    """Bytes of files that a container's memory holds and gives back when asked: they are counted as used."""
    if not stat.exists():
        return 0
    fields = dict(line.split() for line in stat.read_text().splitlines())
    return int(fields.get("inactive_file", 0))


def _busy_seconds() -> float | None:
    """CPU seconds that all processes have used since the machine started; None where it does not say."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _wait, interrupts, soft, steal, *_ = map(
        int, stat.read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")
