"""Result files and what is made of them."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from report.fabricate import MASKS, fabricate

from maskcl import metrics, report
from maskcl.errors import ConfigError, DataError, MaskclError, MissingDataError
from maskcl.mask import Mask
from maskcl.results import (
    Results,
    config_hash,
    difference,
    load_results,
    percent,
    read_result,
    result_path,
    slug,
    write_atomically,
    write_result,
)
from maskcl.results.masks import dial_of, mask_name


@pytest.fixture(scope="module")
def many():
    return Results(fabricate())


def save(folder, runs):
    for run in runs:
        write_result(result_path(folder, run["label"], run["config"], run["seed"]), run)


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_result_comes_back_as_it_was_written(tmp_path):
    (run,) = fabricate(methods=("er",), masks=[{"leak": 0.1}], num_seeds=1, anytime=True)
    run["class_incremental"][0, 4] = math.nan
    run["metrics"]["forgetting"] = math.nan
    write_result(tmp_path / "seed-0.json", run)
    back = read_result(tmp_path / "seed-0.json")
    assert back.keys() == run.keys()
    for name in ("class_incremental", "task_incremental", "confidence", "newest_share"):
        np.testing.assert_array_equal(back[name], run[name])
    np.testing.assert_array_equal(back["anytime"]["confidence"], run["anytime"]["confidence"])
    assert back["anytime"]["task"].dtype == np.int64
    assert math.isnan(back["metrics"]["forgetting"])
    assert back["metrics"]["final_accuracy"] == run["metrics"]["final_accuracy"]
    assert back["config"] == run["config"]


def test_files_are_strict_json_with_null_for_nan_and_words_for_infinities(tmp_path):
    (run,) = fabricate(methods=("er",), masks=[{"value": -math.inf}], num_seeds=1, diverge={("er", 0, 0)})
    write_result(tmp_path / "a.json", run)

    def refuse(constant):
        raise AssertionError(constant)

    raw = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert raw["class_incremental"][4][0] is None
    assert raw["metrics"]["final_accuracy"] is None
    assert raw["config"]["mask"]["value"] == "-inf"


def test_a_path_names_setting_and_seed_and_is_shared_by_seeds(tmp_path):
    first, second = fabricate(methods=("derpp",), masks=[{"value": "-inf"}], num_seeds=2)
    a, b = (result_path(tmp_path, run["label"], run["config"], run["seed"]) for run in (first, second))
    assert a.parent == b.parent
    assert a.relative_to(tmp_path).as_posix() == f"derpp_m=-inf-{first['config_hash']}/seed-0.json"
    assert slug("../a b/ö") == "a_b"


def test_config_hash_ignores_seeds_and_order_and_nothing_else():
    config = {"method": {"name": "er", "a": 1}, "mask": {"value": -math.inf}, "seeds": {"stream": 0}}
    reordered = {"seeds": {"stream": 5}, "mask": {"value": "-inf"}, "method": {"a": 1, "name": "er"}}
    assert config_hash(config) == config_hash(reordered)
    assert config_hash(config) != config_hash({**config, "mask": None})
    assert len(config_hash(config)) == 8


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a.json", b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ConfigError, match="No space left"):
        write_atomically(tmp_path / "a.json", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"old"


def test_loading_is_recursive_and_sorted_by_seed_number_and_skips_hidden_files(tmp_path):
    save(tmp_path / "deep" / "er", fabricate(methods=("er",), masks=[None], num_seeds=12))
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.json").write_text("{}")
    assert [run["seed"] for run in load_results(tmp_path)] == list(range(12))


def _valid():
    (run,) = fabricate(methods=("er",), masks=[None], num_seeds=1)
    return run


def test_missing_and_empty_folders_say_how_to_get_results(tmp_path):
    with pytest.raises(MissingDataError, match="hint: maskcl run"):
        load_results(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds none"):
        load_results(tmp_path)


def test_one_run_twice_is_refused(tmp_path):
    save(tmp_path / "a", [_valid()])
    save(tmp_path / "b", [_valid()])
    with pytest.raises(DataError, match=r"each run once.*seed 0"):
        load_results(tmp_path)


# -- settings ---------------------------------------------------------------------------------------------------------


def test_settings_go_from_no_mask_to_minus_infinity_whatever_the_order_of_files(many):
    shuffled = Results(np.random.default_rng(0).permutation(np.array(many.runs, dtype=object)))
    expected = ["no mask", "leak=0.3", "leak=0.1", "leak=0.03", "m=5", "m=2", "m=0", "m=-2", "m=-5", "m=-inf"]
    for results in (many, shuffled):
        assert [s.mask for s in results.settings] == expected * 2
        assert [s.title for s in results.settings] == ["ER"] * 10 + ["DER++"] * 10
        assert all(s.seeds == [0, 1, 2, 3, 4] for s in results.settings)


def test_the_dial_has_one_name_for_the_full_mask():
    masks = [{"leak": 0}, {"value": "-inf"}, {"mass": 3.0}, {"value": "-inf", "policy": "batch", "from_task": 1}]
    found = Results(fabricate(methods=("er",), masks=masks, num_seeds=1)).settings
    assert {s.mask for s in found} == {"mass=3", "m=-inf", "m=-inf policy=batch from_task=1"}


def test_a_whole_mask_with_default_fields_is_named_as_a_short_one():
    whole = {field.name: field.default for field in dataclasses.fields(Mask)} | {"leak": 0.1}
    (setting,) = Results(fabricate(methods=("er",), masks=[whole], num_seeds=1)).settings
    assert setting.mask == "leak=0.1"


def test_a_mask_from_counts_has_its_name_and_stands_between_none_and_a_leak():
    auto = {"value": None, "mass": None, "leak": "auto", "policy": "task", "memory_rows": "prior"}
    assert mask_name(dial_of(auto)) == "leak=auto"
    assert mask_name(dial_of(auto | {"memory_rows": "plain"})) == "leak=auto memory_rows=plain"
    assert mask_name(dial_of(auto | {"power": 0.5, "count": "visits"})) == "leak=auto power=0.5 count=visits"
    masks = [None, {"leak": "auto"}, {"leak": 0.1}, {"value": "-inf"}]
    assert [s.mask for s in Results(fabricate(methods=("er",), masks=masks[::-1], num_seeds=1)).settings] == [
        "no mask", "leak=auto", "leak=0.1", "m=-inf",
    ]  # fmt: skip
    orders = [dial_of(mask).order for mask in masks]
    assert orders == sorted(orders)


def test_no_mask_in_a_configuration_is_no_mask_for_every_method():
    (setting,) = Results(fabricate(methods=("er_ace",), masks=[None], num_seeds=1)).settings
    assert (setting.title, setting.mask) == ("ER-ACE", "no mask")
    (family,) = Results([*setting.runs]).families
    assert family.plain is not None


def test_differences_pair_the_seeds_that_both_have():
    runs = fabricate(methods=("er",), masks=[None, {"leak": 0.1}])
    kept = [r for r in runs if (r["config"]["mask"] is None) <= (r["seed"] > 0)]
    plain, masked = Results(kept).settings
    found = difference(masked, plain, "final_accuracy")
    assert found.n == 4
    by_hand = metrics.paired_difference(masked.values("final_accuracy")[1:], plain.values("final_accuracy"))
    assert found == by_hand


def test_each_memory_size_is_held_against_its_own_plain_setting():
    runs = [r for size in (50, 200) for r in fabricate(methods=("er",), masks=[None, {"leak": 0.1}], memory_size=size)]
    small, large = Results(runs).families
    assert (small.name, large.name) == ("ER (memory.size=50)", "ER (memory.size=200)")
    assert all(f.plain is not None and f.plain.varies == f.masked[0].varies for f in (small, large))


def test_a_part_that_only_some_settings_have_is_named_as_a_whole():
    runs = [r for size in (50, 200) for r in fabricate(methods=("er",), masks=[None], num_seeds=1, memory_size=size)]
    runs[0]["config"]["cfgm"] = {"step": 2.0, "clamp": True}
    runs[1]["config"]["cfgm"] = None
    assert [s.varies for s in Results(runs).settings] == ["cfgm memory.size=50", "no cfgm memory.size=200"]


def test_a_mask_with_other_settings_falls_back_on_the_only_plain_setting_of_its_method():
    runs = fabricate(methods=("er", "derpp"), masks=[None, {"leak": 0.1}], num_seeds=2)
    for run in runs:
        if run["config"]["mask"] and run["config"]["method"]["name"] == "er":
            run["config"]["optimizer"]["lr"] = 0.05
    first, second = Results(runs).families
    assert [len(f.masked) for f in (first, second)] == [1, 1]
    assert first.plain.method == first.masked[0].method == "er"


def test_diverged_runs_leave_the_means_and_are_counted():
    results = Results(fabricate(methods=("er",), masks=[None], diverge={("er", 0, 1), ("er", 0, 3)}))
    (setting,) = results.settings
    assert (setting.num_finished, len(setting.diverged)) == (3, 2)
    assert setting.interval("final_accuracy").n == 3
    (row,) = results.summary()
    assert (row["seeds"], row["diverged"]) == (3, 2)


# -- results ----------------------------------------------------------------------------------------------------------


def test_rows_are_one_flat_dict_a_run(many):
    rows = many.rows()
    assert len(rows) == 100
    assert {"label", "method", "mask", "seed", "status", "final_accuracy", "forgetting"} < set(rows[0])


def test_summary_is_mean_interval_and_paired_difference(many):
    row = next(r for r in many.summary() if r["label"] == "derpp leak=0.1")
    plain, masked = (next(s for s in many.settings if s.label == f"derpp {m}") for m in ("no mask", "leak=0.1"))
    assert row["forgetting"] == pytest.approx(masked.values("forgetting").mean())
    assert row["forgetting_interval"] == pytest.approx(float(metrics.interval(masked.values("forgetting")).half))
    expected = metrics.paired_difference(masked.values("forgetting"), plain.values("forgetting"))
    assert row["forgetting_difference"] == pytest.approx(float(expected.mean))
    assert row["forgetting_difference_interval"] == pytest.approx(float(expected.half))
    reference = next(r for r in many.summary() if r["label"] == "derpp no mask")
    assert math.isnan(reference["forgetting_difference"])


def test_frame_without_pandas_says_what_to_do(many, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MaskclError, match=r"the extra 'pandas'.*\nhint: pip install 'maskcl\[pandas\]'"):
        many.frame()


def test_frame_holds_the_rows(many):
    pandas = pytest.importorskip("pandas")
    frame, rows = many.frame(), many.rows()
    assert list(frame.columns) == list(rows[0])
    for found, row in zip(frame.to_dict("records"), rows, strict=True):
        assert all(
            found[name] == value or (pandas.isna(value) and pandas.isna(found[name])) for name, value in row.items()
        )


def test_frame_has_a_column_for_what_varies(monkeypatch):
    """Pandas is an extra: what is handed to it is what counts."""
    handed = []
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=handed.append))
    Results(grid()).frame()
    assert {row["memory.size"] for row in handed[0]} == {50, 200}
    assert [len(handed), len(handed[0])] == [1, 16]


# -- what varies ------------------------------------------------------------------------------------------------------


def grid():
    """Memory sizes 50 and 200 with learning rates of their own, ER and DER++, with and without a mask, two seeds."""
    runs = [run for size in (50, 200) for run in fabricate(masks=[None, {"leak": 0.1}], memory_size=size, num_seeds=2)]
    for run in runs:
        run["config"]["optimizer"]["lr"] *= run["config"]["memory"]["size"]
        run["config_hash"] = config_hash(run["config"])
    return runs


def test_every_setting_that_varies_is_a_column_of_rows_and_no_other_is():
    rows = Results(grid()).rows()
    assert len({tuple(row) for row in rows}) == 1
    varied = [name for name in rows[0] if "." in name]
    assert varied == ["mask.leak", "memory.size", "optimizer.lr"]
    for row in rows:
        rate = {"er": 0.1, "derpp": 0.03}[row["method"]] * row["memory.size"]
        assert row["optimizer.lr"] == pytest.approx(rate)
        assert row["mask.leak"] == (0.1 if row["mask"] == "leak=0.1" else None)


def test_a_part_that_a_method_lacks_is_none_in_its_column():
    runs = fabricate(methods=("er", "finetune"), masks=[None], num_seeds=1)
    runs[1]["config"]["memory"] = None
    runs[1]["config"]["network"]["hidden"] = [50]
    rows = {row["method"]: row for row in Results(runs).rows()}
    assert (rows["er"]["memory.size"], rows["finetune"]["memory.size"]) == (50, None)
    assert (rows["er"]["network.hidden"], rows["finetune"]["network.hidden"]) == ((100, 100), (50,))
    assert "method.replay_batch" not in rows["er"]  # what one method has alone does not vary


def test_cfgm_is_a_column_by_its_name_where_some_have_none():
    runs = fabricate(methods=("er",), masks=[None, {"leak": 0.1}], num_seeds=1)
    runs[0]["config"]["cfgm"], runs[1]["config"]["cfgm"] = {"step": 6.0, "clamp": True}, None
    found = {row["mask"]: row["cfgm"] for row in Results(runs).rows()}
    assert found == {"no mask": "cfgm step=6 clamp=True", "leak=0.1": "no cfgm"}


def test_of_two_cfgms_the_words_that_both_have_are_left_out():
    runs = fabricate(methods=("er",), masks=[None, {"leak": 0.1}, {"leak": 0.3}], num_seeds=1)
    both = {"step": 6.0, "clamp": True}
    for run, cfgm in zip(runs, (both, both | {"draw": "balanced"}, None), strict=True):
        run["config"]["cfgm"] = cfgm
    assert [s.varies for s in Results(runs).settings] == ["cfgm", "cfgm draw=balanced", "no cfgm"]


def test_rows_have_the_same_keys_where_a_metric_is_missing():
    runs = fabricate(methods=("er",), masks=[None], num_seeds=2)
    del runs[1]["metrics"]["stability"]
    first, second = Results(runs).rows()
    assert first.keys() == second.keys()
    assert math.isnan(second["stability"])


# -- keys that came later ---------------------------------------------------------------------------------------------


def test_counts_come_back_as_whole_numbers_and_files_without_them_are_read(tmp_path):
    old, new = fabricate(methods=("er",), masks=[None], num_seeds=2)
    new["confusion"] = {"by": "class", "counts": np.arange(25).reshape(5, 5)}
    new["tasks"], new["origin"] = (
        [[1], [0], [2], [3], [4]],
        {"file": "a.toml", "command": None, "date": "2026-01-01T00:00:00+00:00"},
    )
    save(tmp_path, [old, new])
    back = load_results(tmp_path)
    assert "confusion" not in back[0]
    assert back[1]["confusion"]["counts"].dtype == np.int64
    np.testing.assert_array_equal(back[1]["confusion"]["counts"], np.arange(25).reshape(5, 5))
    assert (back[1]["tasks"], back[1]["origin"]) == (new["tasks"], new["origin"])


def test_results_need_runs():
    with pytest.raises(ConfigError, match="at least one run"):
        Results([])


def test_loaded_results_equal_those_in_memory(tmp_path):
    runs = fabricate(methods=("er",), masks=MASKS[:3], num_seeds=2)
    save(tmp_path, runs)
    assert str(Results.load(tmp_path).table()) == str(Results(runs).table())


# -- table ------------------------------------------------------------------------------------------------------------


def test_table_shows_percent_with_interval_and_marks_the_best(many):
    table = many.table()
    assert table.header == (
        "Method",
        "Mask",
        "Final accuracy",
        "Forgetting",
        "Learning accuracy",
        "vs no mask",
        "Seeds",
    )
    for setting, row in zip(many.settings, table.rows, strict=True):
        found = setting.interval("final_accuracy")
        assert row.cells[2] == f"{100 * found.mean:.1f} ± {100 * found.half:.1f}"
    best = {row.cells[0]: row.cells[1] for row in table.rows if row.best}
    assert best == {f.name: f.best.mask for f in many.families}
    assert [row.cells[5] for row in table.rows if row.first] == ["reference"] * 2


def test_nothing_is_bold_whose_gain_may_be_chance():
    runs = fabricate(methods=("er",), masks=[None, {"leak": 0.1}], num_seeds=3)
    for run in runs:
        masked = run["config"]["mask"] is not None
        run["metrics"]["final_accuracy"] = 0.5 + masked * (0.1 + 0.2 * (run["seed"] - 1))
    table = Results(runs).table()
    assert not any(row.best for row in table.rows)
    assert table.key == ()
    for run in runs:
        if run["config"]["mask"] is None:
            run["metrics"]["final_accuracy"] = 0.9 + 0.01 * run["seed"]  # clearly better without: nor is that a gain
    assert [(row.best, row.clear) for row in Results(runs).table().rows] == [(False, False), (False, False)]


def test_table_of_one_seed_has_no_interval_and_says_so():
    table = Results(fabricate(masks=[None, {"leak": 0.1}], num_seeds=1)).table()
    assert "±" not in "".join(cell for row in table.rows for cell in row.cells)
    assert not any(row.clear for row in table.rows)
    assert any(note.startswith("One seed: there is no interval") for note in table.notes)


def test_table_shows_a_dash_where_a_number_is_undefined():
    table = Results(fabricate(methods=("er",), masks=[None], num_tasks=1)).table()
    assert table.rows[0].cells[3] == "–"


def test_table_names_diverged_members():
    table = Results(fabricate(methods=("er",), masks=MASKS[:2], diverge={("er", 1, 0), ("er", 1, 3)})).table()
    assert table.rows[1].cells[-1] == "3 of 5"
    assert "ER, m=-inf, seeds 0, 3 in task 3 of 5: its loss or its weights are not finite" in table.notes[-1]


def test_table_adds_a_column_only_for_what_else_varies():
    runs = [r for size in (50, 200) for r in fabricate(methods=("er",), masks=[None], memory_size=size)]
    table = Results(runs).table()
    assert table.header[2] == "Varied"
    assert [row.cells[2] for row in table.rows] == ["memory.size=50", "memory.size=200"]


def of_networks(*networks):
    runs = fabricate(methods=("er",), masks=[None] * len(networks), num_seeds=1)
    for run, network in zip(runs, networks, strict=True):
        run["config"]["network"] = network
        run["config_hash"] = config_hash(run["config"])
    return {
        s.config["network"].get("fingerprint", s.config["network"]["name"]): s.varies for s in Results(runs).settings
    }


def test_networks_are_named_by_their_key_and_what_was_set_differently():
    plain = {"classifier": "linear", "initialisation": "default"}
    vit = {"name": "timm/vit", "weights": None, "options": {}, "class": "ViT"}
    assert of_networks(
        {"name": "convnet", "hidden": [100, 100], **plain},
        {"name": "resnet18", "width": 64, **plain},
        vit | {"image_size": 32, "fingerprint": "one"},
        vit | {"image_size": 64, "fingerprint": "two"},
    ) == {
        "convnet": "network=convnet",
        "resnet18": "network=resnet18",
        "one": "network=timm/vit network.image_size=32",
        "two": "network=timm/vit network.image_size=64",
    }


def test_networks_of_one_key_are_told_apart_by_what_was_built_where_nothing_else_does():
    own = {"name": "custom", "classifier": None, "class": "Sequential", "factory": "mine.net"}
    assert of_networks(own | {"fingerprint": "one"}, own | {"fingerprint": "two"}) == {
        "one": "network.fingerprint=one",
        "two": "network.fingerprint=two",
    }
    named = own | {"fingerprint": "three", "factory": "mine.other"}
    assert of_networks(own | {"fingerprint": "one"}, named) == {
        "one": "network.factory=mine.net",
        "three": "network.factory=mine.other",
    }


def test_infinities_of_a_configuration_come_back_as_numbers(tmp_path):
    (run,) = fabricate(methods=("er",), masks=[{"value": -math.inf}], num_seeds=1)
    write_result(tmp_path / "seed-0.json", run)
    (found,) = load_results(tmp_path)
    assert found["config"]["mask"]["value"] == -math.inf
    assert found["config_hash"] == run["config_hash"] == config_hash(found["config"])


def test_er_ace_without_a_mask_is_said_to_be_er() -> None:
    text = 'ER-ACE without a mask is ER with reduction "sum": the mask is all that it adds.'
    masks = [None, {"value": "-inf", "policy": "batch"}]
    assert text in Results(fabricate(methods=("er", "er_ace"), masks=masks)).table().notes
    assert text in report.render(fabricate(methods=("er_ace",), masks=masks[:1]), "markdown")
    for others in (fabricate(methods=("er",), masks=masks), fabricate(methods=("er_ace",), masks=masks[1:])):
        assert text not in Results(others).table().notes


def test_anytime_accuracy_has_a_column_where_runs_were_evaluated_within_tasks() -> None:
    masks = [None, {"leak": 0.1}]
    with_it = Results(fabricate(methods=("er",), masks=masks, anytime=True))
    table = with_it.table()
    place = table.header.index("Anytime accuracy")
    for row, setting in zip(table.rows, with_it.settings, strict=True):
        assert row.cells[place] == percent(setting.interval("average_anytime_accuracy"))
        assert row.cells[place] not in (row.cells[place - 1], "–")
    assert any(note.startswith("Anytime accuracy: ") for note in table.notes)
    without = Results(fabricate(methods=("er",), masks=masks)).table()
    assert "Anytime accuracy" not in without.header
    assert [cell for i, cell in enumerate(table.header) if i != place] == list(without.header)
