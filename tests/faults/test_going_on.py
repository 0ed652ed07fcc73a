"""Populations that go on with fewer members, from several checkpoints, on other networks, or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from contract.test_contract import OPTIONS

from maskcl.engine import Checkpoints, Outcome, RunSpec, StopError, run_population
from maskcl.engine.checkpoint_file import FORMAT
from maskcl.engine.group import PACKED
from maskcl.engine.state import Book
from maskcl.methods import find
from maskcl.networks import Mlp
from maskcl.progress import Resumed
from maskcl.testing import Trial
from maskcl.testing.cutting import assert_same_outcome, stops_after

KEYS = [f"0a1b2c3d-{seed}" for seed in range(4)]
SPECS = [
    Trial(find("derpp"), OPTIONS.get("derpp", {})).spec(
        seed, training={"dtype": "float32", "checkpoint_every": 1, "save_weights": True}
    )
    for seed in range(4)
]


class Place:
    """A folder of checkpoints, in which runs are made by their numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told, self.steps = folder, list[str](), 0.0

    def run(self, *numbers: int, patience: int = 10**6, specs: list[RunSpec] = SPECS, **options: Any) -> list[Outcome]:
        """Outcomes, or [] where it was stopped; `done` is how much of the runs had been made before."""
        told: list[float] = []
        try:
            return run_population(
                [specs[k] for k in numbers],
                keys=[KEYS[k] for k in numbers],
                checkpoints=Checkpoints(self.folder, {"version": 1}, tell=self.told.append),
                stopping=stops_after(patience),
                on_progress=told.append,
                threads=1,
                **({"executor": "stack"} | options),
            )
        except StopError:
            return []
        finally:
            self.done = told[0] if told else 0.0
            assert [isinstance(amount, Resumed) for amount in told[:2]] in ([], [True], [True, False])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "checkpoints")


@pytest.fixture(scope="module")
def whole() -> list[Outcome]:
    return run_population(SPECS, executor="stack", threads=1)


def check(found: list[Outcome], expected: list[Outcome]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert_same_outcome(one, other, what="gone on")


def test_some_of_a_population_go_on_and_the_others_later_from_the_same_checkpoint(
    place: Place, whole: list[Outcome]
) -> None:
    assert place.run(0, 1, 2, 3, patience=8) == []
    assert place.run(1, 3, patience=8) == []
    assert place.done > 0
    check(place.run(3, 1), [whole[3], whole[1]])
    assert place.done > 0.6  # twice as far as they were together
    check(place.run(2, 0), [whole[2], whole[0]])
    assert place.done > 0.4
    assert place.told == []


def test_those_that_finished_meanwhile_are_left_out(place: Place, whole: list[Outcome]) -> None:
    assert place.run(0, 1, 2, 3, patience=15) == []
    check(place.run(0, 2, 3), [whole[0], whole[2], whole[3]])


def test_a_run_in_two_checkpoints_is_made_once(place: Place, whole: list[Outcome]) -> None:
    assert place.run(0, 1, 2, 3, patience=6) == []
    assert place.run(0, patience=12, executor="loop") == []
    assert place.done == 0  # what was begun in a stack is no loop's
    told: list[Outcome] = []
    found = place.run(0, 1, 2, 3, executor="auto", on_outcome=told.append)
    assert sorted(KEYS[SPECS.index(outcome.spec)] for outcome in told) == KEYS
    assert [outcome.executor["name"] for outcome in found] == ["loop", "stack", "stack", "stack"]
    check([replace(one, network=None) for one in found[1:]], whole[1:])


def test_a_network_that_was_rewritten_begins_anew_and_says_so(place: Place) -> None:
    assert place.run(0, 1, patience=6) == []
    wider = [replace(spec, network=Mlp(hidden=(17,))) for spec in SPECS]
    found = place.run(0, 1, specs=wider)
    check(found, run_population(wider[:2], executor="stack", threads=1))
    assert len(place.told) == 1
    assert place.told[0].endswith("is of other networks; runs begin anew.")


def test_a_checkpoint_that_cannot_be_written_ends_nothing_and_is_told_once(
    place: Place, whole: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("maskcl.files.os.fsync", full)
    check(place.run(0, 1), whole[:2])
    assert place.told == [
        f"{place.folder}: no checkpoint can be written (No space left on device); runs go on without."
    ]


def test_without_checkpoints_a_stop_loses_what_was_made(place: Place) -> None:
    none = [replace(spec, training=replace(spec.training, checkpoint_every=0)) for spec in SPECS]
    assert place.run(0, patience=4, specs=none) == []
    assert not place.folder.exists()


def test_what_outcomes_are_told_to_ends_all_when_it_raises(place: Place) -> None:
    def broken(outcome: Outcome) -> None:
        raise OSError("no room for results")

    failed: list[Any] = []
    with pytest.raises(OSError, match="no room for results"):
        place.run(0, 1, executor="loop", on_outcome=broken, on_failure=lambda *told: failed.append(told))
    assert failed == []


def test_a_checkpoint_of_other_code_begins_anew_and_says_so(
    place: Place, whole: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Fuller(Book):
        later: int

    assert place.run(0, 1, patience=6) == []
    with monkeypatch.context() as patch:
        patch.setitem(PACKED, "Book", Fuller)
        check(place.run(0, 1), whole[:2])
    assert [text.partition(" is ")[2] for text in place.told] == ["laid out otherwise; runs begin anew."]


def test_what_is_in_a_checkpoint_has_this_format(place: Place) -> None:
    """Whoever changes this changes FORMAT: versions of maskcl do not tell two states of one unreleased version."""
    assert place.run(0, patience=6) == []
    (saved,) = Checkpoints(place.folder, {"version": 1}).newest({KEYS[0]})
    layout = {kind.__name__: sorted(field.name for field in fields(kind)) for kind in PACKED.values()}
    record = saved.content["records"][0]
    layout |= {"content": sorted(saved.content), "record": sorted(record), "matrices": sorted(record["matrices"])}
    text = json.dumps(layout, sort_keys=True)
    assert (FORMAT, hashlib.blake2b(text.encode(), digest_size=4).hexdigest()) == (2, "db711032"), text
