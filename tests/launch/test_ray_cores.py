"""How many cores a task asks of a Ray cluster: no more than a machine has, or it would wait for ever."""

from __future__ import annotations

from typing import Any

import pytest

from maskcl.launch.on_ray import OnRay
from maskcl.launch.worker import Recipe

RECIPE = Recipe("e.toml", "out", None, {}, None, "auto", threads=8, command="maskcl run e.toml")


def node(cpus: float | None, gpus: float = 0, *, alive: bool = True) -> dict[str, Any]:
    resources = {} if cpus is None else {"CPU": cpus, "memory": 1e9} | ({"GPU": gpus} if gpus else {})
    return {"Alive": alive, "Resources": resources}


@pytest.fixture
def fitting() -> Any:
    """(nodes, gpu) -> cores of a task, and what was told."""
    launcher, told = OnRay.__new__(OnRay), list[str]()
    launcher._recipe, launcher._tell = RECIPE, told.append
    return lambda nodes, gpu=False: (launcher._fitting(nodes, gpu=gpu).threads, told)


@pytest.mark.parametrize("nodes", [[node(8)], [node(2), node(64)], [node(8.5)]])
def test_it_is_what_was_asked_for_where_a_machine_has_it(nodes: list[Any], fitting: Any) -> None:
    assert fitting(nodes) == (8, [])


@pytest.mark.parametrize("nodes", [[node(4), node(3)], [node(4.9)], [node(4), node(16, alive=False)]])
def test_it_is_what_the_largest_living_machine_has(nodes: list[Any], fitting: Any) -> None:
    assert fitting(nodes) == (4, ["each task gets 4 cores, and not 8: no machine of the cluster has more"])


@pytest.mark.parametrize("nodes", [[], [node(None)], [node(0)], [node(0.5)]])
def test_it_is_a_core_at_least(nodes: list[Any], fitting: Any) -> None:
    assert fitting(nodes)[0] == 1


def test_machines_with_a_gpu_count_where_one_is_needed(fitting: Any) -> None:
    assert fitting([node(64), node(2, gpus=1)], gpu=True)[0] == 2


def test_that_no_machine_has_a_gpu_is_said(fitting: Any) -> None:
    threads, told = fitting([node(64)], gpu=True)
    assert (threads, told) == (8, ["no machine of the cluster has a GPU, which these runs need: they wait for one"])
