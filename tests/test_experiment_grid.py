from __future__ import annotations

from typing import Any

import pytest

from maskcl.errors import ConfigError
from maskcl.experiment import grid, plan
from maskcl.experiment.grid import expand, short_labels


def settings(raw: dict[str, Any]) -> list[dict[str, Any]]:
    return expand(raw, "a.toml")[0]


def override(raw: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return grid.override(raw, changes, "a.toml")


def test_no_grid_is_one_setting() -> None:
    assert settings({"method": {"name": "er"}}) == [{"method": {"name": "er"}}]


def test_every_list_multiplies_the_last_fastest() -> None:
    raw = {"grid": {"memory.size": [1, 2], "optimizer.lr": [0.1, 0.2, 0.3]}}
    found = [(s["memory"]["size"], s["optimizer"]["lr"]) for s in settings(raw)]
    assert found == [(1, 0.1), (1, 0.2), (1, 0.3), (2, 0.1), (2, 0.2), (2, 0.3)]


def test_zipped_tables_are_rows_of_one_axis() -> None:
    rows = [{"method": "er", "optimizer.lr": 0.1}, {"method": {"name": "derpp", "alpha": 1.0}, "optimizer.lr": 0.03}]
    found = settings({"grid": {"zip": rows, "memory.size": [1, 2]}})
    assert [(s["method"]["name"], s["optimizer"]["lr"], s["memory"]["size"]) for s in found] == [
        ("er", 0.1, 1),
        ("er", 0.1, 2),
        ("derpp", 0.03, 1),
        ("derpp", 0.03, 2),
    ]


def test_a_nested_table_is_the_same_as_dotted_keys() -> None:
    nested = {"grid": {"memory": {"size": [1, 2]}, "zip": [{"optimizer": {"lr": 0.1}}, {"optimizer": {"lr": 0.2}}]}}
    dotted = {"grid": {"memory.size": [1, 2], "zip": [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}]}}
    assert settings(nested) == settings(dotted)


def test_a_table_in_the_grid_is_laid_over_the_section_and_a_word_replaces_it() -> None:
    raw = {"mask": {"policy": "batch"}, "grid": {"mask": ["none", {"leak": 0.1}]}}
    assert [s["mask"] for s in settings(raw)] == ["none", {"policy": "batch", "leak": 0.1}]


def test_a_dotted_axis_goes_into_the_section_of_another_axis() -> None:
    raw = {"grid": {"mask.policy": ["task", "batch"], "mask": [{"leak": 0.1}]}}
    assert [s["mask"] for s in settings(raw)] == [{"leak": 0.1, "policy": p} for p in ("task", "batch")]


def test_settings_share_nothing() -> None:
    first, second = settings({"network": {"hidden": [10]}, "grid": {"memory.size": [1, 2]}})
    first["network"]["hidden"].append(5)
    assert second["network"]["hidden"] == [10]


def test_an_override_takes_the_place_of_its_axis() -> None:
    raw = override({"grid": {"memory.size": [1, 2], "optimizer.lr": [0.1, 0.2]}}, {"memory.size": 7})
    assert [(s["memory"]["size"], s["optimizer"]["lr"]) for s in settings(raw)] == [(7, 0.1), (7, 0.2)]


def test_an_override_reaches_into_tables_of_the_grid_and_spares_words() -> None:
    raw = override({"grid": {"mask": ["none", {"leak": 0.1, "policy": "task"}]}}, {"mask.policy": "batch"})
    assert [s["mask"] for s in settings(raw)] == ["none", {"policy": "batch", "leak": 0.1}]


def test_an_override_of_a_section_clears_all_axes_below_it() -> None:
    assert override({"grid": {"mask.leak": [0.1, 0.2]}}, {"mask": "none"}) == {"mask": "none"}


def test_an_override_leaves_the_rest_of_zipped_rows_and_drops_doubles() -> None:
    rows = [{"method": "er", "memory.size": 1}, {"method": "der", "memory.size": 1}]
    raw = override({"grid": {"zip": rows}}, {"method": "derpp"})
    assert settings(raw) == [{"method": {"name": "derpp"}, "memory": {"size": 1}}]
    assert override({"grid": {"zip": rows}}, {"method": "er", "memory.size": 5}) == {
        "method": {"name": "er"},
        "memory": {"size": 5},
    }


def test_an_override_can_set_an_axis() -> None:
    rows = [{"method": "er", "optimizer.lr": 0.1}]
    raw = override({"memory": {"size": 3}, "grid": {"zip": rows}}, {"grid.optimizer.lr": [0.2, 0.3]})
    assert [s["optimizer"]["lr"] for s in settings(raw)] == [0.2, 0.3]


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"mask": []}, r"a.toml: \[grid\] mask: must be a list of one or more values, got \[\]"),
        ({"memory.size": []}, r"a.toml: \[grid\] memory.size: must be a list of one or more"),
        ({"memory": {"size": []}}, r"a.toml: \[grid\] memory.size: must be a list of one or more"),
        ({"memory.size": 0}, r"a.toml: \[grid\] memory.size: must be a list of one or more values, got 0"),
        ({"zip": []}, r"a.toml: \[\[grid.zip\]\]: must be tables, each setting one or more keys, got \[\]"),
        ({"zip": [{}]}, r"a.toml: \[\[grid.zip\]\]: must be tables"),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"network": "convnet"}, {"memory.size": 3}])
def test_an_axis_of_nothing_is_refused_whatever_is_overridden(
    axes: dict[str, Any], told: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=told):
        settings(override({"method": "er", "grid": axes}, changes))


def test_a_run_in_python_refuses_an_axis_of_nothing() -> None:
    with pytest.raises(ConfigError, match="mask: must be a list of one or more values"):
        plan({"method": "er", "grid": {"mask": []}}, seeds=1, overrides={"network": "convnet"})


def test_overrides_leave_the_original_alone() -> None:
    raw = {"mask": {"leak": 0.1}, "grid": {"memory.size": [1]}}
    override(raw, {"mask.leak": 0.2, "memory.size": 5})
    assert raw == {"mask": {"leak": 0.1}, "grid": {"memory.size": [1]}}


def test_tables_and_words_of_a_schedule_are_an_axis() -> None:
    raw = {
        "training": {"epochs": 2},
        "grid": {"training.schedule": ["none", "cosine", {"name": "cosine", "final": 0.1}]},
    }
    assert [s["training"] for s in settings(raw)] == [
        {"epochs": 2, "schedule": "none"},
        {"epochs": 2, "schedule": {"name": "cosine"}},
        {"epochs": 2, "schedule": {"name": "cosine", "final": 0.1}},
    ]


def test_a_schedule_in_the_grid_is_laid_over_the_files_and_a_word_replaces_it() -> None:
    for grid_ in ({"training.schedule": [{"final": 0.1}, "constant"]}, {"training": [{"schedule": {"final": 0.1}}]}):
        raw = {"training": {"schedule": {"name": "cosine", "final": 0.5}}, "grid": grid_}
        found = [s["training"]["schedule"] for s in settings(raw)]
        assert found == [{"name": "cosine", "final": 0.1}, {"name": "constant"}][: len(found)]


@pytest.mark.parametrize("nested", [True, False])
def test_keys_within_a_schedule_vary_too(nested: bool) -> None:
    axes = {"training": {"schedule": {"final": [0.1, 0.2]}}} if nested else {"training.schedule.final": [0.1, 0.2]}
    found = settings({"training": {"schedule": "cosine"}, "grid": axes})
    assert [s["training"]["schedule"] for s in found] == [{"name": "cosine", "final": f} for f in (0.1, 0.2)]
    zipped = {"zip": [{"training": {"schedule": {"final": 0.1}}}, {"training": {"schedule": {"final": 0.2}}}]}
    assert settings({"training": {"schedule": "cosine"}, "grid": zipped}) == found


def test_an_override_of_a_schedules_key_makes_its_word_a_table() -> None:
    raw = override({"training": {"schedule": "cosine"}}, {"training.schedule.final": 0.1})
    assert raw == {"training": {"schedule": {"name": "cosine", "final": 0.1}}}
    axis = {"grid": {"training.schedule": ["none", "cosine", {"name": "cosine", "final": 0.5}]}}
    found = settings(override(axis, {"training.schedule.final": 0.1}))
    assert [s["training"]["schedule"] for s in found] == ["none", {"name": "cosine", "final": 0.1}]
    whole = {"grid": {"training": [{"schedule": {"name": "cosine", "final": 0.5}}, {"epochs": 2}]}}
    found = settings(override(whole, {"training.schedule.final": 0.1}))
    assert [s["training"]["schedule"] for s in found] == [{"final": 0.1, "name": "cosine"}, {"final": 0.1}]


def test_settings_with_and_without_a_schedule_get_different_labels() -> None:
    axes = {"training.schedule": ["none", "cosine"], "training.augment": ["none", {}, {"crop": 1}]}
    labels = plan({"method": "er", "seeds": 1, "grid": axes}).labels
    assert len(set(labels)) == 6
    assert labels[-1] == "er no mask training.schedule.name=cosine training.augment.crop=1"


def test_an_override_must_be_a_key() -> None:
    with pytest.raises(ConfigError, match=r"'optimiser.lr' is not a key .*Did you mean 'optimizer.lr'"):
        override({}, {"optimiser.lr": 1})


def test_labels_tell_no_more_than_needed() -> None:
    values = [{"memory.size": 50, "optimizer.lr": lr} for lr in (0.1, 0.2, 0.3)]
    assert short_labels(["a", "b", "b"], values, ["memory.size", "optimizer.lr"]) == [
        "a",
        "b optimizer.lr=0.2",
        "b optimizer.lr=0.3",
    ]
