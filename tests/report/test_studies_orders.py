"""Class orders: which runs are put together, what the order is found to matter, what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from report.fabricate import fabricate
from report.studied import diverged, ordered

from maskcl.metrics import variance_parts
from maskcl.report.figures import style
from maskcl.report.studies.orders import class_orders, spreads
from maskcl.results import Results


def test_settings_that_differ_in_the_order_alone_are_one_row_of_orders_by_seeds():
    runs = ordered(num_orders=5, num_seeds=4)
    plain, masked = spreads(Results(runs))
    assert (plain.name, masked.name) == ("ER, no mask", "ER, leak .1")
    assert plain.crossed.shape == masked.crossed.shape == (5, 4)
    own = [run for run in runs if run["config"]["mask"] is None]
    table = {(run["config"]["randomness"]["class_order"], run["seed"]): run["metrics"]["final_accuracy"] for run in own}
    rows = sorted(tuple(table[o, s] for s in range(4)) for o in range(5))
    assert sorted(map(tuple, plain.crossed.tolist())) == rows
    assert plain.parts == variance_parts(plain.crossed)
    assert plain.parts.order.value > 10 * masked.parts.order.value  # the mask shrinks it


def test_orders_or_seeds_that_lack_a_run_are_left_out_of_the_parts_and_not_of_the_runs():
    runs = ordered(num_orders=6, num_seeds=4, masks=[None])
    kept = [run for run in runs if (run["config"]["randomness"]["class_order"], run["seed"]) != (2, 1)]
    next(run for run in kept if run["config"]["randomness"]["class_order"] == 4 and run["seed"] == 3)["metrics"][
        "final_accuracy"
    ] = float("nan")
    (found,) = spreads(Results(kept))
    assert len(found.values) == 22
    assert found.crossed.shape in ((5, 3), (4, 4))
    assert np.isfinite(found.crossed).all()


def test_runs_that_diverged_are_no_runs():
    runs = ordered(num_orders=4, num_seeds=3, masks=[None])
    runs[0] = diverged(runs[0])
    (found,) = spreads(Results(runs))
    assert len(found.values) == 11


def test_where_every_run_has_its_own_order_order_and_seed_are_not_told_apart():
    runs = fabricate(("er",), [None, {"leak": 0.1}], num_seeds=6, num_tasks=3)
    for run in runs:
        classes = np.random.default_rng(run["seed"]).permutation(6).tolist()
        run["config"]["randomness"] = {"class_order": "seed"}
        run["tasks"] = [classes[2 * t : 2 * t + 2] for t in range(3)]
    results = Results(runs)
    found = spreads(results)
    assert [(one.crossed, one.parts, one.orders) for one in found] == [(None, None, 6)] * 2
    assert class_orders(results, asked=False) == []
    (study,) = class_orders(results, asked=True)
    assert "cannot be told apart" in study.caption
    assert study.table.rows[0].cells[6:] == ("–",) * 4
    sd = 100 * found[0].values.std(ddof=1)
    assert f"ER, no mask: standard deviation {sd:.1f} over 6 orders" in study.says


@pytest.mark.parametrize(
    "runs",
    [fabricate(("er",), [None]), ordered(num_orders=2), ordered(num_orders=1)],
    ids=["older files", "two orders", "one order"],
)
def test_nothing_is_drawn_where_orders_do_not_vary(runs):
    assert class_orders(Results(runs), asked=True) == []


def test_two_seeds_are_enough_and_one_is_not():
    (two,) = spreads(Results(ordered(num_seeds=2, masks=[None])))
    (one,) = spreads(Results(ordered(num_seeds=1, masks=[None])))
    assert two.parts is not None
    assert one.parts is None
    assert one.crossed is None


def test_runs_orders_and_seeds_are_drawn_and_told():
    results = Results(ordered())
    (study,) = class_orders(results, asked=False)
    with style.look():
        (axes,) = study.draw().axes
    for i, found in enumerate(spreads(results)):
        by_marker = {
            line.get_marker(): line
            for line in axes.lines
            if line.get_color() == style.colour(i) and line.get_marker() in "o^." and len(line.get_xdata())
        }
        np.testing.assert_allclose(by_marker["o"].get_xdata(), found.crossed.mean(1))
        np.testing.assert_allclose(by_marker["^"].get_xdata(), found.crossed.mean(0))
        np.testing.assert_allclose(by_marker["."].get_xdata(), found.values)
        cells = study.table.rows[i].cells
        assert cells[:3] == (found.name, "5", "4")
        assert cells[4] == f"{100 * found.crossed.mean(1).min():.1f}"
        assert cells[5] == f"{100 * found.values.min():.1f}"
        assert cells[6].startswith(f"{100 * found.parts.order.value**0.5:.1f} (")
        assert f"{100 * found.parts.order.value**0.5:.1f} points from the order" in study.says
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ER, no mask", "ER, leak .1"]
