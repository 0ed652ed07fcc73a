"""Runs of studies, made from numbers alone: a number is varied, the class order, the cost, or one part at a time."""

from __future__ import annotations

import copy

import numpy as np
from report.fabricate import fabricate

from maskcl.results import config_hash

CHANGES = {
    "mask": None,
    "method": {"name": "derpp", "replay_batch": 10, "alpha": 1.5, "beta": 2.0, "store": "before"},
    "optimizer": {"name": "sgd", "lr": 0.5},
    "memory": None,
    "cfgm": {"step": 2.0},
}
COSTS = {"mask": -0.2, "method": 0.05, "optimizer": -0.01, "memory": -0.3, "cfgm": 0.0}


def varied(runs, path, values, accuracy=None):
    """The same runs for each value of a setting; `accuracy` maps (value, run) to final accuracy."""
    found = []
    for value in values:
        for run in copy.deepcopy(runs):
            section, key = path.split(".")
            run["config"].setdefault(section, {})
            run["config"][section][key] = value
            run["config_hash"] = config_hash(run["config"])
            run["label"] += f" {key}={value}"
            if accuracy is not None:
                run["metrics"]["final_accuracy"] = accuracy(value, run)
            found.append(run)
    return found


def ordered(num_orders=5, num_seeds=4, masks=(None, {"leak": 0.1}), order_sd=0.08, seed_sd=0.02, num_tasks=3):
    """Orders and seeds in all combinations, whose effects on accuracy are known."""
    rng = np.random.default_rng(3)
    of_order, of_seed = order_sd * rng.standard_normal(num_orders), seed_sd * rng.standard_normal(num_seeds)
    plain = fabricate(methods=("er",), masks=list(masks), num_seeds=num_seeds, num_tasks=num_tasks)

    def accuracy(order, run):
        shrunk = 1.0 if run["config"]["mask"] is None else 0.25
        return 0.6 + shrunk * of_order[order] + of_seed[run["seed"]] + 0.001 * rng.standard_normal()

    found = varied(plain, "randomness.class_order", range(num_orders), accuracy)
    for run in found:
        classes = np.random.default_rng(run["config"]["randomness"]["class_order"]).permutation(2 * num_tasks).tolist()
        run["tasks"] = [classes[2 * t : 2 * t + 2] for t in range(num_tasks)]
    return found


def star(size=50, costs=COSTS, num_seeds=4):
    """A base and settings that differ from it in one section."""
    base = fabricate(("derpp",), [{"leak": 0.1}], num_seeds=num_seeds, num_tasks=3, memory_size=size)
    noise = np.random.default_rng(size).normal(0, 0.005, (len(costs), num_seeds))
    found = list(base)
    for k, (section, cost) in enumerate(costs.items()):
        for run in copy.deepcopy(base):
            run["config"][section] = CHANGES[section]
            run["config_hash"], run["label"] = config_hash(run["config"]), f"{run['label']} {section}"
            run["metrics"]["final_accuracy"] += cost + noise[k, run["seed"]]
            found.append(run)
    return found


def diverged(run):
    """The run as one that diverged in its last task."""
    run["status"], run["diverged"] = "diverged", {"task": 1, "reason": "its loss or its weights are not finite"}
    run["metrics"] = dict.fromkeys(run["metrics"], float("nan"))
    return run
