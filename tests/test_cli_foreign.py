"""Networks, methods and policies of other packages in the shell: what they raise is one sentence, and status 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from painted import paint
from torch import Tensor, nn

import maskcl
from maskcl.cli import main
from maskcl.learner.foreign import foreign_told
from maskcl.methods import REGISTRY
from maskcl.methods.er import ExperienceReplay
from maskcl.networks import NETWORKS


class Moody(nn.Module):
    """Raises at real rows, once it is told to."""

    annoyed = False

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        if Moody.annoyed and len(inputs) > 2:  # so many are for trial: what raises there is told where it is built
            raise KeyError("mood")
        return self.layer(inputs.flatten(1))  # type: ignore[no-any-return]


def moody(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return Moody(input_shape[0] * input_shape[1] * input_shape[2], num_classes)


@dataclass(frozen=True, kw_only=True)
class Wrong(ExperienceReplay):
    """Raises in its loss."""

    key: ClassVar[str] = "wrong"

    def loss(self, step: Any) -> Any:
        raise ZeroDivisionError("no loss")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Moody, "annoyed", False)
    maskcl.networks.register(moody, key="moody")
    maskcl.methods.register(Wrong)
    yield paint(tmp_path / "pets", "red", "green")
    NETWORKS.remove("moody")
    REGISTRY.remove("wrong")


FIT = ["fit", "pets", "--into", "a.model", "--network", "moody", "--image-size", "8", "--epochs", "1", "-q"]


def test_what_a_network_raises_is_told_in_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(FIT) == 0
    before = Path("a.model").read_bytes()
    capsys.readouterr()
    predict = ["predict", "a.model", "pets", "-q"]
    evaluate = ["evaluate", "a.model", "pets", "-q"]
    Moody.annoyed = True
    for argv in (predict, evaluate, FIT):
        assert main(argv) == 2
        out, err = capsys.readouterr()
        assert (out, err.splitlines()) == ("", [
            "error: network 'moody': must work on these pictures, and raised KeyError: 'mood'.",
            "hint: maskcl.Learner, in Python, shows where",
        ])  # fmt: skip
    assert Path("a.model").read_bytes() == before
    with pytest.raises(KeyError, match="mood"):
        maskcl.Learner.load("a.model").predict("pets")


def test_what_a_method_raises_is_told_in_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [word if word != "moody" else "mlp" for word in FIT]
    assert main([*argv, "--method", "wrong"]) == 2
    assert capsys.readouterr().err.startswith("error: method 'wrong': must work on these pictures, and raised ZeroDiv")
    assert not Path("a.model").exists()


def test_errors_of_our_own_code_are_not_called_foreign() -> None:
    with pytest.raises(ZeroDivisionError), foreign_told(maskcl.Learner("mlp")):
        raise ZeroDivisionError
    with pytest.raises(MemoryError), foreign_told(maskcl.Learner(moody)):
        raise MemoryError


def test_one_picture_by_itself_through_batch_norm_is_a_setting(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--network", "resnet18", "--set", "network.width=2", "--batch-size", "1", "--image-size", "8", "-q"]
    assert main(["fit", "pets", "--into", "a.model", *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: Learner: training.batch_size: must leave no row that passes this network by itself")
    assert len(err.splitlines()) == 2
    assert not Path("a.model").exists()


def test_a_policy_of_the_memory_leaves_its_places_as_they_are(folder: Path) -> None:
    argv = [word if word != "moody" else "mlp" for word in FIT]
    assert main([*argv, "--set", "memory.policy=class_balanced"]) == 0
    assert maskcl.Learner.load("a.model").memory == {"size": 2000, "policy": "class_balanced"}
