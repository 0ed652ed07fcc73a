"""Tables of masks in README.md and docs/results.md state what experiments/results/*.csv state."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

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


def rows(table: str) -> list[dict[str, str]]:
    """A Markdown table: cells by the words above them."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


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
    table = text.partition(start)[2].partition(end)[0]
    table = table[table.index("| method") :]
    found, known = rows(table), results(name)
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
        assert len(masked) == 5
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
        assert len(of_method) == 6
        for setting in of_method:
            for name, value in best.items():
                section, part = name.split(".")
                assert setting[section][part] == float(value)
