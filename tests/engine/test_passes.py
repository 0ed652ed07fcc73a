"""How many rows pass a network at once: what is counted beforehand is what happens, and one row is refused in time."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from small import scenario, spec, train
from torch import nn

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import Population, RunSpec, run_population
from maskcl.engine.passes import check_passes, passes
from maskcl.errors import ConfigError
from maskcl.experiment import plan, run
from maskcl.memory import MemoryConfig
from maskcl.methods import REGISTRY as METHODS
from maskcl.networks import ConvNet, ResNet18, from_factory
from maskcl.scenario import class_incremental

UNEVEN = scenario(2, rows=13, shape=(1, 8, 8), classes=4).dataset
IMAGES = scenario(2, rows=7, shape=(1, 8, 8), classes=4)
FLAT: dict[str, Any] = {
    "seeds": 1,
    "network": {"name": "convnet", "hidden": [4, 4, 4, 4]},
    "scenario": {"tasks": [[0, 1, 2], [3]]},  # 39 and 13 rows: batches of 4 leave three, and one
    "training": {"batch_size": 5},
    "method": "finetune",
}


def normed(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """BatchNorm on features: one row cannot be trained on."""
    layers = nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU()
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(6, num_classes))


def counts(one: RunSpec, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Rows of each training pass of a run, as BatchNorm sees them."""
    found: set[int] = set()
    forward = nn.BatchNorm1d.forward

    def counting(self: Any, x: torch.Tensor) -> torch.Tensor:
        if self.training and torch.is_grad_enabled():
            found.add(len(x))
        return forward(self, x)

    population = Population([one], stacked=False)
    with monkeypatch.context() as patch:
        patch.setattr(nn.BatchNorm1d, "forward", counting)
        patch.setattr("maskcl.networks.base.tried_in_training", lambda module, *_: module)  # of a fresh network
        train(population)
    return found


def runs() -> list[Any]:
    cases = [(key, 5 if key == "joint" else 3, {}) for key in METHODS]
    cases += [(key, 4, {"training": {"epochs": 2}}) for key in ("er", "derpp", "finetune", "joint")]
    cases += [(key, 14, {}) for key in ("er", "derpp", "mir", "icarl")]
    cases += [("er", 4, {"memory": MemoryConfig(size=8, policy="ring")}), ("er", 4, {"replay_from_task": 1})]
    for update in ("separate", "joint"):
        for key in ("finetune", "er", "derpp"):
            cases.append((key, 5, {"cfgm": Cfgm(step=0.1, per_row=2, update=update)}))
    cases.append(("scr", 4, {"training": {"augment": Augment(flip=True)}}))
    cases.append(("gdumb", 4, {"memory": MemoryConfig(size=9, policy="ring")}))
    return cases


@pytest.mark.parametrize(("key", "batch", "options"), runs())
def test_what_is_counted_beforehand_is_what_happens(
    key: str, batch: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"batch_size": batch} | options.get("training", {})
    one = spec(key, tasks=IMAGES, network=from_factory(normed), **(options | {"training": training}))
    assert {found.rows for found in passes(one)} == counts(one, monkeypatch)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"training.batch_size": 4}, r"training.batch_size: must leave no batch of one row \(task 1 has 13 rows\)"),
        ({"training.batch_size": 1}, r"training.batch_size: must leave no batch of one row \(task 0 has 39 rows\)"),
        ({"network": {"name": "resnet18", "width": 2}, "training.batch_size": 4}, r"training.batch_size: must leave"),
        ({"method": {"name": "derpp", "replay_batch": 1}, "memory": {"size": 20}},
         r"method.replay_batch: must leave no draw of one row, which 'derpp' passes by itself,"),
        ({"method": {"name": "er"}, "memory": {"size": 20}, "training.batch_size": 1}, r"training.batch_size: must"),
        ({"method": {"name": "gdumb", "passes": 1}, "memory": {"size": 21}}, r"training.batch_size: must leave no"),
    ],
)  # fmt: skip
def test_one_row_that_cannot_be_trained_on_is_refused_in_one_sentence(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match="^experiment: " + text) as error:
        plan(FLAT, overrides=changes, dataset=UNEVEN)
    sentence, hint = str(error.value).splitlines()
    assert "cannot be trained on it (ValueError: Expected more than 1 value per channel when training" in sentence
    assert hint.startswith("hint: ")


def test_the_batch_size_in_the_hint_works() -> None:
    with pytest.raises(ConfigError) as error:
        plan(FLAT, overrides={"training.batch_size": 4}, dataset=UNEVEN)
    size = int(re.findall(r"hint: (\d+) leaves none", str(error.value))[0])
    assert abs(size - 4) <= 2
    (result,) = run(FLAT, overrides={"training.batch_size": size}, dataset=UNEVEN).runs
    assert result["status"] == "finished"


@pytest.mark.parametrize("method", ["finetune", "derpp"])
def test_one_row_of_several_pixels_stays_allowed(method: str) -> None:
    changes = {"network.hidden": [3], "training.batch_size": 1, "seeds": 1}
    options = {"memory": {"size": 10}, "method": {"name": "derpp", "replay_batch": 1}} if method == "derpp" else {}
    assert plan(FLAT | options, overrides=changes, dataset=UNEVEN).pending
    one = spec(method, tasks=IMAGES, network=ConvNet(hidden=(3,)), training={"batch_size": 1},
               **({"replay_batch": 1} if method == "derpp" else {}))  # fmt: skip
    (outcome,) = run_population([one], threads=1)
    assert outcome.status == "finished"


def test_rows_that_join_the_memorys_are_not_alone() -> None:
    """The last row of an epoch passes together with what er draws."""
    one = spec("er", tasks=IMAGES, network=from_factory(normed), training={"batch_size": 13})  # 14 rows a task
    (outcome,) = run_population([one], threads=1)
    assert outcome.status == "finished"
    with pytest.raises(ConfigError, match="must leave no batch of one row"):
        run_population([spec("er_ace", tasks=IMAGES, network=from_factory(normed), training={"batch_size": 13})])


def test_networks_without_batch_norm_take_one_row() -> None:
    assert plan(FLAT | {"network": "mlp"}, overrides={"training.batch_size": 1}, dataset=UNEVEN).pending


def test_each_class_order_is_looked_at() -> None:
    uneven = scenario(2, rows=7, shape=(1, 8, 8), classes=4).dataset
    orders = [class_incremental(uneven, tasks=tasks) for tasks in ([[0, 1], [2, 3]], [[0, 1, 2], [3]])]
    specs = [
        spec("finetune", tasks=tasks, network=from_factory(normed), training={"batch_size": 5}) for tasks in orders
    ]
    check_passes(specs[:1])  # 14 rows leave four
    with pytest.raises(ConfigError, match=r"task 0 has 21 rows"):  # 21 leave one
        check_passes(specs)


def test_a_large_grid_is_counted_in_no_time() -> None:
    one = spec("derpp", tasks=IMAGES, network=ResNet18(width=2), training={"batch_size": 3})
    many = [replace(one, seeds=replace(one.seeds, sampling=k)) for k in range(3000)]
    began = time.process_time()
    check_passes(many)
    assert time.process_time() - began < 1
