"""The exported graph says what the learner says, from rows as they are; what it cannot say is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from maskcl import Learner
from maskcl.augment import _by_channel
from maskcl.cli import main
from maskcl.errors import ConfigError

EXPORTS = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="onnx, onnxscript or onnxruntime is not installed: pip install 'maskcl[onnx]'",
)
CONVNET = {"name": "convnet", "hidden": [8, 12]}


def rows(count: int = 30) -> tuple[Any, list[str]]:
    inputs = np.random.default_rng(0).integers(0, 256, (count, 3, 9, 9), dtype=np.uint8)
    labels = [("cat", "dog", "owl")[i % 3] for i in range(count)]
    inputs[np.arange(count), np.arange(count) % 3] //= 4
    return inputs, labels


def run(path: Path, inputs: Any) -> tuple[dict[str, Any], dict[str, str], Any]:
    """What onnxruntime makes of rows, the file's metadata, and its input."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    names = [out.name for out in session.get_outputs()]
    found = dict(zip(names, session.run(names, {taken.name: inputs}), strict=True))
    return found, session.get_modelmeta().custom_metadata_map, taken


@EXPORTS
def test_pictures_go_in_as_they_are_and_class_names_come_along(tmp_path: Path, capsys: Any) -> None:
    inputs, labels = rows()
    augment = {"normalise": [[0.4, 0.5, 0.6], [0.2, 0.3, 0.25]], "flip": True}
    learner = Learner(CONVNET, memory=20, image_size=9, training={"augment": augment}).fit(inputs, labels, epochs=2)
    learner.save(tmp_path / "a.model")
    _by_channel.cache_clear()
    assert main(["export", str(tmp_path / "a.model"), "--onnx", str(tmp_path / "a.onnx")]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == "input    rows: uint8 [rows, 3, 9, 9]"
    assert shown.err == ""
    assert Learner.load(tmp_path / "a.model").predict_proba(inputs).tolist() == learner.predict_proba(inputs).tolist()
    import onnx

    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)
    for count in (1, 30):  # any number of rows
        found, about, taken = run(tmp_path / "a.onnx", inputs[:count])
        assert (taken.type, taken.shape[1:]) == ("tensor(uint8)", [3, 9, 9])
        assert {name: value.dtype for name, value in found.items()} == dict.fromkeys(
            ("logits", "probabilities"), np.float32
        )
        np.testing.assert_allclose(found["logits"], learner._scores(inputs[:count], ""), rtol=0, atol=2e-5)
        np.testing.assert_allclose(found["probabilities"], learner.predict_proba(inputs[:count]), rtol=0, atol=2e-6)
    names = json.loads(about["class_names"])
    assert names == learner.classes_.tolist() == ["cat", "dog", "owl"]
    assert [names[i] for i in found["probabilities"].argmax(1)] == learner.predict(inputs).tolist()
    told = json.loads(about["input"])
    assert (told["name"], told["type"], told["shape"]) == ("rows", "uint8", ["rows", 3, 9, 9])
    assert "middle cut out" in told["fitted"]


@EXPORTS
def test_a_network_of_ones_own_and_classes_to_come(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3))
    inputs = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
    mask = {"leak": 0.1, "visible": "seen"}
    training = {"dtype": "float64"}  # the graph is in float32: runtimes have few operators for more
    learner = Learner(network, memory=10, mask=mask, classes=[(0, "a"), 2.5, "later"], training=training)
    learner.fit(inputs, [(0, "a"), 2.5] * 12, epochs=2).export_onnx(tmp_path / "a.onnx")
    found, about, taken = run(tmp_path / "a.onnx", inputs)
    assert taken.type == "tensor(float)"
    assert json.loads(about["class_names"]) == ["(0, 'a')", 2.5, "later"]
    np.testing.assert_allclose(found["probabilities"], learner.predict_proba(inputs), rtol=0, atol=2e-6)
    assert (found["probabilities"][:, 2] == 0).all()


@EXPORTS
def test_a_network_that_onnx_cannot_express_leaves_no_file(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x if x.sum().item() > 0 else x + 1)

    learner = Learner(Odd(), memory=4).fit(np.ones((4, 5), np.float32), [0, 1, 0, 1])
    must = r"^Learner.export_onnx: must have a network that ONNX can express \(.*\), got 'Odd'\.$"
    with pytest.raises(ConfigError, match=must):
        learner.export_onnx(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["icarl", "scr"])
def test_methods_that_predict_otherwise_are_refused(method: str, tmp_path: Path) -> None:
    learner = Learner(CONVNET, method=method, memory=12).fit(*rows())
    must = (
        rf"^Learner.export_onnx: method: must predict by its logits, and '{method}' does not, got '{method}'\.\nhint: "
    )
    with pytest.raises(ConfigError, match=must):
        learner.export_onnx(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    learner = Learner(CONVNET, memory=12).fit(*rows())
    must = (
        r"^Learner.export_onnx: must have the package onnx and onnxscript, which is not installed\.\nhint: pip install"
    )
    with pytest.raises(ConfigError, match=must):
        learner.export_onnx(tmp_path / "a.onnx")


def test_export_comes_after_the_first_fit(tmp_path: Path) -> None:
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match=r"^Learner\.export_onnx: must come after the first fit\.$"):
        Learner().export_onnx(tmp_path / "a.onnx")
