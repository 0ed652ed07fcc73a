"""What foreign code raises while a model learns or predicts in the shell: a sentence there.

In Python it goes through as it is, with its traceback, for whoever wrote the network wants to see where.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from maskcl.errors import ConfigError, MaskclError, message, raised
from maskcl.learner.learner import Learner
from maskcl.memory import POLICIES

__all__ = ["foreign_told"]


@contextmanager
def foreign_told(learner: Learner) -> Iterator[None]:
    """Word what a network, method or memory policy from elsewhere raises; all else is a bug of ours, and goes through.

    Args:
        learner: The one that learns or predicts meanwhile.

    Raises:
        ConfigError: Foreign code raised something.
    """
    try:
        yield
    except (MaskclError, MemoryError):
        raise
    except Exception as error:
        parts = _foreign(learner)
        if not parts:
            raise
        must = f"must work on these pictures, and raised {raised(error)}"
        hint = "maskcl.Learner, in Python, shows where"
        raise ConfigError(message(" or ".join(parts), must, hint=hint)) from error


def _foreign(learner: Learner) -> list[str]:
    """The parts of a learner that are not of this package."""
    config = learner._settings()
    network, method = config.network, config.method
    found = [f"network {network.key!r}"] if network.fingerprinted or not _ours(type(network)) else []
    found += [] if _ours(type(method)) else [f"method {method.key!r}"]
    if config.memory is not None:
        policy = str(config.memory.policy or method.needs.policy)
        found += [] if _ours(type(POLICIES.find(policy))) else [f"memory policy {policy!r}"]
    return found


def _ours(kind: type) -> bool:
    return kind.__module__.startswith("maskcl.")
