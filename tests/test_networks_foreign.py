"""Networks of other libraries, shown with stand-ins for the libraries: which arguments they get, what is refused."""

# ruff: noqa: E501  (one case a line reads better than thirty columns less)

from __future__ import annotations

import inspect
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskcl.cli import main
from maskcl.errors import ConfigError, DataError, MaskclWarning, MissingDataError
from maskcl.experiment import json_schema, plan, run
from maskcl.networks import NETWORKS, Network, build_network, find, from_description
from maskcl.weights import load_network, save_network

LIBRARIES = ("timm", "torchvision")


class Small(nn.Module):
    """Takes three channels of any size; the last linear layer is not what gives the logits."""

    def __init__(self, channels: int, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width)
        self.head, self.aside = nn.Linear(width, num_classes), nn.Linear(width, 2)

    def forward(self, images: Tensor) -> Tensor:
        self.seen = tuple(images.shape)
        return self.head(self.norm(self.stem(images)).mean((2, 3)) + 0 * self.aside.weight.sum())


class Patches(Small):
    """Is built for one size."""

    def __init__(self, channels: int, num_classes: int, size: Any, patch: int) -> None:
        super().__init__(channels, num_classes)
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.patch = nn.Conv2d(channels, 3, patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        if tuple(images.shape[2:]) != self.size:
            raise ValueError(f"wants {self.size}")
        return super().forward(images) + 0 * self.patch(images).mean()


class Twice(Small):
    def forward(self, images: Tensor) -> Any:
        out = super().forward(images)
        return (out, out) if self.training else out


class Distilled(Small):
    """Has two heads, whose mean the logits are in evaluation mode, as timm's deit_*_distilled_* have."""

    def __init__(self, channels: int, num_classes: int, width: int = 4) -> None:
        super().__init__(channels, num_classes, width)
        self.head_dist = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        seen = self.norm(self.stem(images)).mean((2, 3)) + 0 * self.aside.weight.sum()
        return (self.head(seen) + self.head_dist(seen)) / 2


class Several(Small):
    def forward(self, images: Tensor) -> Any:
        return {"logits": super().forward(images)}


class Wider(Small):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).repeat(1, 2)


PLAIN = {"small": Small, "distilled": Distilled, "twice": Twice, "several": Several, "wider": Wider}
CALLS: list[dict[str, Any]] = []


def create_model(name: str, *, pretrained: bool, num_classes: int, in_chans: int, **given: Any) -> nn.Module:
    assert pretrained is False
    CALLS.append(given)
    if name == "patches":
        return Patches(in_chans, num_classes, given.pop("img_size", 224), given.pop("patch_size", 16), **given)
    return PLAIN[name](in_chans, num_classes, **given)


def get_model(name: str, *, weights: Any, num_classes: int, **given: Any) -> nn.Module:
    assert weights is None
    CALLS.append(given)
    if name == "patches":
        return Patches(3, num_classes, given.pop("image_size", 224), 16, **given)
    return PLAIN[name](3, num_classes, **given)


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*PLAIN, "patches"]
    timm, torchvision = ModuleType("timm"), ModuleType("torchvision")
    timm.create_model, timm.list_models = create_model, lambda: names  # type: ignore[attr-defined]
    heads = {"distilled": ("head", "head_dist")}
    told = lambda name: SimpleNamespace(classifier=heads.get(name, "head"))  # noqa: E731
    timm.get_pretrained_cfg = told  # type: ignore[attr-defined]
    models = SimpleNamespace(get_model=get_model)
    models.list_models = lambda module=None: names if module is models else [*names, "small_detector"]
    torchvision.models = models  # type: ignore[attr-defined]
    for library in (timm, torchvision):
        monkeypatch.setitem(sys.modules, library.__name__, library)
    CALLS.clear()


def built(name: str, shape: tuple[int, ...] = (3, 8, 8), seed: int = 0, **settings: Any) -> Any:
    return build_network(find(name)(**settings), shape, 5, seed=seed)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_network_is_found_built_seeded_and_described_by_its_name(library: str) -> None:
    kind = find(f"{library}/small")
    assert kind is find(f"{library}/small")
    assert issubclass(kind, Network)
    assert kind.__doc__
    network = kind(options={"width": 6})
    first, again, other = (build_network(network, (3, 8, 8), 5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.stem.weight, again.stem.weight)
    assert not torch.equal(first.stem.weight, other.stem.weight)
    assert first.stem.weight.shape == (6, 3, 3, 3)
    told = network.describe((3, 8, 8), 5)
    assert told.items() >= {"name": f"{library}/small", "options": {"width": 6}, "class": "Small"}.items()
    assert from_description(told) == network != kind()
    assert pickle.loads(pickle.dumps(network)) == network
    assert isinstance(hash(network), int)
    assert f"{library}/small" not in NETWORKS  # there are too many to be listed


def test_the_classifier_is_the_one_that_timm_names() -> None:
    assert find("timm/small")().classifier_name == "head"
    assert find("torchvision/small")().classifier_name is None
    assert find("torchvision/small").classifier_name.fget(SimpleNamespace(name="squeezenet1_0")) == "classifier.1"


@pytest.mark.parametrize("library", LIBRARIES)
def test_transformers_are_built_for_the_images_and_others_take_them_as_they_come(library: str) -> None:
    assert built(f"{library}/patches", (3, 32, 32)).size == (32, 32)
    module = built(f"{library}/small", (3, 20, 12))
    module(torch.zeros(2, 3, 20, 12))
    assert module.seen == (2, 3, 20, 12)
    assert CALLS[-1] == {}  # after it was asked whether it takes a size


@pytest.mark.parametrize("library", LIBRARIES)
def test_images_are_brought_to_a_size_in_front_of_the_network(library: str) -> None:
    for name in ("small", "patches"):
        module = built(f"{library}/{name}", (3, 8, 8), image_size=32).eval()
        images = torch.rand(2, 3, 8, 8)
        large = nn.functional.interpolate(images, (32, 32), mode="bilinear", align_corners=False)
        out = module(images)
        assert module.seen == (2, 3, 32, 32)
        plain = built(f"{library}/{name}", (3, 32, 32)).eval()
        torch.testing.assert_close(out, plain(large), rtol=0, atol=1e-6)
        assert module.state_dict().keys() == plain.state_dict().keys()
    small = built(f"{library}/small", (3, 8, 8), image_size=2)
    flat = torch.eye(8).expand(1, 3, 8, 8)
    kept: list[Tensor] = []
    small.stem.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    small(flat.repeat(2, 1, 1, 1))
    assert kept[0].mean().item() == pytest.approx(1 / 8, abs=0.02)  # shrinking averages, it does not pick pixels


def test_grey_images_are_one_channel_for_timm_and_three_equal_ones_for_torchvision() -> None:
    assert built("timm/small", (1, 8, 8)).stem.weight.shape[1] == 1
    module = built("torchvision/small", (1, 8, 8)).eval()
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(module(images), built("torchvision/small").eval()(images.repeat(1, 3, 1, 1)))
    with pytest.raises(ConfigError, match=r"'torchvision/small' needs images of 3 channels, or grey ones, got 2\.$"):
        built("torchvision/small", (2, 8, 8))
    assert built("timm/small", (2, 8, 8)).stem.weight.shape[1] == 2


def test_the_patch_size_is_an_option_where_there_is_one() -> None:
    assert built("timm/patches", (3, 32, 32), patch_size=4).patch.kernel_size == (4, 4)
    for name, size, text in (
        ("small", 4, r"network.patch_size: must be left out for 'timm/small', .*, got 4\.$"),
        ("patches", 5, r"network.patch_size: must divide the images' size, 32 x 32, got 5\.$"),
        ("patches", 0, r"network.patch_size: must be a whole number from 1 to 4096, got 0\.$"),
        ("patches", True, r"network.patch_size: must be a whole number from 1 to 4096, got True\.$"),
    ):
        with pytest.raises(ConfigError, match=text):
            built(f"timm/{name}", (3, 32, 32), patch_size=size)


REFUSED: dict[str, tuple[str, str]] = {
    "another name": ("LIB/smal", "must be 'LIB/NAME' with one of LIB's 6 networks .*, got 'LIB/smal'. Did you mean 'LIB/small'"),
    "nothing like it": ("LIB/qqqqqqqqqqqq", r"got 'LIB/qqqqqqqqqqqq'\.$"),
    "no name": ("LIB/", "got 'LIB/'"),
    "no library": ("LIBX/small", "must be one of mlp, convnet, resnet18, timm/NAME, torchvision/NAME, got 'LIBX/small'. Did you mean 'LIB/small'"),
    "several outputs": ("LIB/several", r"network: must map inputs \[2, 1, 8, 8\] to logits \[2, 10\], got 'dict'\.$"),
    "several in training": ("LIB/twice", r"network: must give logits \[2, 10\] in training as in evaluation, got 'tuple'\.$"),
    "too wide": ("LIB/wider", r"network: must map inputs .* to logits \[2, 10\], got \[2, 20\]\.$"),
    "another size": ("LIB/patches", r"network: must map inputs \[2, 1, 8, 8\] .*, and raised RuntimeError: .*Kernel size can't be.*\.\nhint: network.image_size brings images to another size$"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_cannot_be_used_is_one_sentence_and_exit_status_2(
    library: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, text = (part.replace("LIB", library) for part in REFUSED[case])
    with pytest.raises(ConfigError, match=text):
        plan({"method": "er", "network": name})
    file = tmp_path / "a.toml"
    file.write_text(f'method = "er"\nnetwork = "{name}"\n')
    assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_argument_that_is_no_option_is_refused_with_its_reason(library: str) -> None:
    reasons = {"in_chans": "for the data say how many there are", "features_only": "for it makes .* no logits",
               "weights": "for it reads or downloads", "input_size": "for network.image_size says it"}  # fmt: skip
    kind = find(f"{library}/small")
    for name in kind.reserved:
        with pytest.raises(ConfigError, match=rf"^network.options.{name}: must not be .*, for .*, got 1\.$") as refused:
            kind(options={name: 1})
        assert re.search(reasons.get(name, ""), str(refused.value))


def test_a_network_for_another_task_is_near_to_none() -> None:
    with pytest.raises(ConfigError, match=r"6 networks for classification, got 'torchvision/small_detector'\.$"):
        find("torchvision/small_detector")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"image_size": 0}, "network.image_size: must be a whole number from 1 to 4096, got 0"),
        ({"image_size": 100_000}, "network.image_size: must be a whole number from 1 to 4096, got 100000"),
        ({"image_size": "large"}, "network.image_size: must be a whole number, got 'large'"),
        ({"imagesize": 3}, r"\[network\] 'imagesize' is not a key of 'torchvision/small', got 3. Did you mean 'image_size'"),
        ({"weights": ""}, "network.weights: must be a file, by its path, got ''"),
        ({"weights": "no.pth"}, "network.weights: must be a file of weights, and is not there, got 'no.pth'"),
        ({"options": 3}, "network.options: must be a table"),
        ({"options": {"weights": "x"}}, "network.options.weights: must not be among the options"),
        ({"options": {"depth": 3}}, r"network: must be built .* 'torchvision/small' raised TypeError: .*'depth'"),
        ({"patch_size": 4}, r"'patch_size' is not a key of 'torchvision/small'"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused_before_anything_runs(settings: dict[str, Any], text: str) -> None:
    with pytest.raises((ConfigError, MissingDataError), match=text):
        plan({"method": "er", "network": {"name": "torchvision/small", **settings}})


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_is_missing_is_said_with_what_installs_it(
    library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    text = rf"network.name: needs '{library}', which cannot be imported\.\nhint: pip install 'maskcl\[{library}\]'$"
    with pytest.raises(ConfigError, match=text):
        find(f"{library}/small")
    monkeypatch.delitem(sys.modules, library)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{library}.py").write_text("raise RuntimeError('of another version')")
    with pytest.raises(ConfigError, match=r"which cannot be imported here \(RuntimeError: of another version\)"):
        find(f"{library}/small")


def test_timm_without_torchvision_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "timm")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "timm.py").write_text("import torchvision.ops")
    with pytest.raises(ConfigError, match="needs 'timm', which cannot be imported without 'torchvision'"):
        find("timm/small")


def test_torchvision_is_imported_where_its_operators_do_not_load(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    fails = (
        "import torch\nfor name in ('nms', 'qnms'):\n    torch.library.register_fake(f'torchvision::{name}')(print)\n"
    )
    (package / "__init__.py").write_text("from torchvision import half\n" + fails + "models = 'whole'\n")
    (package / "half.py").touch()
    code = "from maskcl.networks.libraries import library; print(library('torchvision').models)"
    env = {"PYTHONPATH": f"{tmp_path}:{Path(inspect.getfile(Network)).parents[2]}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "whole\n", textwrap.shorten(done.stderr, 500)


TRAINED: dict[str, Any] = {
    "scenario": {"tasks": [[0, 1], [2, 3]]},
    "seeds": 2,
    "memory": {"size": 20},
    "training": {"batch_size": 32, "dtype": "float64"},
    "method": "derpp",
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_both_executors_train_it_and_agree(library: str) -> None:
    network = {"name": f"{library}/small", "image_size": 5}
    each = [run(TRAINED | {"network": network}, executor=executor) for executor in ("loop", "stack")]
    assert [result["executor"]["name"] for results in each for result in results.runs] == ["loop"] * 2 + ["stack"] * 2
    loop, stack = (np.nan_to_num([result["confidence"] for result in results.runs]) for results in each)
    np.testing.assert_allclose(loop, stack, rtol=0, atol=1e-8)


def test_a_grid_of_networks_and_options_tells_its_settings_apart(tmp_path: Path) -> None:
    other = {"name": "timm/small", "options": {"width": 3}}
    planned = plan(
        TRAINED | {"grid": {"network": ["timm/small", "resnet18", "torchvision/small", other]}}, out=tmp_path
    )
    assert len(planned.labels) == 4
    assert sum("timm/small" in label for label in planned.labels) == 2
    assert all(run.path is not None and run.path.parent.parent == tmp_path for run in planned.runs)


def test_weights_start_a_run_and_are_told_by_name_and_content(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    source = built("timm/small", (1, 8, 8), seed=7)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    torch.save(built("timm/small", (1, 8, 8), seed=8).state_dict(), inner / "a.pth")
    kind = find("timm/small")
    network, other = kind(weights=str(tmp_path / "a.pth")), kind(weights=str(inner / "a.pth"))
    for seed in (0, 1):
        module = build_network(network, (1, 8, 8), 5, seed=seed)
        assert all(torch.equal(value, source.state_dict()[key]) for key, value in module.state_dict().items())
    told, others = network.describe(), other.describe()
    assert told["weights"] == others["weights"] == "a.pth"
    assert told["weights_digest"] != others["weights_digest"]
    with pytest.warns(MaskclWarning, match="the head 'head' is left out and starts anew"):
        ten = [build_network(network, (1, 8, 8), 10, seed=seed) for seed in (0, 1)]
    assert torch.equal(ten[0].stem.weight, source.stem.weight)
    assert not torch.equal(ten[0].head.weight, ten[1].head.weight)
    with pytest.raises(DataError, match=r"must fit Small, whose 'stem.weight' is \[4, 3, 3, 3\], got \[4, 1, 3, 3\]"):
        plan(TRAINED, network=find("torchvision/small")(weights=str(tmp_path / "a.pth")))


def test_of_several_heads_all_are_left_out_where_the_classes_are_others(tmp_path: Path) -> None:
    source = built("timm/distilled", seed=7)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    network = find("timm/distilled")(weights=str(tmp_path / "a.pth"))
    assert network.classifier_name == "head_dist"
    same = build_network(network, (3, 8, 8), 5, seed=0)
    assert torch.equal(same.head.weight, source.head.weight)
    with pytest.warns(MaskclWarning, match="the heads 'head' and 'head_dist' start anew"):
        ten = build_network(network, (3, 8, 8), 10, seed=0)
    assert torch.equal(ten.stem.weight, source.stem.weight)
    assert ten.head.weight.shape == ten.head_dist.weight.shape == (10, 4)


def test_the_head_that_is_left_out_is_the_layer_whose_output_the_logits_are(tmp_path: Path) -> None:
    """Of torchvision nothing names it, and another linear layer is declared after it."""
    source = built("torchvision/small", seed=7)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    network = find("torchvision/small")(weights=str(tmp_path / "a.pth"))
    with pytest.warns(MaskclWarning, match="the head 'head' is left out and starts anew"):
        ten = build_network(network, (3, 8, 8), 10, seed=0)
    assert torch.equal(ten.aside.weight, source.aside.weight)
    with pytest.warns(MaskclWarning, match="the head 'head' is left out"):
        assert "weights_digest" in network.describe((3, 8, 8), 10)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_trained_network_is_saved_and_loaded_without_the_file_it_started_from(library: str, tmp_path: Path) -> None:
    start = tmp_path / "start.pth"
    torch.save(built(f"{library}/small", (3, 8, 8), seed=7).state_dict(), start)
    network = find(f"{library}/small")(weights=str(start), image_size=5)
    module = build_network(network, (3, 8, 8), 5, seed=0)
    path = save_network(tmp_path / "b.safetensors", module, network=network, input_shape=(3, 8, 8), num_classes=5)
    start.unlink()
    again = load_network(path)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(again(images), module.eval()(images))
    assert again.maskcl_info.network["name"] == f"{library}/small"


def test_editors_know_names_of_libraries_by_how_they_begin() -> None:
    forms = json_schema()["properties"]["network"]["anyOf"]
    assert [form["pattern"] for form in forms if "pattern" in form] == ["^timm/.+$", "^torchvision/.+$"]
