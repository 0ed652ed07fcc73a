"""Contract tests for methods, also those of other packages: what every method has to hold, shown on small runs.

from maskcl.testing import check_method
check_method(MyMethod)
"""

from __future__ import annotations

import inspect
from typing import Any

from maskcl.errors import check
from maskcl.methods import Method
from maskcl.testing.checks import CHECKS
from maskcl.testing.small import Trial

__all__ = ["CHECKS", "Trial", "check_method"]


def check_method(method: type[Method], *, options: dict[str, Any] | None = None) -> list[str]:
    """Hold a method against the contract: both executors, masks, CFGM, optimisers, resuming, every hook it has.

    Args:
        method: A frozen dataclass derived from `maskcl.methods.Method`; it need not be registered.
        options: Settings that suit runs of some 20 steps with 6 classes and a memory of 12 rows, where its defaults
            do not; `replay_batch` is 3 unless given.

    Returns:
        The names of the checks that were made. Checks of what the method refuses (a mask, CFGM) are of the refusal.

    Raises:
        AssertionError: The first check that fails; the message names method and check, and says what was expected.

    >>> from maskcl.methods import find
    >>> "stack_equals_loop" in check_method(find("finetune"))
    True
    """
    good = inspect.isclass(method) and issubclass(method, Method)
    check(good, "check_method", "must be given a class derived from maskcl.methods.Method", method)
    trial = Trial(method, options or {})
    for name, run in CHECKS.items():
        try:
            run(trial)
        except AssertionError as error:
            raise AssertionError(f"{method.__name__}: {name}: {error}") from error
    return list(CHECKS)
