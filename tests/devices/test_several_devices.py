"""Two processes make the run of one: the same memory, weights to rounding, the same accuracies."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices.nets import Normed, Unkept, dropping
from devices.together import together, trained
from engine.small import scenario, spec

from maskcl import Mask
from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import RunSpec
from maskcl.engine.team import Team
from maskcl.networks import as_network

FEW = ("er", "mir", "lwf with cfgm", "batchnorm")
"""Runs of three processes, which share out batches of 4 rows as 2, 2 and none."""


@cache
def cases() -> dict[str, RunSpec]:
    """Runs of a few steps each; made anew in each process."""
    rows, images = scenario(2, rows=9, classes=4), scenario(2, rows=9, classes=4, shape=(1, 4, 4))

    def mlp(method: str, **options: Any) -> RunSpec:
        return spec(method, tasks=rows, **options)

    def conv(method: str, network: Any = Normed, **options: Any) -> RunSpec:
        return spec(method, tasks=images, network=as_network(network), **options)

    return {
        "er": mlp("er"),
        "er, adam": mlp("er", optimizer={"name": "adam", "lr": 0.01, "clip_norm": 0.5}),
        "derpp": mlp("derpp"),
        "er_ace, classes of the batch": mlp("er_ace"),
        "er, leak of classes seen lately": mlp("er", mask=Mask(leak=0.1, policy="recent", recent_rows=6)),
        "mir": mlp("mir", candidates=7),
        "scr": mlp("scr"),
        "lwf with cfgm": mlp("lwf", cfgm=Cfgm(step=2.0, num_steps=2)),
        "agem": mlp("agem"),
        "ewc": mlp("ewc"),
        "icarl": mlp("icarl"),
        "bic": mlp("bic"),
        "float16": mlp("er", training={"dtype": "float32", "precision": "float16"}),
        "batchnorm": conv("er"),
        "batchnorm, momentum": conv("er", optimizer={"momentum": 0.9}),
        "batchnorm, derpp, logits of after the update": conv("derpp", store="after", optimizer={"lr": 0.02}),
        "batchnorm, mir": conv("mir", candidates=7),
        "batchnorm, lwf with joint cfgm": conv("lwf", cfgm=Cfgm(step=1.0, update="joint")),
        "batchnorm, scr, views": conv("scr", training={"augment": Augment(flip=True)}),
        "batchnorm without statistics": conv("er", Unkept),
        "dropout": conv("er", dropping),
    }  # fmt: skip


RUNS = [(name, size) for name in cases() for size in (1, 2, *((3,) if name in FEW else ()))]


def work(team: Team | None) -> dict[str, Any]:
    some = FEW if team is not None and team.size == 3 else cases()
    return {name: trained(cases()[name], team) for name in some}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """What came of all runs, by the number of processes (0: without any of this), in each process."""
    folder = tmp_path_factory.mktemp("together")
    return {0: [work(None)], **{size: together(size, work, folder / str(size)) for size in (1, 2, 3)}}


@pytest.mark.parametrize(("name", "size"), RUNS)
def test_memory_weights_and_accuracies_are_those_of_one_process(
    name: str, size: int, found: dict[int, list[dict[str, Any]]]
) -> None:
    alone, close = found[0][0][name], 1e-3 if name == "float16" else 1e-10
    for each in (process[name] for process in found[size]):
        assert each["memories"] == alone["memories"]
        np.testing.assert_allclose(each["accuracies"], alone["accuracies"], rtol=0, atol=close)
        assert each["tensors"].keys() == alone["tensors"].keys()
        for key, tensor in alone["tensors"].items():
            np.testing.assert_allclose(each["tensors"][key], tensor, rtol=close, atol=close, err_msg=key)


@pytest.mark.parametrize(("name", "size"), RUNS)
def test_processes_have_the_same_weights_to_the_last_bit(
    name: str, size: int, found: dict[int, list[dict[str, Any]]]
) -> None:
    first, *others = (process[name]["tensors"] for process in found[size])
    for other in others:
        for key, tensor in first.items():
            np.testing.assert_array_equal(other[key], tensor, err_msg=key)


def test_memories_are_not_empty_and_weights_have_moved(found: dict[int, list[dict[str, Any]]]) -> None:
    alone = found[0][0]
    assert any(row >= 0 for row in alone["er"]["memories"][-1][0])
    first, second = (alone[name]["tensors"]["weights.params.1.weight"] for name in ("er", "ewc"))
    assert np.abs(first - second).max() > 1e-3


def test_shares_cover_all_rows_once() -> None:
    for total in range(1, 12):
        for size in range(1, 6):
            spans = [Team(rank, size).span(total) for rank in range(size)]
            assert [row for span in spans for row in range(span.first, span.first + span.valid)] == list(range(total))
            assert len({span.size for span in spans}) == 1


def test_a_network_that_keeps_other_statistics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ConfigError: network: must not keep running statistics in InstanceNorm"):
        together(1, _of_instances, tmp_path)


def _of_instances(team: Team) -> Any:
    from devices.nets import keeping

    images = scenario(2, rows=9, classes=4, shape=(1, 4, 4))
    return trained(spec("er", tasks=images, network=as_network(keeping)), team)


def test_processes_that_come_to_other_numbers_are_told_so(tmp_path: Path) -> None:
    other = "the processes of the run have come to different weights or memories;"
    assert together(2, _differing, tmp_path) == [["none: agreed", f"weights: {other}", f"memories: {other}"]] * 2


def _differing(team: Team) -> list[str]:
    import torch

    from maskcl.engine.team import TeamError

    said = []
    for name, what, tensor in (
        ("none", [1, 2], torch.ones(3)),
        ("weights", [1, 2], torch.ones(3) + (1e-7 if team.is_first else 0)),
        ("memories", [1, 2 + team.rank], torch.ones(3)),
    ):
        try:
            team.agree(what, [tensor])
            said.append(f"{name}: agreed")
        except TeamError as error:
            said.append(f"{name}: {str(error)[:68]}")
    return said


def test_who_waits_for_another_one_gives_up(tmp_path: Path) -> None:
    first, _ = together(2, partial(_silent, str(tmp_path / "given up")), tmp_path, patience=10.0)
    assert first == "another process of the run is gone, or does not answer"


def _silent(file: str, team: Team) -> str:
    import time

    import torch

    from maskcl.engine.team import TeamError

    said = Path(file)
    if not team.is_first:
        while not said.exists():  # alive, and no answer
            time.sleep(0.1)
        return ""
    try:
        team.summed(torch.ones(3))
    except TeamError as error:
        return str(error)
    finally:
        said.touch()
    return "answered"
