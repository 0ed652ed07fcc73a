"""What `--log-level debug` tells on stderr, in this process and in those that work for it."""

from __future__ import annotations

import logging

__all__ = ["details_told", "tell_details"]

LOG = logging.getLogger("maskcl")


def tell_details(*, wanted: bool) -> None:
    """Print what is logged of groups and checkpoints on stderr, or nothing of it."""
    LOG.setLevel(logging.DEBUG if wanted else logging.WARNING)
    if wanted and not LOG.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        LOG.addHandler(handler)


def details_told() -> bool:
    """Whether they are printed."""
    return LOG.isEnabledFor(logging.DEBUG)
