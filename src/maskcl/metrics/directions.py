"""Which way each metric is better; some are neither."""

from __future__ import annotations

__all__ = ["ANYTIME", "better"]

_HIGHER = (
    "final_accuracy",
    "average_incremental_accuracy",
    "learning_accuracy",
    "backward_transfer",
    "forward_transfer",
    "stability",
)
_LOWER = ("forgetting", "forgetting_with_last")
ANYTIME = {"average_anytime_accuracy": "higher", "worst_case_accuracy": "higher", "stability_gap": "lower"}
"""Those that need evaluations within tasks, and which way they are better."""


def better() -> dict[str, str]:
    """Return "higher" or "lower" for each metric of a run that has a better end.

    The newest task's share of the predictions and its bias are not among them: they are best somewhere in between.

    >>> better()["final_accuracy"], better()["forgetting_task_incremental"]
    ('higher', 'lower')
    """
    of_matrix = dict.fromkeys(_HIGHER, "higher") | dict.fromkeys(_LOWER, "lower")
    kinds = [f"{weighted}{kind}" for kind in ("", "_task_incremental") for weighted in ("", "_weighted")]
    found = {f"{name}{kind}": way for kind in kinds for name, way in of_matrix.items()}
    return found | {"confidence_collapse": "lower"} | ANYTIME
