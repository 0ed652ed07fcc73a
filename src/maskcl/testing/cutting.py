"""Runs that are cut again and again, and go on from their checkpoints: as if the power failed, without the failing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from tempfile import TemporaryDirectory

import numpy as np

from maskcl.engine import Checkpoints, Outcome, RunSpec, StopError, run_population

__all__ = ["assert_same_outcome", "in_pieces", "stops_after"]

MOST = 200
"""Pieces: a run that needs more does not go on."""


def in_pieces(specs: Sequence[RunSpec], *, executor: str, asks: Iterable[int] = (2, 3, 5, 4)) -> list[Outcome]:
    """Run, and stop at the nth question whether to stop; go on from the checkpoints, and stop again, to the end.

    Args:
        specs: The runs; with `checkpoint_every = 1` each step is such a question, as is each task's end.
        executor: "stack" or "loop".
        asks: After how many questions each piece ends; the last number serves for all others. At 1 nothing is done.

    Returns:
        Their outcomes.
    """
    found: dict[int, Outcome] = {}
    *first, last = asks
    with TemporaryDirectory() as folder:
        for patience in chain(first, repeat(last, MOST)):
            left = [k for k in range(len(specs)) if k not in found]
            if not left:
                break
            places = {id(specs[k]): k for k in left}
            try:
                run_population(
                    [specs[k] for k in left],
                    executor=executor,
                    threads=1,
                    keys=[str(k) for k in left],
                    checkpoints=Checkpoints(folder, {"a version": 1}),
                    on_outcome=lambda outcome, places=places: found.update({places[id(outcome.spec)]: outcome}),  # type: ignore[misc]
                    stopping=stops_after(patience),
                )
            except StopError:
                continue
        assert len(found) == len(specs), f"must come to an end, and has not after {MOST} pieces"
    return [found[k] for k in range(len(specs))]


def stops_after(patience: int) -> Callable[[], bool]:
    """Return what says no so many times, and then yes."""
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > patience

    return stopping


def assert_same_outcome(first: Outcome, second: Outcome, *, what: str) -> None:
    """Two outcomes agree to the last bit in all but times; in the trained network, too, where it was kept."""
    assert (first.status, first.diverged) == (second.status, second.diverged), f"{what}: must end alike"
    for name in ("class_incremental", "task_incremental", "confidence", "newest_share", "untrained", "anytime"):
        _assert_equal(getattr(first, name), getattr(second, name), f"{what}: {name}")
    for name in ("confusion", "samples"):
        _assert_equal(getattr(first, name), getattr(second, name), f"{what}: {name}")
    if first.network is not None and second.network is not None:
        mine, other = ({n: t.numpy() for n, t in one.network.state_dict().items()} for one in (first, second))  # type: ignore[union-attr]
        _assert_equal(mine, other, f"{what}: network")


def _assert_equal(mine: object, other: object, name: str) -> None:
    if isinstance(mine, dict) and isinstance(other, dict):
        assert mine.keys() == other.keys(), f"{name} must have the same parts"
        for key in mine:
            _assert_equal(mine[key], other[key], f"{name}.{key}")
    elif isinstance(mine, list) and isinstance(other, list):
        assert len(mine) == len(other), f"{name} must have as many parts"
        for k, (one, two) in enumerate(zip(mine, other, strict=True)):
            _assert_equal(one, two, f"{name}.{k}")
    else:
        same = np.array_equal(mine, other, equal_nan=isinstance(mine, (float, np.ndarray)))  # type: ignore[arg-type]
        assert same, f"{name} must be the same to the last bit, and is not"
