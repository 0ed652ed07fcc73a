"""The words of the report follow from the numbers."""

from __future__ import annotations

import pytest
from report.fabricate import MASKS, fabricate
from report.studied import ordered

from maskcl.report import findings as verdict
from maskcl.report import story
from maskcl.report.figures import draw
from maskcl.report.findings import findings
from maskcl.results import Results, difference, percent


def shifted(runs, by, *, only=lambda run: run["config"]["mask"] is not None, spread=0.0):
    """The same runs with final accuracies moved by so much, seeds apart by `spread`."""
    for run in runs:
        if only(run):
            run["metrics"]["final_accuracy"] += by + spread * (run["seed"] - 2)
    return runs


def flat(masks=(None, {"leak": 0.1}, {"leak": 0.3}, {"value": "-inf"}), num_seeds=5, **more):
    """Runs of one method whose final accuracy is .7 for every mask, a little apart by seed."""
    runs = fabricate(methods=("er",), masks=list(masks), num_seeds=num_seeds, **more)
    for i, run in enumerate(runs):
        run["metrics"]["final_accuracy"] = 0.7 + 0.001 * run["seed"] + 1e-4 * (i % 3)
    return runs


def test_compared_names_methods_masks_data_tasks_slots_epochs_and_seeds():
    text = story.compared(Results(fabricate()))
    assert text.startswith(
        "ER and DER++, each without a mask and with 9 masks, learnt digits in 5 tasks one after another, "
        "with 50 memory slots, 3 epochs a task and 5 seeds for each setting: 100 runs."
    )


def test_a_clear_gain_is_said_with_its_interval():
    results = Results(shifted(flat(), 0.05))
    (finding,) = findings(results)
    family = finding.family
    assert finding.verdict == verdict.HELPED
    gain = percent(difference(family.best, family.plain, "final_accuracy"))
    assert f"raised final accuracy: for ER by {gain} points with" in story.answer(results)
    assert "interval excludes zero" in story.answer(results)
    assert "All 3 masks lie clearly above" in " ".join(finding.sentences)


def test_a_gain_within_the_noise_is_not_called_a_gain():
    results = Results(shifted(flat(), 0.01, spread=0.02))
    (finding,) = findings(results)
    assert finding.verdict == verdict.UNCLEAR
    assert "none of the 3 masks clearly raised final accuracy" in story.answer(results)
    assert "an interval that includes zero" in story.answer(results)


def test_one_mask_within_the_noise_makes_no_clear_difference():
    results = Results(shifted(flat(masks=[None, {"leak": 0.1}]), 0.01, spread=0.02))
    assert "the mask, leak\u00a0=\u00a00.1, made no clear difference to final accuracy" in story.answer(results)


def test_masks_that_lower_accuracy_are_counted_beside_an_unclear_best_one():
    runs = flat()
    harmed = shifted(runs, -0.1, only=lambda run: (run["config"]["mask"] or {}).get("value") == "-inf")
    answer = story.answer(Results(shifted(harmed, 0.01, spread=0.02)))
    assert "1 of 3 masks clearly lowered it; forgetting clearly fell with 3 of 3." in answer


def test_a_loss_is_called_a_loss_and_names_the_masks_below():
    results = Results(shifted(flat(), -0.05))
    (finding,) = findings(results)
    assert finding.verdict == verdict.COST
    assert "masking did not help final accuracy" in story.answer(results)
    assert "points below no mask" in story.answer(results)
    assert "3 clearly below (leak" in " ".join(finding.sentences)


def test_of_many_masks_below_no_mask_the_number_alone_is_told():
    many = [None, *({"leak": 0.1 * (i + 1)} for i in range(verdict.MOST_NAMED + 1))]
    (finding,) = findings(Results(shifted(flat(masks=many), -0.05)))
    assert "none lies clearly above no mask in final accuracy, 7 clearly below." in " ".join(finding.sentences)


def test_one_seed_is_never_called_clear():
    results = Results(shifted(flat(num_seeds=1), 0.2))
    assert findings(results)[0].verdict == verdict.ONE_SEED
    assert "with one seed there is no interval" in story.answer(results)
    assert any("one seed" in caution for caution in story.cautions(results))


def test_without_a_plain_setting_nothing_is_said_about_masking():
    results = Results(flat(masks=[{"leak": 0.1}, {"leak": 0.3}]))
    assert findings(results)[0].verdict == verdict.ALONE
    assert "do not say what masking changes" in story.answer(results)


def test_a_plain_setting_alone_is_reported_alone():
    results = Results(fabricate(methods=("er",), masks=[None], num_seeds=1))
    assert findings(results)[0].sentences[0].startswith("No mask: ")
    assert "The highest final accuracy is" in story.answer(results)


def test_an_easy_class_order_is_no_choice():
    runs = ordered(num_orders=4, masks=[{"leak": 0.1}])
    orders = [s.interval("final_accuracy").mean for s in Results(runs).settings]
    start, _, rest = story.answer(Results(runs)).partition(" %")
    assert "points from the order" in rest
    assert start.startswith(f"The highest mean over 4 class orders is {100 * sum(orders) / 4:.1f} ± ")
    assert [drawn.name for drawn in draw(Results(runs))] == ["class_orders"]  # others have a panel for each order
    assert "The highest final accuracy is" in story.answer(Results(runs + flat(masks=[{"leak": 0.3}])))


def test_masks_of_several_families_of_a_method_are_counted_together():
    runs = ordered(num_orders=3, masks=[{"leak": 0.1}, {"leak": 0.3}])
    assert "ER, with 2 masks" in story.compared(Results(runs))


def test_when_every_run_diverged_that_is_the_answer():
    results = Results(fabricate(methods=("er",), masks=[None], num_seeds=2, diverge={("er", 0, 0), ("er", 0, 1)}))
    assert story.answer(results).startswith("All runs diverged")
    assert findings(results)[0].verdict == verdict.LOST
    assert story.cautions(results) == [
        "2 runs of 2 diverged: ER, no mask, seeds 0, 1 in task 3 of 5: its loss or its weights are not finite."
    ]


@pytest.mark.parametrize("lost", ["plain", "masked"])
def test_when_one_side_diverged_nothing_is_compared(lost):
    position = 0 if lost == "plain" else 1
    results = Results(
        fabricate(methods=("er",), masks=MASKS[:2], num_seeds=2, diverge={("er", position, s) for s in range(2)})
    )
    assert findings(results)[0].verdict == verdict.ALONE
    assert "diverged" in " ".join(findings(results)[0].sentences)
    assert "do not say what masking changes" in story.answer(results)


def test_picking_the_best_of_many_on_test_rows_is_called_optimistic():
    (caution,) = story.cautions(Results(shifted(flat(), 0.05)))
    assert caution.startswith("The best of 3 masks was picked on the same test rows")
    assert "still excludes zero for ER" in caution
    assert story.cautions(Results(flat(masks=[None, {"leak": 0.1}]))) == []


def test_a_gain_that_the_picking_explains_is_said_to_vanish():
    runs = shifted(flat(), 0.02, spread=0.0095)
    results = Results(runs)
    assert findings(results)[0].verdict == verdict.HELPED
    assert "no longer excludes zero for ER" in story.cautions(results)[0]


def test_validation_rows_are_called_by_their_name():
    runs = flat()
    for run in runs:
        run["config"]["scenario"]["validation_fraction"] = 0.1
    cautions = story.cautions(Results(runs))
    assert "held-out training rows" in cautions[0]
    assert any("not on test data" in caution for caution in cautions)


def test_one_task_is_told_without_forgetting():
    results = Results(fabricate(methods=("er",), masks=[None, {"leak": 0.1}], num_tasks=1))
    assert "in 1 task," in story.compared(results)
    assert "forgetting" not in " ".join(findings(results)[0].sentences)


def test_many_families_are_cut_short_in_the_first_paragraph():
    runs = []
    for size in (50, 100, 200, 400, 800, 1600):
        runs += shifted(flat(masks=[None, {"leak": 0.1}], memory_size=size), 0.05)
    text = story.answer(Results(runs))
    assert text.count("points with") == story.MOST_NAMED
    assert "2 more, listed below" in text
    assert "several values of memory.size" in story.compared(Results(runs))


def test_what_else_was_changed_is_named_beside_the_mask():
    """Where CFGM came with the mask, a gain is not said to be the mask's."""
    runs = shifted(flat(masks=[None, {"leak": 0.1}]), 0.05)
    for run in runs:
        run["config"]["cfgm"] = {"step": 2.0} if run["config"]["mask"] else None
    results = Results(runs)
    (finding,) = findings(results)
    assert finding.family.name == "ER"
    assert "Masking raised" not in story.answer(results)
    assert "Against no mask final accuracy rose: for ER" in story.answer(results)
    assert "leak\u00a0=\u00a00.1 and cfgm (from" in story.answer(results)
    assert "leak\u00a0=\u00a00.1 and cfgm, with" in finding.sentences[0]
    assert "with and without CFGM" in story.compared(results)
