"""Files of weights and of learners with damaged headers: one sentence, nothing run, nothing waited for."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import maskcl
from maskcl.errors import MaskclError
from maskcl.networks import Mlp, build_network
from maskcl.weights import load_network, network_info, save_network

INPUTS = np.linspace(0, 1, 60, dtype=np.float32).reshape(20, 3)
HUGE = 10**400
DEEP = "[" * 100_000
NETWORK: dict[str, Any] = {
    "input_shape": [[HUGE], [float("inf")], "x", [], None],
    "num_classes": [HUGE, 0, "2", None],
    "tasks": [[[float("inf")]], 3, [3], [["a"]]],
    "input_range": [[HUGE, 1], [1], "x"],
    "about": [[], None],
    "network": [{}, [], {"name": 3}, {"name": "nothing"}, {"name": "mlp", "hidden": "x"}, {"name": "mlp", "own": 1}],
    "fingerprint": [3, "x", None],
    "format": [2, "1", None],
}
LEARNER: dict[str, Any] = {
    "num_classes": [HUGE, 0, -1, 1.5e300, float("inf"), "x", None, 3],
    "names": [3, True, [[]], [{"tuple": 3}], []],
    "params": [3, [], {}, {"network": "mlp"}],
    "fingerprint": [3, "x", None],
    "tasks": [3, [3], None],
    "input_range": [3, ["a", "b"], [HUGE, HUGE], None],
    "position": [HUGE, "x", float("inf"), None],
    "num_seen": [HUGE, "x", float("nan")],
    "format": [3, "1", None],
}


def network_file(folder: Path) -> Path:
    network = Mlp(hidden=(4,))
    return save_network(
        folder / "a.safetensors",
        build_network(network, (3,), 2, seed=0),
        network=network,
        input_shape=(3,),
        num_classes=2,
    )


def learner_file(folder: Path) -> Path:
    learner = maskcl.Learner("mlp", memory=8).fit(INPUTS, np.arange(20) % 2)
    learner.save(folder / "a.learner")
    return folder / "a.learner"


def use_network(path: Path) -> Any:
    network_info(path)
    return load_network(path)


def use_learner(path: Path) -> Any:
    return maskcl.Learner.load(path).predict(INPUTS)


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any], str, dict[str, Any]]] = {
    "network": (network_file, use_network, "maskcl", NETWORK),
    "learner": (learner_file, use_learner, "maskcl.learner", LEARNER),
}


def rewritten(path: Path, key: str, change: Callable[[dict[str, Any]], str]) -> None:
    """Put another header into a file, the tensors as they are."""
    with safe_open(str(path), framework="pt") as file:
        header = json.loads(file.metadata()[key])
    save_file(load_file(path), path, {key: change(header)})


def refused(path: Path, use: Callable[[Path], Any]) -> None:
    with pytest.raises(MaskclError) as caught:
        use(path)
    assert len(str(caught.value).splitlines()) <= 2


CASES = [(kind, key, value) for kind, (*_, wrong) in KINDS.items() for key, values in wrong.items() for value in values]


@pytest.mark.parametrize(("kind", "key", "value"), CASES, ids=[f"{k}-{key}-{i}" for i, (k, key, _) in enumerate(CASES)])
def test_a_damaged_header_is_refused(tmp_path: Path, kind: str, key: str, value: Any) -> None:
    make, use, place, _ = KINDS[kind]
    path = make(tmp_path)
    rewritten(path, place, lambda header: json.dumps(header | {key: value}))
    refused(path, use)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [DEEP, '{"a":' * 100_000, "3", "[]", "{}", "", "{", "null", '{"format": 1}'])
def test_a_header_that_is_none_is_refused(tmp_path: Path, kind: str, text: str) -> None:
    make, use, place, _ = KINDS[kind]
    path = make(tmp_path)
    rewritten(path, place, lambda _: text)
    refused(path, use)


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_without_one_of_its_keys_is_refused_or_read(tmp_path: Path, kind: str) -> None:
    make, use, place, _ = KINDS[kind]
    whole = make(tmp_path).read_bytes()
    path, keys = tmp_path / "b", []
    path.write_bytes(whole)
    rewritten(path, place, lambda header: keys.extend(header) or json.dumps(header))
    for key in keys:
        path.write_bytes(whole)
        rewritten(path, place, lambda header, key=key: json.dumps({k: v for k, v in header.items() if k != key}))
        if kind == "network" and key in ("input_scaling", "torch"):  # told, not used; a learner's digest tells
            continue
        else:
            refused(path, use)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("kind", KINDS)
def test_a_fifo_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "a")
    signal.alarm(60)
    try:
        refused(tmp_path / "a", KINDS[kind][1])
    finally:
        signal.alarm(0)
