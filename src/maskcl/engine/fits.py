"""Whether the settings of a run fit together: what no setting can know by itself."""

from __future__ import annotations

from typing import Any

from maskcl.engine.hooks import check_phases
from maskcl.engine.synthesis import starts
from maskcl.errors import check, counted
from maskcl.memory import POLICIES
from maskcl.methods.base import overrides

__all__ = ["check_spec", "num_rows"]

STRAY = "where rows come in tasks that are not their class's own (scenario.blurry, scenario.repeats)"


def check_spec(spec: Any) -> None:
    """Refuse settings that do not fit together.

    Args:
        spec: A `RunSpec`, which calls this when it is made.

    Raises:
        ConfigError: For the first thing that does not fit.
    """
    method, memory, scenario, training = spec.method, spec.memory, spec.scenario, spec.training
    needs, num_tasks = method.needs, scenario.num_tasks
    for task in range(num_tasks):
        check_phases(method, task, method.phases(task, num_tasks))
    chosen = overrides(method, "select") or not any(draw.candidates for draw in needs.draws)
    check(chosen, f"{type(method).__name__}.needs",
          "must have no candidates in a draw without an override of select, which chooses among them",
          needs.draws)  # fmt: skip
    size = 0 if memory is None else memory.size
    check(not needs.uses_memory or size > 0, "memory.size", f"must be 1 or more with method '{method.key}'", size,
          hint="method 'finetune' learns without a memory")  # fmt: skip
    check(needs.uses_memory or memory is None, "memory", f"is not used by method '{method.key}'", memory)
    if memory is not None:
        policy = POLICIES.find(memory.policy)
        aside, least = needs.slots_aside(size), policy.least_size(scenario.num_classes)
        must = f"must be {least + aside} or more with policy '{memory.policy}': a slot for each class"
        check(size - aside >= least, "memory.size", must + (f", {aside} set aside" if aside else ""), size)
        passes = all(phase.rows == "memory" for phase in method.phases(0, num_tasks))
        check(not (passes and policy.refills), "memory.policy",
              f"must not look at features with method '{method.key}', which has no network before the memory is there",
              memory.policy)  # fmt: skip
    smallest = min((num_rows(spec, task) for task in _trained(scenario)), default=training.batch_size)
    there, used = len(scenario.dataset.train_labels), sum(map(len, scenario.train_rows))
    cut = f"{used} of the data's {counted(there, 'training row')} are learnt from (scenario.subset, or --subset)"
    check(training.batch_size <= smallest, "training.batch_size",
          f"must not be above the smallest task's {counted(smallest, 'row')}", training.batch_size,
          hint=cut if 2 * used < there else None)  # fmt: skip
    check(needs.label_smoothing or training.label_smoothing == 0, "training.label_smoothing",
          f"acts on no loss of method '{method.key}'", training.label_smoothing)  # fmt: skip
    own = bool(spec.phases) and all(phase.epochs is not None for phase in spec.phases)
    check(not own or training.epochs == 1, "training.epochs",
          f"acts on nothing with method '{method.key}', whose phases have their own", training.epochs)  # fmt: skip
    whole = not training.average or all(len(method.phases(task, num_tasks)) < 2 for task in _trained(scenario))
    check(whole, "training.average", f"must be 0 with method '{method.key}', whose tasks have several phases",
          training.average)  # fmt: skip
    first = needs.replay_from_task
    check(first == 0 or first < num_tasks or num_tasks == 1 or scenario.open, "method.replay_from_task",
          f"must be below the number of tasks, {num_tasks}", first)  # fmt: skip
    looks = training.compile and (needs.features or overrides(method, "head"))
    check(not looks, "training.compile", f"must be left out with method '{method.key}', which looks into the network",
          training.compile)  # fmt: skip
    if training.augment is not None:
        training.augment.check_shape(scenario.dataset.input_shape)
    _check_mask(spec)
    aside = needs.held_out > 0 and not scenario.is_clean
    check(not aside, "method", f"must not hold out rows of a task's classes, as '{method.key}' does, {STRAY}",
          method.key)  # fmt: skip
    cfgm = method.cfgm
    if cfgm is not None:
        known = cfgm.from_task < num_tasks or scenario.open
        check(known, "cfgm.from_task", f"must be below the number of tasks, {num_tasks}", cfgm.from_task)
        starts(cfgm).check_shape(scenario.dataset.input_shape, "cfgm")


def _trained(scenario: Any) -> list[int]:
    """Tasks that are trained: all, or in an open scenario those whose rows are there."""
    return [t for t in range(scenario.num_tasks) if not scenario.open or len(scenario.train_rows[t])]


def num_rows(spec: Any, task: int) -> int:
    """Training rows of a task, those held out left aside."""
    scenario = spec.scenario
    labels, rows = scenario.dataset.train_labels, scenario.train_rows[task]
    counts = [int((labels[rows] == c).sum()) for c in scenario.tasks[task]] if spec.method.needs.held_out else []
    return len(rows) - sum(map(spec.method.needs.rows_aside, counts))


def _check_mask(spec: Any) -> None:
    mask, tasks, batch = spec.method.mask, spec.scenario.tasks, spec.training.batch_size
    if mask is None:
        return
    # A method that brings a mask of its own from the second task on may meet a stream of one task.
    own = mask == type(spec.method).__dataclass_fields__["mask"].default
    known = mask.from_task < len(tasks) or spec.scenario.open
    check(mask.from_task == 0 or known or own, "mask.from_task",
          f"must be below the number of tasks, {len(tasks)}", mask.from_task)  # fmt: skip
    if mask.removes_inactive:
        name, dial = ("value", mask.value) if mask.leak is None else ("leak", mask.leak)
        for t in _trained(spec.scenario):
            classes = tasks[t]
            compared = len(classes) > 1 or t < mask.from_task or (mask.keep_future and t < len(tasks) - 1)
            check(compared, f"mask.{name}",
                  f"must leave old classes in the softmax: task {t} has one class, and its loss would be 0", dial,
                  hint="use a finite value, or a leak above 0")  # fmt: skip
    by_task = mask.policy == "task" and not mask.is_auto and not spec.scenario.is_clean
    check(not by_task, "mask.policy", f"must be 'batch' or 'recent' {STRAY}", mask.policy)
    early = mask.visible == "seen" and spec.scenario.comes_early
    check(not early, "mask.visible", f"must be 'all' {STRAY}", mask.visible)
    window = mask.recent_rows
    check(window is None or window >= batch, "mask.recent_rows", f"must be the batch size, {batch}, or more", window)
    check(not (mask.removes_inactive and mask.policy == "batch" and batch == 1),
          "training.batch_size", "must be 2 or more with mask policy 'batch' and m = -inf, or no class is compared",
          batch)  # fmt: skip
