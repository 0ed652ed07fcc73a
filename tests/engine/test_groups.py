"""Which runs train together, on how many threads; what is made once for all of them."""

from __future__ import annotations

import pytest
import torch
from engine.small import scenario, spec

from maskcl.augment import Augment
from maskcl.engine import RunSpec, run_population
from maskcl.engine.groups import MOST_THREADS, grouped
from maskcl.networks import ConvNet, Mlp

IMAGES = scenario(2, rows=8, shape=(3, 8, 8), classes=4)
CONVNET = ConvNet(hidden=(4,))


def convolutional(seed: int = 0, lr: float = 0.1, **training: object) -> RunSpec:
    return spec("er", seed=seed, tasks=IMAGES, network=CONVNET, optimizer={"lr": lr}, training=training)


def told(specs: list[RunSpec], threads: int | None = None) -> list[tuple[int, int]]:
    """Threads and workers of each group of convolutional runs."""
    crews = grouped(specs, executor="auto", group_size=None, threads=threads)
    return [(g.threads, g.workers) for crew in crews for g in crew if not g.choice.stacked]


@pytest.mark.parametrize("free", [1, 3, 6])
@pytest.mark.parametrize("count", [1, 3])
def test_neither_load_nor_other_runs_change_the_threads_of_a_convolutional_run(
    count: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskcl.engine.groups.usable_cores", lambda: 6)
    monkeypatch.setattr("maskcl.engine.groups.free_cores", lambda: free)
    specs = [convolutional(seed) for seed in range(count)]
    assert told(specs) == [(6, 1)] * count
    assert told([spec("er"), *specs, convolutional(9, batch_size=5)]) == [(6, 1)] * (count + 1)
    assert told(specs, threads=2) == [(2, 1)] * count


def test_many_cores_run_several_at_a_time_and_threads_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskcl.engine.groups.usable_cores", lambda: 64)
    monkeypatch.setattr("maskcl.engine.groups.free_cores", lambda: 50)
    assert told([convolutional()]) == [(MOST_THREADS, 50 // MOST_THREADS)]
    assert told([convolutional()], threads=16) == [(MOST_THREADS, 2)]
    (crew,) = grouped([spec("er")], executor="auto", group_size=None, threads=None)
    assert [(g.threads, g.workers) for g in crew] == [(1, 50)], "populations of linear layers have a thread each"


def test_what_ran_on_how_many_threads_is_what_was_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the threads' counts, whatever the order of the runs."""
    used: list[tuple[str, int]] = []
    few = scenario(1, rows=4, shape=(3, 8, 8), classes=2)  # two steps: two threads take their time on busy cores
    specs = [spec("er", seed=k, tasks=few, network=CONVNET if k != 1 else Mlp(hidden=(4,))) for k in range(3)]
    monkeypatch.setattr("maskcl.engine.groups.usable_cores", lambda: 2)
    monkeypatch.setattr("maskcl.engine.groups.free_cores", lambda: 1)
    outcomes = run_population(
        specs, on_outcome=lambda found: used.append((found.executor["name"], torch.get_num_threads()))
    )
    assert sorted(used) == [("loop", 2), ("loop", 2), ("stack", 1)]
    assert [(o.executor["threads"], o.executor["workers"]) for o in outcomes] == [(2, 1), (1, 1), (2, 1)]
    assert [outcome.spec for outcome in outcomes] == specs


def test_a_network_is_built_once_to_be_looked_at_however_many_structures_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[type] = []
    for kind in (ConvNet, Mlp):
        plain = kind.build
        monkeypatch.setattr(kind, "build", lambda self, *at, plain=plain: built.append(type(self)) or plain(self, *at))
    sizes = [convolutional(batch_size=size) for size in range(2, 8)]  # six structures
    grouped(sizes[:1], executor="auto", group_size=None, threads=1)
    one = len(built)
    built.clear()
    grouped(sizes, executor="auto", group_size=None, threads=1)
    assert len(built) == one <= 3, "on the meta device, on the CPU, and one in training to count rows"


def test_the_same_rows_lie_on_a_device_once_however_they_are_shown() -> None:
    augmented = [convolutional(augment=augment) for augment in (None, Augment(flip=True), Augment(crop=1))]
    other = convolutional(dtype="float32")
    crews = grouped([*augmented, other], executor="auto", group_size=None, threads=1)
    data = [group.data for crew in crews for group in crew]
    assert len({id(each) for each in data}) == 4
    for name in ("train", "eval"):
        assert len({getattr(each, name).stored.data_ptr() for each in data[:3]}) == 1
        assert getattr(data[3], name).stored.dtype == torch.float32
