"""Pretrained weights: read without executing code, and refused where they do not fit the network."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from maskcl.errors import DataError, MaskclWarning, MissingDataError
from maskcl.networks.pretrained import digest, fitting, read_tensors


def module(classes: int = 3, width: int = 5) -> nn.Module:
    layers = {"body": nn.Linear(4, width), "norm": nn.BatchNorm1d(width), "head": nn.Linear(width, classes)}
    return nn.Sequential(OrderedDict(layers))


def fit(tensors: dict[str, Tensor], into: nn.Module) -> dict[str, Tensor]:
    return fitting(tensors, into, ["head"], "a.pt")


@pytest.mark.parametrize("wrapped", [None, "state_dict", "model"])
@pytest.mark.parametrize("name", ["a.safetensors", "b.bin", "a.pth", "torch.safetensors"])
def test_a_file_gives_back_its_tensors(tmp_path: Path, name: str, wrapped: str | None) -> None:
    state, path = module().state_dict(), tmp_path / name
    if name in ("a.safetensors", "b.bin"):  # the content counts, not what the file is called
        save_file(state, path)
    else:
        torch.save(state if wrapped is None else {wrapped: state, "epoch": 3}, path)
    found = read_tensors(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


class Evil:
    """What a pickle would execute."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("executed"),)


def test_no_code_of_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"body.weight": Evil()}, "a.pth")
    with pytest.raises(DataError) as refused:
        read_tensors("a.pth")
    said, hint = str(refused.value).splitlines()
    assert said.startswith("network.weights: a.pth: must hold tensors, numbers and text alone, and names ")
    assert hint == "hint: torch.save(network.state_dict(), PATH) writes one"
    assert not Path("executed").exists()


def test_what_torch_refuses_is_told_in_words_of_ours(tmp_path: Path) -> None:
    torch.save(module(), tmp_path / "whole.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates how such files are made
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "script.pth")
    (tmp_path / "text.pth").write_text("not at all")
    told = {
        "whole": "must hold tensors, numbers and text alone, and names torch.nn.modules.container.Sequential.",
        "script": "must hold tensors by name, and is a program of TorchScript.",
        "text": "must be a whole file of torch.save that holds tensors, or of safetensors.",
    }
    for name, text in told.items():
        with pytest.raises(DataError) as refused:
            read_tensors(tmp_path / f"{name}.pth")
        assert str(refused.value).splitlines()[0].endswith(f"{name}.pth: {text}")
        assert not {word for word in ("weights_only", "\x1b", "http") if word in str(refused.value)}


def test_numbers_that_no_training_comes_back_from_are_refused() -> None:
    for name, value, text in (
        ("body.weight", float("nan"), "'body.weight' holds nan"),
        ("body.bias", -float("inf"), "'body.bias' holds an infinite number"),
        ("norm.running_var", float("nan"), "'norm.running_var' holds nan"),
    ):
        state = module().state_dict()
        state[name].view(-1)[-1] = value
        with pytest.raises(DataError, match=rf"^network.weights: a.pt: must hold numbers .*, and {text}\.$"):
            fit(state, module())


def test_infinite_buffers_and_a_head_that_is_left_out_may_hold_anything() -> None:
    state, other = module().state_dict(), module(classes=7).state_dict()
    state["norm.running_mean"][0] = -float("inf")  # as masks of attention do
    assert fit(state, module()).keys() == state.keys()
    other["head.weight"][0] = float("nan")
    with pytest.warns(MaskclWarning, match="is left out"):
        assert "head.weight" not in fit(other, module())


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    state = module().state_dict()
    torch.save(state, tmp_path / "cut.pth")
    save_file(state, tmp_path / "cut.safetensors")
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({}, tmp_path / "nothing.pth")
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.safetensors").write_text("not at all")
    for path in sorted(tmp_path.iterdir()):
        kind = "be a whole safetensors file" if path.suffix == ".safetensors" else "be a whole file of torch.save"
        kind = "hold tensors by name" if path.stem in ("list", "nothing", "numbers") else kind
        with pytest.raises(DataError, match=rf"^network.weights: .*{path.name}: must {kind}") as error:
            read_tensors(path)
        assert "\n" not in str(error.value)
    for absent, told in ((tmp_path / "no.pth", "is not there"), (tmp_path, "is a folder")):
        for read in (read_tensors, digest):
            with pytest.raises(MissingDataError, match=f"must be a file of weights, and {told}, got"):
                read(absent)


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_what_fits_goes_in_whole_and_without_a_word() -> None:
    state, into = module().state_dict(), module()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        into.load_state_dict(fit(state, into))
    assert all(torch.equal(value, state[key]) for key, value in into.state_dict().items())


@pytest.mark.parametrize("given", ["other classes", "no head"])
def test_a_head_for_other_classes_is_left_out_as_a_whole_and_said_so(given: str) -> None:
    state, into = module(classes=7).state_dict(), module()
    if given == "no head":
        state = {key: value for key, value in state.items() if not key.startswith("head.")}
    with pytest.warns(MaskclWarning, match="a.pt: the head 'head' is left out and starts anew: it is ") as said:
        found = fit(state, into)
    assert len(said) == 1
    assert set(found) == {key for key in into.state_dict() if not key.startswith("head.")}


def test_files_of_before_batchnorm_counted_fit() -> None:
    state = module().state_dict()
    del state["norm.num_batches_tracked"]
    assert set(fit(state, module())) == set(state)


def test_anything_else_that_does_not_fit_is_refused() -> None:
    def without(*names: str) -> dict[str, Tensor]:
        return {key: value for key, value in module().state_dict().items() if key not in names}

    for tensors, text in (
        (module(width=6).state_dict(), r"must fit Sequential, whose 'body.weight' is \[5, 4\], got \[6, 4\]."),
        (
            without() | {"head.weight": torch.zeros(3, 6)},
            r"must fit .*, whose 'head.weight' is \[3, 5\], got \[3, 6\].",
        ),
        (without() | {"tail.weight": torch.zeros(3)}, "must fit Sequential, which has no 'tail.weight'."),
        (without("body.bias", "norm.weight"), r"must hold all of .* lacks 2 tensors, got \['body.bias', 'norm.weight'"),
        (without("body.bias"), r"must hold all of .* lacks 1 tensor, got \['body.bias'"),
    ):
        with pytest.raises(DataError, match=r"^network.weights: a.pt: " + text) as error:
            fit(tensors, module())
        assert "\n" not in str(error.value)
