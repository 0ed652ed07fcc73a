"""One row by itself through a network with BatchNorm, which cannot be trained on it: a setting, told as one."""

from __future__ import annotations

from maskcl.engine.passes import why_not_single
from maskcl.engine.spec import RunSpec
from maskcl.errors import ConfigError, MaskclError, message, raised

__all__ = ["tell_single_row"]


def tell_single_row(error: BaseException, spec: RunSpec) -> None:
    """Word an error in training that came of a single row; nothing happens at any other one.

    An experiment is refused before it begins, as all its steps are known then. A learner's rows come as they come:
    so the step that failed is told apart by its error, which is that of a trial with one row.

    Args:
        error: What was raised.
        spec: The run in which it was.

    Raises:
        ConfigError: It came of a single row.
    """
    if not isinstance(error, Exception) or isinstance(error, MaskclError):
        return
    why = why_not_single(spec)
    if why is None or why != raised(error):
        return
    size = spec.training.batch_size
    must = f"must leave no row that passes this network by itself, on which it cannot be trained ({why})"
    hint = "a step of two rows or more: another batch_size (and replay_batch), or a network without BatchNorm"
    raise ConfigError(message("Learner: training.batch_size", must, size, hint=hint)) from error
