"""Results made from numbers alone, deterministic, in the shape that the engine writes them."""

from __future__ import annotations

import numpy as np

from maskcl import metrics, rng
from maskcl.results import config_hash

MASKS = [
    None,
    *({"value": m} for m in ("-inf", -5.0, -2.0, 0.0, 2.0, 5.0)),
    *({"leak": leak} for leak in (0.03, 0.1, 0.3)),
]
_ER = {"name": "er", "replay_batch": 10, "reduction": "sum"}
_DERPP = {"name": "derpp", "replay_batch": 10, "alpha": 0.5, "beta": 1.0, "store": "before"}
METHODS = {"er": _ER, "derpp": _DERPP}


def strength(mask):
    """How hard a mask masks, 0 to 1: what the fabricated accuracies follow."""
    if mask is None:
        return 0.0
    if mask.get("leak") == "auto":
        return 0.5
    if "leak" in mask:
        return float(0.25 * -np.log10(max(mask["leak"], 1e-4)))
    m = float(mask.get("value", mask.get("mass", 0.0)))
    return 1.0 if m == -np.inf else 0.6 - 0.06 * m


TITLES = {"derpp": "DER++", "finetune": "Fine-tuning", "joint": "Joint training", "lwf": "LwF", "ewc": "Online EWC"}


def label(method, mask, varied=""):
    dial = "no mask" if mask is None else " ".join(f"{'m' if k == 'value' else k}={v}" for k, v in mask.items())
    return " ".join(part for part in (method, dial, varied) if part)


def fabricate(
    methods=("er", "derpp"), masks=None, num_seeds=5, num_tasks=5, memory_size=50, varied="", diverge=(), anytime=False,
    experiment="digits_masks", gain=0.9,
):  # fmt: skip
    """One document for each method, mask and seed. `diverge` holds (method, position of mask, seed)."""
    masks = MASKS if masks is None else masks
    return [
        _document(
            method, mask, seed, num_tasks, memory_size, varied, (method, i, seed) in diverge, anytime, experiment, gain
        )
        for method in methods
        for i, mask in enumerate(masks)
        for seed in range(num_seeds)
    ]  # fmt: skip


def _document(method, mask, seed, num_tasks, memory_size, varied, diverged, anytime, experiment, gain):
    ci, ti, confidence = _matrices(method, mask, seed, num_tasks, gain)
    share = np.array([1 - 0.6 * t / num_tasks for t in range(num_tasks)])
    level, moved = 5 * confidence - 1, 0.4 / (1 + np.arange(num_tasks)) * (1.1 - strength(mask))
    if diverged:
        for values in (ci, ti, confidence, share, level, moved):
            values[2:] = np.nan
    untrained = {"class_incremental": np.full(num_tasks, 0.1), "task_incremental": np.full(num_tasks, 0.5)}
    steps = _anytime(ci, confidence) if anytime else None
    config = {
        "scenario": {"dataset": "digits", "num_tasks": num_tasks, "validation_fraction": 0.0},
        "network": {"name": "mlp", "hidden": [100, 100], "classifier": "linear"},
        "method": METHODS.get(method, {"name": method}),
        "mask": mask,
        "memory": {"size": memory_size, "policy": "reservoir"},
        "optimizer": {"name": "sgd", "lr": 0.1 if method == "er" else 0.03},
        "training": {"batch_size": 10, "epochs": 3, "evaluate_every": None},
        "seeds": {"class_order": None, "initialisation": seed, "stream": seed},
    }
    reason = {"task": 2, "reason": "its loss or its weights are not finite"}
    return {
        "schema": 1,
        "experiment": experiment,
        "label": label(method, mask, varied),
        "method_title": TITLES.get(method),
        "seed": seed,
        "status": "diverged" if diverged else "finished",
        "diverged": reason if diverged else None,
        "config": config,
        "config_hash": config_hash(config),
        "environment": {"maskcl": "0.1.0", "python": "3.11.9", "torch": "2.13.0+cpu", "numpy": "2.4.6", "cpus": 2},
        "executor": {"name": "stack", "group_size": 16, "threads": 1, "workers": 2, "reason": "fastest of those tried"},
        "seconds": 0.31,
        "timings": {"training": 0.25, "evaluation": 0.03, "planning": 0.02},
        "metrics": metrics.summary(
            ci,
            ti,
            untrained=untrained,
            confidence=confidence,
            newest_share=share,
            anytime=steps,
            weights=[70] * num_tasks,
        ),
        "class_incremental": ci,
        "task_incremental": ti,
        "confidence": confidence,
        "newest_share": share,
        "level": level,
        "weight_shift": moved,
        "untrained": untrained,
        "anytime": steps,
        "num_parameters": 17_610,
        "memory_bytes": 6_000,
    }


def _matrices(method, mask, seed, num_tasks, gain):
    """Old tasks fade with each later one, less so under a mask, which in turn costs learning accuracy."""
    hard = strength(mask)
    shared, own = rng.generator(seed, "seed"), rng.generator(seed, "own" + label(method, mask))
    keep, learn = 0.90 + 0.09 * hard ** (1 - gain / 2), 0.98 - (0.14 if method == "er" else 0.22) * hard**2
    t, u = np.meshgrid(np.arange(num_tasks), np.arange(num_tasks), indexing="ij")
    age = np.maximum(t - u, 0)
    level = learn * keep ** (2 * age) - 0.02 * t + 0.02 * shared.standard_normal(num_tasks)[None, :]
    ci = np.clip(level + 0.01 * own.standard_normal(t.shape), 0, 1)
    ci = np.where(u <= t, ci, 0.0)
    ti = np.where(u <= t, 1 - 0.2 * (1 - ci), 0.5)
    return ci, ti, np.where(u <= t, ci**1.3, 0.02)


def _anytime(ci, confidence, per_task=4):
    num_tasks = len(ci)
    tasks = np.repeat(np.arange(num_tasks), per_task)
    part = np.tile((np.arange(per_task) + 1) / per_task, num_tasks)[:, None]
    before = [np.vstack([m[:1] * 0, m[:-1]])[tasks] for m in (ci, confidence)]
    dip = 0.25 * part * (1 - part) * 4
    found = [
        np.clip(b * (1 - part) + m[tasks] * part - dip * b, 0, 1) for b, m in zip(before, (ci, confidence), strict=True)
    ]
    return {
        "step": np.arange(len(tasks)) * 10 + 10,
        "task": tasks,
        "class_incremental": found[0],
        "confidence": found[1],
        "level": 5 * found[1] - 1,
        "weight_shift": 0.3 * part[:, 0],
    }
