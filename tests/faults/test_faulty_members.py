"""A member of a population that raises: the others are made from the last checkpoint, with the same bits."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults.faulty import Choosy

from maskcl.engine import Checkpoints, Outcome, StopError, run_population
from maskcl.engine import run as module
from maskcl.progress import Resumed
from maskcl.testing import Trial
from maskcl.testing.cutting import assert_same_outcome, stops_after

SPECS = [
    Trial(Choosy, {}).spec(
        seed, trouble=3.0 if seed == 5 else 1.0, training={"dtype": "float32", "checkpoint_every": 1}
    )
    for seed in range(8)
]
GOOD = [k for k in range(8) if k != 5]
KEYS = [f"0a1b2c3d-{seed}" for seed in range(8)]


@pytest.fixture(scope="module")
def whole() -> dict[int, Outcome]:
    return dict(zip(GOOD, run_population([SPECS[k] for k in GOOD], threads=1), strict=True))


class Made:
    """What a call made of some runs, and what it told."""

    def __init__(self, numbers: Sequence[int], folder: Path | None, **options: Any) -> None:
        self.progress, self.failed, self.stopped = list[float](), list[tuple[list[int], str]](), False
        self.outcomes: dict[int, Outcome] = {}
        specs = options.pop("specs", SPECS)
        of = {id(specs[k]): k for k in numbers}
        try:
            run_population(
                [specs[k] for k in numbers],
                executor="stack", threads=1, keys=[KEYS[k] for k in numbers],
                checkpoints=None if folder is None else Checkpoints(folder, {"version": 1}),
                on_progress=self.progress.append,
                on_outcome=lambda outcome: self.outcomes.update({of[id(outcome.spec)]: outcome}),
                **({"on_failure": lambda runs, error: self.failed.append(([numbers[i] for i in runs], str(error)))}
                   | options),
            )  # fmt: skip
        except StopError:
            self.stopped = True

    def resumed(self) -> float:
        return sum(amount for amount in self.progress if isinstance(amount, Resumed) and amount > 0)


def check(found: dict[int, Outcome], whole: dict[int, Outcome]) -> None:
    assert found.keys() == whole.keys()
    for k, one in found.items():
        assert_same_outcome(one, whole[k], what=f"run {k}")


@pytest.mark.parametrize("keeps", [True, False])
def test_the_others_have_the_bits_of_a_population_without_it(
    keeps: bool, tmp_path: Path, whole: dict[int, Outcome]
) -> None:
    made = Made(range(8), tmp_path if keeps else None)
    check(made.outcomes, whole)
    assert made.failed == [([5], "trouble 3")]
    assert sum(made.progress) == pytest.approx(7)
    assert (made.resumed() > 0) == keeps  # from where the population stood, not from the start


def test_without_anybody_to_tell_the_first_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = populations(monkeypatch)
    with pytest.raises(RuntimeError, match="trouble 3"):
        Made(range(8), None, on_failure=None)
    assert len(begun) == 1


def test_what_was_stopped_among_the_parts_goes_on(tmp_path: Path, whole: dict[int, Outcome]) -> None:
    found: dict[int, Outcome] = {}
    stops, mended = 0, [replace(spec, method=replace(spec.method, trouble=1.0)) for spec in SPECS]  # type: ignore[type-var]
    while not (made := Made([k for k in range(8) if k not in found], tmp_path, stopping=stops_after(9))).failed:
        assert made.stopped
        found |= made.outcomes
        stops += 1
    found |= made.outcomes
    while made.stopped:
        made = Made([k for k in range(8) if k not in found], tmp_path, stopping=stops_after(9))
        found |= made.outcomes
        stops += 1
    check(found, whole)
    assert stops > 4
    last = Made([5], tmp_path, specs=mended)
    assert last.outcomes.keys() == {5}
    assert last.resumed() > 0


def test_a_population_that_failed_makes_room_before_its_parts_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = populations(monkeypatch)
    Made(range(8), None)
    assert begun == [0] * 7


def populations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many earlier populations were still held as each one began."""
    begun, held = list[int](), list[weakref.ref[Any]]()

    class Watched(module.GroupRun):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            begun.append(sum(ref() is not None for ref in held))
            super().__init__(*arguments, **named)
            held.append(weakref.ref(self._population))

    monkeypatch.setattr(module, "GroupRun", Watched)
    return begun
