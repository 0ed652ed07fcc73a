from __future__ import annotations

from pathlib import Path

import pytest

from maskcl import machine


def test_some_memory_and_a_core_are_left() -> None:
    assert machine.available_bytes() > 2**20
    assert machine.free_cores(0.01) >= 1


def test_a_container_limits_memory_and_its_file_cache_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/sys/fs/cgroup/memory.max": "5000\n",
        "/sys/fs/cgroup/memory.current": "4500\n",
        "/sys/fs/cgroup/memory.stat": "anon 1000\ninactive_file 700\nactive_file 10\n",
        "/proc/meminfo": "MemTotal: 100 kB\nMemAvailable:       90 kB\n",
    }
    for name, text in files.items():
        (tmp_path / Path(name).name).write_text(text)
    monkeypatch.setattr(machine, "Path", lambda name: tmp_path / Path(name).name)
    assert machine.available_bytes() == 5000 - 4500 + 700
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.available_bytes() == 90 * 1024
    (tmp_path / "meminfo").unlink()
    assert machine.available_bytes() == 4 * 2**30


def test_a_machine_that_does_not_say_is_taken_as_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "Path", lambda name: tmp_path / "nothing")
    assert machine.free_cores() >= 1


@pytest.mark.parametrize(
    ("said", "cores"), [("", 6), ("3", 3), (" 2 ", 2), ("4,2", 4), ("16", 6), ("0", 6), ("many", 6), ("-1", 6)]
)
def test_usable_cores_are_those_that_one_may_use_whatever_the_load(
    said: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert machine.usable_cores() == cores
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 6)
    assert machine.usable_cores() == cores
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert machine.usable_cores() == 6
