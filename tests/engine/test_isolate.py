"""Runs that an error is not of are made, each once; whichever and however many the others are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import pytest

from maskcl.engine.isolate import isolate


class Trial:
    """Runs of which some are faulty: whatever they are made with fails."""

    def __init__(self, count: int, faulty: Collection[int], *, diverging: Collection[int] = ()) -> None:
        self.faulty, self.diverging = set(faulty), set(diverging)
        self.attempts, self.made, self.failed = list[list[int]](), list[int](), list[int]()
        isolate(range(count), self.attempt, self.told)

    def attempt(self, part: Sequence[int]) -> tuple[Sequence[int], Exception | None]:
        self.attempts.append(list(part))
        self.made += self.diverging & set(part)
        left = [run for run in part if run not in self.diverging]
        if self.faulty & set(left):
            return left, RuntimeError("no good")
        self.made += left
        return (), None

    def told(self, runs: Sequence[int], error: Exception) -> None:
        assert str(error) == "no good"
        self.failed += runs


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_faulty_runs_are_told_apart_whichever_they_are(count: int) -> None:
    for faulty in (found for faults in range(count + 1) for found in combinations(range(count), faults)):
        trial = Trial(count, faulty)
        assert sorted(trial.failed) == sorted(faulty)
        assert sorted(trial.made) == sorted(set(range(count)) - set(faulty))


@pytest.mark.parametrize("faulty", [range(4), range(4, 16), range(0, 16, 2), [0, 1, 4, 5, 8, 9, 12, 13]])
def test_settings_of_which_all_runs_fail_are_told_apart(faulty: Collection[int]) -> None:
    trial = Trial(16, faulty)
    assert sorted(trial.failed) == sorted(faulty)
    assert sorted(trial.made) == sorted(set(range(16)) - set(faulty))


def test_one_faulty_run_costs_two_populations_more_at_most() -> None:
    for faulty in range(16):
        assert sum(map(len, Trial(16, [faulty]).attempts)) == 16 + 16 + 8 + 4 + 2


def test_an_error_of_all_runs_costs_four_populations_more() -> None:
    trial = Trial(16, range(16))
    assert sorted(trial.failed) == list(range(16))
    assert len(trial.attempts) == 31
    assert sum(map(len, trial.attempts)) == 5 * 16


def test_a_run_alone_is_tried_once() -> None:
    assert Trial(1, [0]).attempts == [[0]]


def test_runs_that_had_diverged_are_not_made_again() -> None:
    trial = Trial(8, [6], diverging=[0, 1, 7])
    assert sorted(trial.made) == [0, 1, 2, 3, 4, 5, 7]
    assert trial.failed == [6]
    assert Trial(2, [], diverging=[0, 1]).attempts == [[0, 1]]


def test_an_error_after_the_last_outcome_costs_no_run() -> None:
    failed: list[Sequence[int]] = []
    isolate([3, 4], lambda part: ((), RuntimeError()), lambda runs, error: failed.append(runs))
    assert failed == []
