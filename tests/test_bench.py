"""The benchmarks run, and give what their tables say; how fast is not for a test."""

from __future__ import annotations

import math
import multiprocessing
import weakref
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from maskcl.bench import cfgm, orders, resnet18, step, stream
from maskcl.cli import main


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "MEMBERS", 2)
    monkeypatch.setattr(step, "ROUNDS", 2)
    monkeypatch.setattr(step, "ROWS_PER_TASK", 200)
    monkeypatch.setattr(cfgm, "ROUNDS", 2)
    monkeypatch.setattr(cfgm, "NETWORKS", {"small": ("mlp", 2), "images": ("convnet", 1)})


@pytest.mark.parametrize("method", ["er", "derpp"])
def test_a_step_is_held_against_a_bare_loop_and_the_products(tiny: None, method: str) -> None:
    lines = step.bench_step(method, threads=1, say=lambda text: None)
    assert [line.name.removeprefix(f"{method} ") for line in lines] == [
        "bare loop", "loop", "stack of 2", "limit: products alone"
    ]  # fmt: skip
    assert lines[0].ratio == 1
    assert all(math.isfinite(line.ratio) and line.samples_per_second > 0 for line in lines)


def test_every_replaying_task_has_a_line(tiny: None) -> None:
    lines = step.bench_flat(say=lambda text: None)
    assert [line.name for line in lines] == ["task 1", "task 2", "task 3", "task 4"]
    assert len(lines) == step.NUM_TASKS - 1
    assert lines[0].ratio == 1
    for line in lines:
        assert math.isfinite(line.ratio)
        assert line.spread[0] <= line.ratio <= line.spread[1]


def test_class_orders_are_held_against_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MEMBERS": 3, "ROUNDS": 2, "ROWS": tuple(rows // 20 for rows in orders.ROWS)}.items():
        monkeypatch.setattr(orders, name, value)
    seeds, mixed = orders.bench_orders(say=lambda text: None)
    assert (seeds.name, seeds.ratio) == ("20 seeds", 1)
    assert 0 < mixed.spread[0] <= mixed.ratio <= mixed.spread[1]


@pytest.mark.parametrize("setting", cfgm.SETTINGS)
def test_what_cfgm_costs_is_measured_on_rows(tiny: None, setting: str) -> None:
    cost = cfgm._measure("small", setting)
    assert len(cost.seconds) == 2
    assert all(s > 0 for s in cost.seconds)
    assert cost.num_bytes > 0


def test_what_cfgm_costs_is_measured_on_images(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cfgm, "ROUNDS", 1)
    (seconds,) = cfgm._measure("images", "CFGM, separate update").seconds
    assert 0 < seconds < math.inf


def test_peak_memory_is_the_processs_own_and_not_its_parents() -> None:
    held = np.ones(100 * 2**20)  # 800 MB
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        child = pool.apply(cfgm._peak_bytes)
    assert cfgm._peak_bytes() > held.nbytes
    assert 2**20 < child < held.nbytes


def test_the_tables_of_all_benchmarks_are_printed(
    tiny: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cfgm, "NETWORKS", {"small": ("mlp", 2)})
    monkeypatch.setattr(cfgm, "SETTINGS", {name: cfgm.SETTINGS[name] for name in ("mask alone", "ER, 200 slots")})
    before = torch.get_num_threads()
    context = SimpleNamespace(Pool=lambda count: nullcontext(SimpleNamespace(apply=lambda work, args: work(*args))))
    monkeypatch.setattr(cfgm.multiprocessing, "get_context", lambda kind: context)
    try:
        assert main(["bench", "flat", "cfgm"]) == 0
    finally:
        torch.set_num_threads(before)
    out, err = capsys.readouterr()
    for words in ("maskcl bench flat", "task 4", "maskcl bench cfgm", "mask alone", "ER, 200", "peak memory of this"):
        assert words in out
    assert err.splitlines() == ["flat: round 1 of 2", "flat: round 2 of 2", "small: mask alone", "small: ER, 200 slots"]


@pytest.mark.parametrize("names", [["nonsense"], ["flat", "cfgn"]])
def test_an_unknown_benchmark_is_refused_before_anything_is_printed(
    names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *names]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "must be one of er, derpp, flat, orders, cfgm, resnet18, stream, gpu" in err


def test_a_step_of_a_stream_is_held_against_a_bare_one_at_begin_middle_and_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"SLOTS": 40, "TURN": 10, "LEAST_ROWS": 80}.items():
        monkeypatch.setattr(stream, name, value)
    found = stream.measure(120)
    assert {name: len(each) for name, each in found.items()} == {"learner": 12, "bare": 12}
    assert all(seconds > 0 for each in found.values() for seconds in each)
    before = torch.get_num_threads()
    assert main(["bench", "stream", "--rows", "120"]) == 0
    assert torch.get_num_threads() == before
    out, err = capsys.readouterr()
    assert all(words in out for words in ("steps of one row, 120 rows", "begin", "middle", "end", "limit 1.5"))
    assert err.splitlines()[-1] == "stream: 120 of 120 rows"


def test_begin_middle_and_end_are_medians_of_a_fifth_each() -> None:
    assert stream.parts([1, 1, 9, 0, 5, 5, 5, 0, 3, 2]) == [1, 5, 2.5]
    assert stream.parts([4.0]) == [4, 4, 4]


def test_the_bare_step_learns_from_the_new_row_and_ten_of_a_reservoir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SLOTS", 8)
    torch.manual_seed(0)
    bare, counts = stream.BareStep(), []
    bare.network.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    rows, labels = torch.rand(30, stream.INPUTS), torch.randint(10, (30,))
    for row, label in zip(rows.split(1), labels.split(1), strict=True):
        bare(row, label)
    assert counts == [1] + [11] * 29, "as `Learner.partial_fit`"
    kept = [int(torch.nonzero((rows == row).all(1))[0]) for row in bare.rows]
    assert len(set(kept)) == 8
    assert max(kept) >= 8
    assert bare.labels.tolist() == labels[kept].tolist()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stream", "--rows", "3999"], "maskcl bench: --rows: must be 4,000 or more, twice the memory, got 3999."),
        (["flat", "--rows", "9000"], "maskcl bench: --rows: acts on 'stream' alone, got 9000."),
    ],
)
def test_a_length_that_measures_nothing_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", f"error: {said}")


def test_resnet18_is_held_against_a_bare_loop_and_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet18, "STEPS", 2)
    spec = resnet18.image_run(2, 4, channels_last=True)
    assert [len(rows) for rows in spec.scenario.train_rows] == [8] * 5, "two full batches a task"
    cost = resnet18.measure(spec)
    assert len(cost.bare) == len(cost.ours) == resnet18.NUM_TASKS - 1
    assert all(seconds > 0 for seconds in [*cost.bare, *cost.ours])
    assert tuple(cost.parts) == resnet18.PARTS
    # Gather and augmentation are a difference of two short times; the network's parts are most of a step.
    assert cost.parts["forward"] + cost.parts["backward"] > cost.parts["gather"] > 0
    monkeypatch.setattr(resnet18, "SIZES", ((2, 4),))
    before = torch.get_num_threads()
    table = resnet18.bench_resnet18(threads=1, say=lambda text: None)
    torch.set_num_threads(before)
    assert table.row_count == 4 + len(resnet18.PARTS)
    assert len(table.columns) == 1 + len(resnet18.SIZES)


def test_the_bare_loop_does_what_a_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    build = resnet18.build_network

    def built(*arguments: Any, **options: Any) -> Any:
        network = build(*arguments, **options)
        network.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
        return network

    monkeypatch.setattr(resnet18, "build_network", built)
    resnet18.bare_steps(resnet18.image_run(2, 4), torch.device("cpu"), 3)()
    assert seen == [(8, 3, 32, 32)] * 3


def test_a_gpu_is_not_measured_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["bench", "flat", "gpu"]) == 2
    out, err = capsys.readouterr()
    assert out == "", "refused before anything is measured"
    assert "maskcl bench gpu: must be run on a machine with a CUDA device, and there is none." in err


def test_each_row_of_the_gpus_table_has_its_own_peak_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a stand-in that counts what is alive: earlier peaks are forgotten, and the bare loop is gone after its row."""
    from maskcl.bench import gpu

    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    peak = [999]

    class Holder:
        def __init__(self, size: int) -> None:
            self.size, self.me = size, self  # a circle, as networks with hooks have
            alive.add(self)
            peak[0] = max(peak[0], sum(held.size for held in alive))

    class Run(Holder):
        num_tasks = 2

        def __init__(self, specs: Any, *, stacked: bool) -> None:
            super().__init__(30 + len(specs))
            self.timings, self.state = {"training": 0.0}, SimpleNamespace(steps=[0])

        def fit_task(self, task: int) -> None:
            self.timings["training"] += 1
            self.state.steps[0] += 1

    def bare_steps(*_: Any) -> Any:
        held = Holder(100)
        return lambda: held.size

    for name, fake in {"bare_steps": bare_steps, "Population": Run, "MEMBERS": (1, 2), "ROUNDS": 2}.items():
        monkeypatch.setattr(gpu, name, fake)
    for name, fake in {
        "is_available": lambda: True,
        "get_device_name": lambda: "Some GPU",
        "synchronize": lambda: None,
        "reset_peak_memory_stats": lambda: peak.__setitem__(0, sum(held.size for held in alive)),
        "max_memory_allocated": lambda: peak[0] * 2**20,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    table = gpu.bench_gpu(say=lambda text: None)
    assert list(table.columns[-1].cells) == ["100", "31", "31", "32"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none")
def test_a_gpu_is_measured_where_there_is_one(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskcl.bench import gpu

    monkeypatch.setattr(gpu, "MEMBERS", (1, 2))
    assert gpu.bench_gpu(say=lambda text: None).row_count == 4
