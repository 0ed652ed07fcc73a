"""Tables of masks in README.md and docs/results.md state what experiments/results/*.csv state."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest
from pages import tables

from maskcl.experiment import read_experiment
from maskcl.experiment.grid import expand

ROOT = Path(__file__).parents[2]
TITLES = {"er": "ER", "derpp": "DER++"}
METRICS = {
    "final accuracy": "final_accuracy_percent",
    "forgetting": "forgetting_percent",
    "learning accuracy": "learning_accuracy_percent",
    "vs no mask": "final_accuracy_percent_difference",
}


def results(name: str) -> dict[tuple[str, str], dict[str, str]]:
    """A results file: rows by method, as tables call it, and mask."""
    with (ROOT / "experiments" / "results" / f"{name}.csv").open(encoding="utf-8") as file:
        return {(TITLES[row["method"]], row["mask"].replace("-", "−")): row for row in csv.DictReader(file)}


def rows(text: str, first: str = "method") -> list[dict[str, str]]:
    """The table of a part of a page whose first column is called so: cells by the words above them."""
    (table,) = [table for table in tables(text) if table.header[0] == first]
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def numbers(cell: str) -> list[float]:
    """A mean and its interval, as a table states them."""
    return [float(part.replace("−", "-")) for part in cell.split(" ± ") if part]


TABLES = {
    "README, Split MNIST": ("README.md", "<!-- table:split_mnist_masks -->", "<!-- end -->", "split_mnist_masks"),
    "README, demo": ("README.md", "<!-- table:demo -->", "<!-- end -->", "demo"),
    "results, Split MNIST": ("docs/results.md", "## Split MNIST: masks\n", "\nmaskcl 0", "split_mnist_masks"),
    "results, demo": ("docs/results.md", "## 7,000 images of MNIST: masks (the demo)\n", "\nmaskcl 0", "demo"),
    "results, digits": ("docs/results.md", "## Digits: masks\n", "\nmaskcl 0", "digits_masks"),
}


@pytest.mark.parametrize("which", TABLES)
def test_a_table_states_what_its_results_file_states(which: str) -> None:
    page, start, end, name = TABLES[which]
    text = (ROOT / page).read_text(encoding="utf-8")
    found, known = rows(text.partition(start)[2].partition(end)[0]), results(name)
    assert len({(row["method"], row["mask"]) for row in found}) == len(found) >= 10
    for row in found:
        for words, metric in METRICS.items():
            if words in row:
                values = [known[row["method"], row["mask"]][name] for name in (metric, f"{metric}_interval")]
                # Half a digit, and what the file's own rounding makes of it.
                close = pytest.approx([float(value) for value in values if value], abs=0.0501)
                assert numbers(row[words]) == close, (row["method"], row["mask"], words)


def test_the_demo_table_has_every_setting_and_a_clear_gain_for_both_methods() -> None:
    known = results("demo")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = rows(text.partition("<!-- table:demo -->\n")[2].partition("<!-- end -->")[0])
    assert {(row["method"], row["mask"]) for row in table} == set(known)
    change = "final_accuracy_percent_difference"
    for title in ("ER", "DER++"):
        masked = [row for (method, _), row in known.items() if method == title and row[change]]
        assert len(masked) == 6
        assert max(float(row[change]) - float(row[f"{change}_interval"]) for row in masked) > 0


def test_the_settings_of_the_demo_are_those_that_its_tuning_chose() -> None:
    with (ROOT / "experiments" / "results" / "demo_tuning.csv").open(encoding="utf-8") as file:
        tuned = list(csv.DictReader(file))
    assert {row["mask"] for row in tuned} == {"no mask", "leak=0.03"}
    raw, where = read_experiment(ROOT / "experiments" / "demo.toml")
    settings, _ = expand(raw, where)
    for key in TITLES:
        means = defaultdict(float)
        for row in tuned:
            if row["method"] == key:
                words = row["label"].replace(f" {row['mask']}", "").split()[1:]
                means[frozenset(words)] += float(row["final_accuracy_percent"]) / 2
        best = dict(word.split("=") for word in max(means, key=means.__getitem__))
        of_method = [setting for setting in settings if setting["method"]["name"] == key]
        assert len(of_method) == 7
        for setting in of_method:
            for name, value in best.items():
                section, part = name.split(".")
                assert setting[section][part] == float(value)


STREAMS = ("blurry", "repeats", "imbalance")


def streams(name: str) -> list[dict[str, str]]:
    """A results file on streams: rows, each with its "stream"."""
    with (ROOT / "experiments" / "results" / f"{name}.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    for row in found:
        (row["stream"],) = [f"{key} {row[f'scenario.{key}']}" for key in STREAMS if row[f"scenario.{key}"]]
    return found


def test_the_table_of_streams_states_what_its_results_file_states() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    table = text.partition("## Split MNIST: streams without clean tasks\n")[2].partition("\nmaskcl 0")[0]
    found, known = rows(table, "stream"), streams("streams_mnist")
    assert len(found) == len(known) == 18
    metrics = {
        "final accuracy": "final_accuracy_percent",
        "vs no mask": "final_accuracy_percent_difference",
        "anytime accuracy": "average_anytime_accuracy_percent",
        "vs no mask, anytime": "average_anytime_accuracy_percent_difference",
    }
    for row in found:
        mask = row["mask"].replace(", last ", " policy=recent recent_rows=").replace("−", "-")
        (there,) = [
            each for each in known
            if (each["stream"], TITLES[each["method"]], each["mask"]) == (row["stream"], row["method"], mask)
        ]  # fmt: skip
        for words, metric in metrics.items():
            values = [float(there[each]) for each in (metric, f"{metric}_interval") if there[each]]
            assert numbers(row[words]) == pytest.approx(values, abs=0.0501), (row, words)


def test_leak_and_windows_of_streams_are_those_that_the_tuning_chose() -> None:
    """One leak for all streams and a window for each: the best mean anytime accuracy of it and of m = -inf."""
    tuned: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in streams("streams_mnist_tuning"):
        if row["mask"] != "no mask":
            dial, _, window = row["mask"].partition(" policy=recent recent_rows=")
            tuned[row["stream"].split()[0], window][dial] += float(row["average_anytime_accuracy_percent"])
    best: dict[str, tuple[float, dict[str, str]]] = {}
    for leak in ("leak=0.1", "leak=0.01"):
        of = {key: tuned[key][leak] + tuned[key]["m=-inf"] for key in tuned}
        windows = {stream: max(("10", "30", "100"), key=lambda w, s=stream: of[s, w]) for stream in STREAMS}  # type: ignore[misc]
        best[leak] = sum(of[item] for item in windows.items()), windows
    chosen = max(best, key=lambda leak: best[leak][0])
    used = {
        (row["stream"].split()[0], row["mask"]) for row in streams("streams_mnist") if row["mask"] != "no mask"
    }  # fmt: skip
    assert used == {
        (stream, f"{dial} policy=recent recent_rows={window}")
        for stream, window in best[chosen][1].items()
        for dial in (chosen, "m=-inf")
    }
