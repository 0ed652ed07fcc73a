"""What images need in training: 8-bit tables, views, normalisation, schedules, smoothing; against plain PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from engine.small import members, spec, train
from torch import Tensor

from maskcl import class_incremental, from_arrays
from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.mask import Mask
from maskcl.methods import REGISTRY
from maskcl.networks import ConvNet, Mlp
from maskcl.scenario import Scenario
from maskcl.schedule import Schedule

MEAN, STD = (0.4, 0.5), (0.2, 0.3)
AUGMENT = Augment(crop=2, flip=True, normalise=(MEAN, STD))
SETTINGS: dict[str, Any] = {
    "augment": AUGMENT,
    "schedule": Schedule(name="cosine", warmup=0.25, final=0.1),
    "label_smoothing": 0.1,
    "epochs": 2,
}


def images() -> Scenario:
    """Four classes of 8-bit pictures [2, 6, 6] in two tasks; a partial batch ends each epoch."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 9)
    table = (rng.random((4, 2, 6, 6))[labels] * 200 + rng.random((36, 2, 6, 6)) * 55).astype(np.uint8)
    return class_incremental(from_arrays(table, labels, table[::2], labels[::2]), num_tasks=2)


TASKS = images()


def seen(rows: Tensor, views: Tensor) -> Tensor:
    """Rows as the network sees them: padded, cut, mirrored, scaled, normalised, one after the other."""
    made = []
    for row, (down, right, mirror) in zip(rows.tolist(), views.tolist(), strict=True):
        image = F.pad(torch.from_numpy(TASKS.dataset.train_inputs[row]).double(), (2, 2, 2, 2))
        image = image[:, down : down + 6, right : right + 6]
        image = image.flip(-1) if mirror else image
        made.append((image / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])
    return torch.stack(made)


def test_a_run_is_a_plain_pytorch_loop_on_the_planned_views() -> None:
    one = spec("er", tasks=TASKS, network=Mlp(hidden=(8,)), training=SETTINGS, reduction="sum", mask=Mask(leak=0.3))
    ours, plan = train(Population([one], stacked=False)), Population([one], stacked=False)
    network = plan.parts.network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for task, classes in enumerate(TASKS.tasks):
        steps = [step for chunk in plan.plan(task).chunks() for step in chunk.steps]
        factors = SETTINGS["schedule"].factors(len(steps))
        shift = torch.tensor([0.0 if c in classes else np.log(0.3) for c in range(4)], dtype=torch.float64)
        for step, factor in zip(steps, factors, strict=True):
            assert step.views is not None
            logits = network(seen(step.rows, step.views[:, 0]))
            count = step.sizes[0]
            loss = F.cross_entropy(logits[:count] + shift, step.labels[:count], label_smoothing=0.1)
            if len(step.sizes) > 1:
                loss = loss + F.cross_entropy(logits[count:], step.labels[count:], label_smoothing=0.1)
            optimizer.param_groups[0]["lr"] = 0.1 * factor
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    found = [t for name, t in members(ours)[0].items() if name.startswith("network")]
    for mine, theirs in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("network", [Mlp(hidden=(8,)), ConvNet(hidden=(4,))], ids=lambda network: network.key)
@pytest.mark.parametrize("key", REGISTRY)
def test_every_method_takes_them_alike_in_both_executors(key: str, network: Any) -> None:
    options = {"held_out": 0.2} if key == "bic" else {}
    takes = {name: value for name, value in SETTINGS.items() if name != "epochs" or key != "gdumb"}
    if not REGISTRY[key]().needs.label_smoothing:
        takes["label_smoothing"] = 0.0
    specs = [
        spec(key, seed=k, tasks=TASKS, network=network, training=takes, optimizer={"lr": 0.02}, **options)
        for k in range(2)
    ]
    stacked = train(Population(specs, stacked=True))
    for k, one in enumerate(specs):
        alone = train(Population([one], stacked=False))
        for name, tensor in members(alone)[0].items():
            torch.testing.assert_close(members(stacked)[k][name], tensor, rtol=0, atol=1e-8, msg=f"{key}: {name}")
        found, expected = stacked.evaluate(1)[k], alone.evaluate(1)[0]
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-8)


def test_views_of_a_row_differ_between_epochs_views_and_draws() -> None:
    one = spec("scr", tasks=TASKS, training=SETTINGS | {"label_smoothing": 0.0})
    population = Population([one], stacked=False)
    steps = [step for chunk in population.plan(0).chunks() for step in chunk.steps]
    by_row: dict[int, set[tuple[int, ...]]] = {}
    for step in steps:
        assert step.views is not None
        assert step.views.shape == (len(step.rows), 2, 3)
        for row, views in zip(step.rows.tolist(), step.views.tolist(), strict=True):
            by_row.setdefault(row, set()).update(map(tuple, views))
    assert all(len(views) > 1 for views in by_row.values())


def test_an_8_bit_table_is_its_pixels_over_255_and_a_quarter_of_the_memory() -> None:
    data = Population(
        [spec("er", tasks=TASKS, training={"augment": Augment(normalise=(MEAN, STD))})], stacked=False
    ).data
    rows = np.array([3, 0])
    pixels = torch.from_numpy(TASKS.dataset.train_inputs[rows]).double() / 255
    expected = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(data.train.rows(rows), expected, rtol=0, atol=1e-6)
    assert data.train.stored.dtype == torch.uint8


def test_the_schedule_of_a_run_goes_over_all_tasks() -> None:
    schedule = Schedule(name="multistep", milestones=(0.5,), gamma=0.1, span="run")
    one = spec("er", tasks=TASKS, training={"schedule": schedule})
    population = Population([one], stacked=False)
    rates = []
    for task in range(2):
        steps = [step for chunk in population.plan(task).chunks() for step in chunk.steps]
        rates.append([step.rate for step in steps])
        population.state.steps += len(steps)
    assert rates == [[1.0] * 5, [0.1] * 5]


def test_samples_of_cfgm_stay_in_the_normalised_range() -> None:
    one = spec("finetune", tasks=TASKS, cfgm=Cfgm(step=50.0, clamp=True), training=SETTINGS)
    population = train(Population([one], stacked=False), range(1))
    makes = population._makes(population.masking(1), 1)
    assert makes is not None
    made, _ = makes.make(population.data.train.rows(np.arange(6)), torch.zeros(6, dtype=torch.int64))
    low, high = population.data.train.bounds((0.0, 1.0))
    assert (made >= low).all()
    assert (made <= high).all()
    assert (made == low).any()
