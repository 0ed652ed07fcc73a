"""Names of settings: short where that tells them apart, whole where it does not."""

from __future__ import annotations

from report.fabricate import fabricate
from report.studied import varied

from maskcl.report.names import family_name, short_names
from maskcl.results import Results


def test_of_what_varies_only_what_has_a_word_is_in_a_short_name():
    runs = [r for n in (50, 200) for r in fabricate(("er",), [None], num_seeds=1, memory_size=n)]
    for run in runs:
        run["config"]["optimizer"]["lr"] = run["config"]["memory"]["size"] / 1000
    settings = Results(runs).settings
    assert "optimizer.lr" in settings[0].varies
    assert short_names(settings) == ["ER, no mask, 50 slots", "ER, no mask, 200 slots"]


def test_names_that_would_be_the_same_have_what_tells_them_apart():
    settings = Results(varied(fabricate(("er",), [None], num_seeds=1), "optimizer.lr", [0.1, 0.2])).settings
    assert short_names(settings) == ["ER, no mask, optimizer.lr=0.1", "ER, no mask, optimizer.lr=0.2"]


def test_what_two_of_one_name_share_is_not_in_it():
    runs = fabricate(("er",), [None, {"leak": 0.1}], num_seeds=1)
    runs[1]["config"]["training"]["epochs"] = 5
    settings = Results(varied(runs, "optimizer.lr", [0.1, 0.2])).settings
    assert all("training.epochs" in s.varies for s in settings)
    assert short_names(settings) == [
        f"ER, {mask}, optimizer.lr={rate}" for rate in (0.1, 0.2) for mask in ("no mask", "leak .1")
    ]


def test_values_with_spaces_stay_whole():
    settings = Results(
        varied(fabricate(("er",), [None], num_seeds=1), "scenario.tasks", [[[0, 1], [2]], [[2], [0, 1]]])
    )
    assert short_names(settings.settings) == [
        "ER, no mask, scenario.tasks=[[0, 1], [2]]",
        "ER, no mask, scenario.tasks=[[2], [0, 1]]",
    ]
    assert short_names(settings.settings, without=["scenario.tasks"]) == ["ER, no mask (1)", "ER, no mask (2)"]


def test_families_are_named_in_words():
    runs = [r for n in (50, 200) for r in fabricate(("er",), [None, {"leak": 0.1}], num_seeds=1, memory_size=n)]
    results = Results(varied(runs, "optimizer.lr", [0.1, 0.2]))
    assert family_name(results.families[0]) == "ER (50 slots, optimizer.lr = 0.1)"
    assert family_name(Results(runs[:2]).families[0]) == "ER"


def test_what_nothing_tells_apart_has_numbers():
    runs = [r for n in (50, 200) for r in fabricate(("er",), [None], num_seeds=1, memory_size=n)]
    names = short_names(Results(runs).settings, without=["memory.size"])
    assert names == ["ER, no mask (1)", "ER, no mask (2)"]
