"""Contract tests for methods, also those of other packages: what every method has to hold, shown on small runs.

from maskcl.testing import check_method
check_method(MyMethod)
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import traceback
from typing import Any

from maskcl.errors import check, check_choice
from maskcl.methods import Method
from maskcl.testing.checks import CHECKS
from maskcl.testing.small import Trial

__all__ = ["CHECKS", "Trial", "check_method"]


HOOKS = [name for name, part in vars(Method).items() if callable(part) and not name.startswith("_")]


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
    fields = [field.name for field in dataclasses.fields(method)] if dataclasses.is_dataclass(method) else []
    for option in options or {}:
        check_choice(option, "check_method: options", fields)
    for name, part in vars(method).items():
        near = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.8) if callable(part) and name not in HOOKS else []
        check(not near, f"{method.__name__}.{name}", "must not look like a hook and be none", hint=f"is {near} meant?")
    trial = Trial(method, options or {})
    for name, run in CHECKS.items():
        try:
            run(trial)
        except AssertionError as error:
            raise AssertionError(f"{method.__name__}: {name}: {error}") from error
        except Exception as error:  # of the method's own code
            text = f"{_raising_hook(error)}raised {type(error).__name__}: {error}"
            raise AssertionError(f"{method.__name__}: {name}: {text}") from error
    return list(CHECKS)


def _raising_hook(error: Exception) -> str:
    """The innermost hook of a method that an error went through, or nothing."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = [f.f_code.co_name for f in frames if isinstance(f.f_locals.get("self"), Method)]
    hooks = [name for name in names if name in HOOKS]
    return f"{hooks[-1]} " if hooks else ""
