"""Each run made by several processes of this machine together, one device each; one that dies ends its run alone.

How they share it out is the engine's (docs/design/several-devices.md). Here they are started, the first is listened to,
and where one is gone it is found out which, and the others are ended.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist

from maskcl.devices import find_device
from maskcl.engine import RunSpec
from maskcl.errors import check
from maskcl.experiment import Planned
from maskcl.experiment.sharing import Share
from maskcl.launch.child import Child, how
from maskcl.launch.worker import LOST, Recipe

__all__ = ["OnDevices", "check_devices"]

PATIENCE = 10.0
"""Seconds that a process has to end by itself once there is nothing left for it to do, or another one is gone."""


class OnDevices:
    """Makes runs one after the other, each on several devices; a `Launcher`.

    Args:
        devices: How many.
        recipe: What they plan from; `threads` are those of each.
        tell: Told in sentences of what is no result.
    """

    def __init__(self, devices: int, recipe: Recipe, *, tell: Callable[[str], None] | None = None) -> None:
        self._devices, self._tell = devices, tell or (lambda text: None)
        self._recipe = replace(recipe, executor="loop")

    def __call__(self, runs: Sequence[Planned], share: Share) -> None:
        """Train them; as `Launcher` has it."""
        team: _Team | None = None
        try:
            for own in ([one] for run in runs for one in share.take([run])):
                if share.stopping():
                    return
                device = find_device(own[0].spec.training.device).type
                if team is not None and team.device != device:
                    team.leave()
                    team = None
                team = team or _Team(self._devices, self._recipe, device)
                ended = team.make(own, share, self._tell)
                if not ended and not share.stopping():
                    share.failed(share.still(own), team.why())
                if not ended or id(own[0]) in share.failures:  # the others may wait for each other
                    team.leave()
                    team = None
        except KeyboardInterrupt:  # at the second Ctrl-C nobody waits for states to be saved
            if team is not None:
                team.kill()
            raise
        finally:
            if team is not None:
                team.leave()


class _Team:
    """The processes, from their start to their end."""

    def __init__(self, size: int, recipe: Recipe, device: str) -> None:
        self.device, self._folder = device, TemporaryDirectory(prefix="maskcl-")
        file = str(Path(self._folder.name) / "meet")
        self._children = [
            Child(
                asdict(recipe) | {"team": {"file": file, "rank": rank, "size": size}},
                {"OMP_NUM_THREADS": str(recipe.threads), **surroundings(rank, device)},
            )
            for rank in range(size)
        ]
        self._first, *self._others = self._children
        self._left = False
        for child in self._others:
            threading.Thread(target=self._watch, args=(child,), daemon=True).start()

    def make(self, runs: Sequence[Planned], share: Share, tell: Callable[[str], None]) -> bool:
        """Have runs made; returns whether all lived to say that they are done."""
        for child in self._others:
            child.say({"keys": [run.key for run in runs]})
        return self._first.make(runs, share, tell)

    def why(self) -> str:
        """Say which of them is gone, and why; ends the others."""
        statuses = self._ended()
        of = f"of the {len(statuses)} processes that made this run together"
        for child in self._children:
            for news in child.said:
                if "reason" in news or "refused" in news:
                    return str(news.get("reason") or news["refused"])
        for rank, status in enumerate(statuses):
            if status not in (LOST, None):
                return f"number {rank + 1} {of} {how(status)}"
        lost = [str(news["lost"]) for child in self._children for news in child.said if "lost" in news]
        return lost[0] if lost else f"one {of} is gone"

    def leave(self) -> None:
        """End all of them."""
        self._left = True
        for child in self._children:
            child.leave(PATIENCE)
        self._folder.cleanup()

    def kill(self) -> None:
        """End all of them at once."""
        self._left = True
        for child in self._children:
            child.process.kill()

    def _ended(self) -> list[int | None]:
        """Exit status of each that has ended by itself within our patience; None of one that had to be killed."""
        found: list[int | None] = []
        for child in self._children:
            lived = child.outlives(PATIENCE)
            found.append(None if lived else child.process.returncode)
        self.kill()
        return found

    def _watch(self, child: Child) -> None:
        """Listen to one that tells no news; where it is gone and the first does not see it, that one is ended."""
        while (news := child.heard()) is not None:
            child.said.append(news)
        if not self._left and self._first.outlives(PATIENCE) and not self._left:
            self._first.process.kill()


def surroundings(rank: int, device: str) -> dict[str, str]:
    """Variables of a process: the one GPU that it sees, and for gloo the network that nobody else is on."""
    if device == "cuda":
        seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        return {"CUDA_VISIBLE_DEVICES": seen[rank].strip() if seen else str(rank)}
    loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    known = "GLOO_SOCKET_IFNAME" in os.environ or loopback is None
    return {} if known else {"GLOO_SOCKET_IFNAME": str(loopback)}


def check_devices(specs: Sequence[RunSpec], devices: int) -> None:
    """Refuse runs that cannot be made on so many devices.

    Args:
        specs: The runs.
        devices: How many, 1 or more.

    Raises:
        ConfigError: The message says what stands against it.
    """
    if devices == 1:
        return
    check(dist.is_available(), "--devices", "must be 1 with this PyTorch, which has no torch.distributed", devices)
    for training in {spec.training: None for spec in specs}:
        device = find_device(training.device)
        there = torch.cuda.device_count() if device.type == "cuda" else devices
        check(devices <= there, "--devices", f"must be at most the number of GPUs here, {there}", devices)
        check(device.type != "mps", "--devices", "must be 1 on MPS, of which there is one", devices)
        must = f"must be at most training.batch_size, {training.batch_size}: each device has rows of every batch"
        check(devices <= training.batch_size, "--devices", must, devices)
        check(not training.compile, "training.compile", "must be left out with --devices", True)
