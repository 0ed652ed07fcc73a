"""What is measured of CFGM's samples at a task's end, against a plain computation; and that results keep it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from engine.small import scenario, spec, train
from torch import Tensor

import maskcl
from maskcl import class_incremental
from maskcl.cfgm import Cfgm
from maskcl.engine import Outcome, Population, run_population
from maskcl.networks import find as find_network
from maskcl.results import read_result

KEYS = {
    "task",
    "classes",
    "confidence_before",
    "confidence_after",
    "distance_before",
    "distance_after",
    "moved",
    "pictures",
}
MEASURED = sorted(KEYS - {"task", "classes", "pictures"})


def cfgm_specs(count: int, **settings: Any) -> list[Any]:
    return [spec("finetune", seed=k, cfgm=Cfgm(**({"step": 0.5 * (k + 1)} | settings))) for k in range(count)]


@pytest.mark.parametrize("generator", ["current", "frozen"])
def test_values_are_those_of_a_plain_computation_for_every_class(generator: str) -> None:
    """70 rows a class: of the 140 of a task every second one is moved, and 64 of those at most."""
    tasks = scenario(3, rows=70)
    one = spec("finetune", tasks=tasks, cfgm=Cfgm(step=0.8, generator=generator))
    population = Population([one], stacked=False)
    train(population, range(2))
    frozen = population.state.frozen
    assert frozen is not None

    def before(rows: Tensor) -> Tensor:
        return population.model.at(frozen, rows).logits

    population.fit_task(2)
    assert population.samples is not None
    (record,) = population.samples
    assert record["task"] == 2
    assert record["classes"] == [0, 1, 2, 3]
    inputs, labels = torch.from_numpy(tasks.dataset.train_inputs).double(), tasks.dataset.train_labels
    x = inputs[tasks.train_rows[2][::2][:64]]
    assert len(x) == 64
    followed = before if generator == "frozen" else population.parts.network
    for i, c in enumerate(record["classes"]):
        leaf = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(F.cross_entropy(followed(leaf), torch.full((64,), c), reduction="sum"), leaf)
        made = x - 0.8 * grad
        mean = torch.stack([row for row, y in zip(inputs, labels, strict=True) if y == c]).mean(0)
        expected = {
            "confidence_before": before(x).softmax(1)[:, c],
            "confidence_after": before(made).softmax(1)[:, c],
            "distance_before": (x - mean).square().sum(1).sqrt(),
            "distance_after": (made - mean).square().sum(1).sqrt(),
            "moved": (made - x).square().sum(1).sqrt(),
        }
        for name, values in expected.items():
            assert record[name][i] == pytest.approx(values.mean().item(), rel=1e-9), (name, c)


def test_there_is_one_record_a_member_with_a_value_for_each_old_class() -> None:
    population = Population(cfgm_specs(3), stacked=True)
    population.fit_task(0)
    assert population.samples is None
    for task, classes in ((1, [0, 1]), (2, [0, 1, 2, 3])):
        population.fit_task(task)
        assert population.samples is not None
        assert len(population.samples) == 3
        for record in population.samples:
            assert set(record) == KEYS
            assert (record["task"], record["classes"]) == (task, classes)
            for name in MEASURED:
                assert len(record[name]) == len(classes)
                assert all(type(value) is float and value >= 0 for value in record[name])


@pytest.mark.parametrize("settings", [{}, {"clamp": True, "norm": "l2", "num_steps": 3}], ids=["plain", "clamped"])
def test_a_stacked_member_has_the_record_of_a_single_run(settings: dict[str, Any]) -> None:
    specs = cfgm_specs(3, **settings)
    stacked = train(Population(specs, stacked=True)).samples
    assert stacked is not None
    for k, one in enumerate(specs):
        alone = train(Population([one], stacked=False)).samples
        assert alone is not None
        for name in MEASURED:
            np.testing.assert_allclose(stacked[k][name], alone[0][name], rtol=0, atol=1e-9)
        assert stacked[k]["pictures"]["shape"] == alone[0]["pictures"]["shape"]
        for which in ("x", "made"):  # a shade may be rounded up in one and down in the other
            mine, theirs = (shades(record, which).astype(int) for record in (stacked[k], alone[0]))
            assert abs(mine - theirs).max() <= 1


@pytest.mark.parametrize(
    "tasks",
    [[[4, 0], [5, 1], [3, 2]], [[0, 1, 2], [3, 4], [5]], [[0], [1], [2, 3, 4, 5]], [[4, 5], [0, 1]]],
    ids=["other order", "more old classes", "fewer old classes", "classes that the other leaves out"],
)
def test_a_member_with_tasks_of_its_own_has_the_record_of_a_single_run(tasks: list[list[int]]) -> None:
    data = scenario(rows=20).dataset
    own = class_incremental(data, tasks=tasks)
    first = class_incremental(data, tasks=[[0, 1], [2, 3], [4, 5]][: len(tasks)])
    specs = [spec("finetune", seed=k, tasks=cut, cfgm=Cfgm(step=1.0)) for k, cut in enumerate((first, own))]
    stacked = train(Population(specs, stacked=True)).samples
    assert stacked is not None
    for k, one in enumerate(specs):
        alone = train(Population([one], stacked=False)).samples
        assert alone is not None
        assert stacked[k]["classes"] == alone[0]["classes"]
        for name in MEASURED:
            np.testing.assert_allclose(stacked[k][name], alone[0][name], rtol=0, atol=1e-9)


def shades(record: dict[str, Any], which: str) -> np.ndarray:
    """A record's pictures, uint8 [n, *shape]."""
    coded = record["pictures"]
    found = np.frombuffer(base64.b64decode(coded[which], validate=True), np.uint8)
    return found.reshape(len(record["classes"]), *coded["shape"])


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize(("shape", "network"), [((7,), "mlp"), ((1, 4, 4), "mlp"), ((3, 8, 8), "convnet")])
def test_pictures_have_the_shape_of_the_rows_and_show_one_of_the_task(
    shape: tuple[int, ...], network: str, stacked: bool
) -> None:
    tasks = scenario(3, shape=shape)
    one = spec("finetune", tasks=tasks, cfgm=Cfgm(step=0.7), network=find_network(network)(hidden=(4,)))
    population = train(Population([one] * (2 if stacked else 1), stacked=stacked))
    rows = np.rint(255 * tasks.dataset.train_inputs[tasks.train_rows[2]]).astype(np.uint8)
    for record in population.samples or []:
        assert record["pictures"]["shape"] == list(shape)
        x, made = shades(record, "x"), shades(record, "made")
        assert x.shape == made.shape == (4, *shape)
        assert all(any(np.array_equal(picture, row) for row in rows) for picture in x)
        assert any(not np.array_equal(a, b) for a, b in zip(x, made, strict=True))


def test_outcomes_have_samples_with_cfgm_alone_and_pictures_in_the_last_record_alone() -> None:
    made, plain = run_population([*cfgm_specs(1), spec("finetune")], threads=1)
    assert plain.samples is None
    assert made.samples is not None
    assert [record["task"] for record in made.samples] == [1, 2]
    assert set(made.samples[0]) == KEYS - {"pictures"}
    assert set(made.samples[1]) == KEYS


def test_looking_at_samples_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_population(cfgm_specs(1), threads=1)[0]
    monkeypatch.setattr("maskcl.engine.population.look_at_samples", lambda *_: None)
    blind = run_population(cfgm_specs(1), threads=1)[0]
    assert blind.samples is None
    np.testing.assert_array_equal(whole.confidence, blind.confidence)


def test_a_diverged_member_leaves_the_others_their_own_records() -> None:
    rates = (0.1, 1e300, 0.05)
    specs = [spec("finetune", seed=k, cfgm=Cfgm(step=1.0), optimizer={"lr": lr}) for k, lr in enumerate(rates)]
    outcomes = run_population(specs, executor="stack", threads=1)
    assert [outcome.status for outcome in outcomes] == ["finished", "diverged", "finished"]
    for k in (0, 2):
        (alone,) = run_population([specs[k]], executor="loop", threads=1)
        assert_same_records(outcomes[k], alone)


def test_a_member_that_diverges_has_a_record_of_that_task() -> None:
    """Weights and samples are NaN or infinite then; a picture has a shade all the same."""
    specs = [spec("finetune", seed=k, cfgm=Cfgm(step=step)) for k, step in enumerate((1.0, 1e300))]
    sound, diverged = run_population(specs, executor="stack", threads=1)
    assert (sound.status, diverged.status) == ("finished", "diverged")
    assert diverged.samples is not None
    last = diverged.samples[-1]
    assert shades(last, "made").shape == (len(last["classes"]), 7)
    assert not np.isfinite(last["confidence_after"]).all()


def assert_same_records(mine: Outcome, other: Outcome) -> None:
    assert mine.samples is not None
    assert other.samples is not None
    for a, b in zip(mine.samples, other.samples, strict=True):
        assert (a["task"], a["classes"]) == (b["task"], b["classes"])
        for name in MEASURED:
            np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("step", [0.5, 1e300], ids=["finished", "diverged"])
def test_the_result_file_is_strict_json_and_is_read_again(step: float, tmp_path: Path) -> None:
    settings = {
        "seeds": 1,
        "method": "finetune",
        "cfgm": {"step": step},
        "network": {"hidden": [8]},
        "training": {"batch_size": 4, "dtype": "float64"},
    }
    results = maskcl.run(settings, scenario=scenario(), out=tmp_path, threads=1)
    (path,) = tmp_path.rglob("*.json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    raw = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert raw["status"] == ("finished" if step == 0.5 else "diverged")
    assert [record["task"] for record in raw["samples"]] == ([1, 2] if step == 0.5 else [1])
    back = read_result(path)
    for written, read in zip(results.runs[0]["samples"], back["samples"], strict=True):
        assert written["classes"] == read["classes"]
        assert written.get("pictures") == read.get("pictures")
        if step == 0.5:
            assert written == read
    assert back["config"]["cfgm"]["step"] == step
