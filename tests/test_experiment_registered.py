"""What is registered in Python is known to experiment files from then on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from torch import nn

from maskcl.errors import ConfigError
from maskcl.experiment import plan
from maskcl.experiment.config import Config
from maskcl.experiment.editors import json_schema
from maskcl.experiment.grid import expand, override
from maskcl.experiment.parsing import parse
from maskcl.experiment.schema import SECTIONS
from maskcl.experiment.world import World
from maskcl.methods import REGISTRY
from maskcl.methods import register as register_method
from maskcl.methods.er import ExperienceReplay
from maskcl.networks import NETWORKS, ConvNet, Mlp, Network, ResNet18, as_network, from_factory, register
from maskcl.results import config_hash


@dataclass(frozen=True, kw_only=True)
class Wide(Network):
    """One wide layer.

    Args:
        width: Its width.
    """

    key: ClassVar[str] = "wide"

    width: str = "wide"
    depth: int
    activation: type[nn.Module] = field(default=nn.ReLU)

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))


def flat(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))


@pytest.fixture(autouse=True)
def _unregistered() -> Iterator[None]:
    before = [(registry, set(registry)) for registry in (NETWORKS, REGISTRY)]
    yield
    for registry, keys in before:
        for key in set(registry) - keys:
            registry.remove(key)


def test_a_factory_may_stand_in_a_module_that_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "__module__", "math")  # where names in annotations of its class would be looked up
    register(flat, key="flat")
    assert read("flat").network.key == "flat"


def read(network: Any, **sections: Any) -> Config:
    (setting,), _ = expand({"method": "er", "network": network, **sections}, "a.toml")
    return parse(setting, "a.toml")


def test_a_word_is_the_network_of_that_name() -> None:
    assert read("resnet18").network == ResNet18()
    assert read({"name": "resnet18", "width": 20}).network == ResNet18(width=20)
    assert read({"hidden": [7]}).network == Mlp(hidden=(7,))
    raw = override({"method": "er", "network": "resnet18"}, {"network.width": 4}, "a.toml")
    assert parse(raw, "a.toml").network == ResNet18(width=4)
    settings, keys = expand({"method": "er", "grid": {"network": ["mlp", "convnet"]}}, "a.toml")
    assert [parse(setting, "").network for setting in settings] == [Mlp(), ConvNet()]
    assert keys == ["network.name"]


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (
            {"name": "resnet18", "hidden": [3]},
            r"\[network\] 'hidden' is not a key of 'resnet18', got \[3\].\nhint: keys",
        ),
        ({"width": 3}, r"\[network\] 'width' is not a key of 'mlp', got 3.\nhint: keys are name, hidden"),
        (
            {"name": "resnet18", "widht": 3},
            r"\[network\] 'widht' is not a key of 'resnet18', got 3. Did you mean 'width'\?",
        ),
        ({"name": "resnet18", "width": 2.5}, "network.width: must be a whole number, got 2.5"),
        (
            {"name": "resnet"},
            "network.name: must be one of mlp, convnet, resnet18, timm/NAME, .*, got 'resnet'. Did you mean 'resnet18'",
        ),
        ({"name": 3}, "network.name: must be a string, got 3"),
        (3, "network: must be a name, or a table of settings with a name, got 3"),
        (nn.Linear(2, 3), "network: must be a factory, not a module, got 'Linear'"),
    ],
)
def test_bad_networks_are_refused_in_one_sentence(network: Any, text: str) -> None:
    with pytest.raises(ConfigError, match="a.toml: " + text):
        read(network)


def test_a_network_registered_later_has_its_keys() -> None:
    with pytest.raises(ConfigError, match=r"must be one of mlp, convnet, resnet18, .*, got 'wide'"):
        read("wide")
    assert "depth" not in SECTIONS["network"]
    register(Wide)
    assert read({"name": "wide", "depth": 2}).network == Wide(depth=2)
    assert {"width", "depth"} <= set(SECTIONS["network"])
    assert "activation" not in SECTIONS["network"]  # a class is nothing that TOML has
    with pytest.raises(ConfigError, match=r"a.toml: network.depth: must be given, and is missing\.$"):
        read("wide")
    schema = json_schema()
    assert "wide" in schema["properties"]["network"]["anyOf"][0]["enum"]
    assert schema["$defs"]["WideSection"]["required"] == ["name", "depth"]
    widths = schema["properties"]["grid"]["properties"]["network.width"]["items"]["anyOf"]
    assert [form["$ref"].split("/")[2] for form in widths] == ["ResNet18Section", "WideSection"]
    NETWORKS.remove("wide")
    assert "depth" not in SECTIONS["network"]


def test_a_method_registered_later_has_its_keys() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Mine(ExperienceReplay):
        key: ClassVar[str] = "mine"
        title: ClassVar[str] = "Mine"
        zeal: float = 0.5

    register_method(Mine, aliases=("my+",))
    assert parse({"method": {"name": "my+", "zeal": 0.25}}, "").method == Mine(zeal=0.25)
    assert "zeal" in SECTIONS["method"]
    schema = json_schema()
    assert {"mine", "my+"} <= set(schema["properties"]["method"]["anyOf"][0]["enum"])
    assert "MineSection" in schema["$defs"]


def test_a_registered_factory_is_a_name_and_its_result_tells_what_it_builds() -> None:
    register(flat, key="flat")
    config = read("flat")
    table = config.resolved(0, World())["network"]
    assert (table["name"], table["class"]) == ("flat", "Sequential")
    assert json_schema()["$defs"]["flatSection"]["properties"]["name"]["const"] == "flat"


def test_networks_of_ones_own_go_into_a_dict_as_they_are() -> None:
    world = World()
    own = from_factory(flat, classifier="1")
    assert read(own).network == own
    assert read(flat).network == from_factory(flat)
    assert read(Wide(depth=2)).network == Wide(depth=2)
    assert read(Mlp(hidden=(3,))) == read({"hidden": [3]})
    table = read(own).resolved(0, world)["network"]
    assert table["factory"].endswith("test_experiment_registered.flat")
    assert len(table["fingerprint"]) == 16
    hashes = {config_hash(read(network).resolved(0, world)) for network in (own, flat, "mlp")}
    assert len(hashes) == 3


def test_networks_that_are_no_longer_held_are_not_taken_for_others() -> None:
    """They were told by `id`, which Python gives again."""
    world = World()
    scenario = world.scenario(read("mlp").scenario, None)
    told = [world.describe_network(from_factory(flat, classifier=name), scenario) for name in ("1", None) * 20]
    assert [table["classifier"] for table in told] == ["1", None] * 20


def test_a_grid_may_hold_networks_of_ones_own_and_labels_tell_them() -> None:
    def other(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return flat(input_shape, num_classes)

    networks = ["mlp", ResNet18(width=4), flat, from_factory(other)]
    planned = plan({"method": "er", "seeds": 1, "grid": {"network": networks}})
    assert [run.spec.network for run in planned.runs] == [as_network(network) for network in networks]
    assert len(set(planned.labels)) == 4
    assert "network.name=resnet18" in planned.labels[1]
    assert planned.labels[2].endswith(".flat")


def test_networks_that_files_had_before_have_the_same_table() -> None:
    table = read({"name": "convnet", "hidden": [4]}).resolved(0, World())["network"]
    assert table == {"name": "convnet", "hidden": [4], "classifier": "linear", "initialisation": "default"}
    assert list(read("mlp").resolved(0, World())["network"]) == ["name", "hidden", "classifier", "initialisation"]
