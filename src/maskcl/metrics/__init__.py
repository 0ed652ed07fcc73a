"""From accuracy matrices to numbers: pure NumPy functions, fractions throughout, NaN where a number is undefined.

a[t, u] is the accuracy on the test rows of task u after training task t (T tasks, 0-based). Every function works on
arrays [..., T, T] and returns [...]; entries that its formula does not name may be NaN, one that it names makes the
result NaN. `weights` [..., T] (say, test rows a task) turns each mean over tasks into a weighted one.
"""

from maskcl.metrics.anytime import (
    average_anytime_accuracy,
    confidence_collapse,
    newest_task_bias,
    newest_task_share,
    stability_gap,
    switch_drops,
    worst_case_accuracy,
)
from maskcl.metrics.intervals import Interval, interval, paired_difference
from maskcl.metrics.matrix import (
    average_incremental_accuracy,
    backward_transfer,
    final_accuracy,
    forgetting,
    forgetting_with_last,
    forward_transfer,
    learning_accuracy,
    stability,
)
from maskcl.metrics.ranks import rank_correlation
from maskcl.metrics.summary import summary
from maskcl.metrics.variance import Bounded, VarianceParts, variance_parts

__all__ = [
    "Bounded",
    "Interval",
    "VarianceParts",
    "average_anytime_accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "confidence_collapse",
    "final_accuracy",
    "forgetting",
    "forgetting_with_last",
    "forward_transfer",
    "interval",
    "learning_accuracy",
    "newest_task_bias",
    "newest_task_share",
    "paired_difference",
    "rank_correlation",
    "stability",
    "stability_gap",
    "summary",
    "switch_drops",
    "variance_parts",
    "worst_case_accuracy",
]
