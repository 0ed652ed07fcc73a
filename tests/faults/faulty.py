"""Methods that fail: known to experiments of the processes that ask for it."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from maskcl.experiment.stopping import STOPPED_BY
from maskcl.methods import Draw, Method, Needs, State, Step, View, dial, option, register

STEPS = [0]


@dataclass(frozen=True, kw_only=True)
class Replaying(Method):
    """Plain replay, which the others spoil."""

    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)
    after: int = option(-1, "steps of the process that are good; -1: all")

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(self.replay_batch),))

    @property
    def spoilt(self) -> bool:
        """Whether it is to fail in this step."""
        STEPS[0] += 1
        return 0 <= self.after < STEPS[0]

    def loss(self, step: Step) -> Tensor:
        stream, *memory = step.split(self.losses(step))
        return stream.mean(-1) + (memory[0].mean(-1) if memory else 0.0)


@dataclass(frozen=True, kw_only=True)
class Raising(Replaying):
    """Raises an error."""

    key: ClassVar[str] = "raising"
    title: ClassVar[str] = "Raising"

    def loss(self, step: Step) -> Tensor:
        if self.spoilt:
            raise RuntimeError("no good\nat all")
        return super().loss(step)


@dataclass(frozen=True, kw_only=True)
class Choosy(Replaying):
    """Raises an error for some of its members, at the end of the second task."""

    key: ClassVar[str] = "choosy"
    title: ClassVar[str] = "Choosy"

    trouble: float = dial(1.0, "above 1: raises", above=0)

    def end_task(self, state: State, view: View) -> State:
        if self.trouble > 1 and view.task == 1:
            raise RuntimeError(f"trouble {self.trouble:g}")
        return state


@dataclass(frozen=True, kw_only=True)
class Undefined(Replaying):
    """Gives a loss that is no number."""

    key: ClassVar[str] = "undefined"
    title: ClassVar[str] = "Undefined"

    def loss(self, step: Step) -> Tensor:
        return super().loss(step) * (math.nan if self.spoilt else 1.0)


@dataclass(frozen=True, kw_only=True)
class Waiting(Replaying):
    """Waits in its first step for a file "go"; files "begun" and "asked" say where it is."""

    key: ClassVar[str] = "waiting"
    title: ClassVar[str] = "Waiting"

    def loss(self, step: Step) -> Tensor:
        if not STEPS[0]:
            with open("begun", "a") as file:
                file.write(f"{os.getpid()}\n")
        STEPS[0] += 1
        while not Path("go").exists():
            if STOPPED_BY:
                Path("asked").touch()
            time.sleep(0.01)
        return super().loss(step)


def make_known() -> None:
    """Make them known to experiments of this process; never of pytest's, whose other tests go through all methods."""
    for kind in (Choosy, Raising, Undefined, Waiting):
        register(kind)
