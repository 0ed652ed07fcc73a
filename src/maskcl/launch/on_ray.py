"""Runs on a Ray cluster: each piece is a task that plans the same experiment where it runs, and sends its files back.

No folder has to be shared: results and weights come back as bytes, and are written here. Data have to lie on every
machine, and maskcl has to be installed there. A task whose machine or process dies is begun anew elsewhere.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from maskcl.errors import ConfigError, counted, message, raised
from maskcl.experiment import Planned
from maskcl.experiment.finished import weights_path
from maskcl.experiment.sharing import Share
from maskcl.files import write_atomically
from maskcl.launch.pieces import pieces
from maskcl.launch.worker import Recipe, make

__all__ = ["OnRay", "check_address"]

TRIES = 3
"""How often a piece is begun whose process or machine dies."""
PATIENCE = 10.0
"""Seconds in which a cluster has to answer."""
LOOK = 0.5
"""Seconds between two looks at whether to stop."""


class OnRay:
    """Makes runs on a Ray cluster, or on one of this machine's own where there is none; a `Launcher`.

    Ray finds the cluster (RAY_ADDRESS, or a running one on this machine).

    Args:
        recipe: What they plan from.
        tell: Told in sentences of what is no result.

    Raises:
        ConfigError: Ray is not installed, or no cluster can be reached.
    """

    def __init__(self, recipe: Recipe, *, tell: Callable[[str], None] | None = None) -> None:
        try:
            import ray
        except ImportError:
            hint = "pip install 'maskcl[ray]'"
            raise ConfigError(message("--launcher ray", "must have ray, which is not installed", hint=hint)) from None
        self._ray, self._recipe, self._tell = ray, recipe, tell or (lambda text: None)
        if not ray.is_initialized():
            check_address(os.environ.get("RAY_ADDRESS", ""))
            try:
                ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
            except Exception as error:  # Ray's own and the system's: any of them means that there is no cluster
                raise ConfigError(message("--launcher ray", f"must reach a cluster ({raised(error)})")) from error

    def __call__(self, runs: Sequence[Planned], share: Share) -> None:
        """Train them; as `Launcher` has it."""
        ray, other = self._ray, any(run.spec.training.device != "cpu" for run in runs)
        cores, recipe = int(ray.cluster_resources().get("CPU", 1)), self._fitting(ray.nodes(), gpu=other)
        task = ray.remote(num_cpus=recipe.threads, num_gpus=int(other), max_retries=TRIES - 1)(_piece)
        text = Path(recipe.file).read_text(encoding="utf-8")
        begun: dict[Any, list[Planned]] = {}
        for piece in pieces(runs, max(1, cores // recipe.threads), threads=recipe.threads):
            own = share.take(piece)
            if own:
                begun[task.remote(asdict(recipe), text, [run.key for run in own])] = own
        while begun and not share.stopping():
            done, _ = ray.wait(list(begun), timeout=LOOK)
            for reference in done:
                self._collect(reference, begun.pop(reference), share)
        for reference in begun:
            ray.cancel(reference, force=True)

    def _fitting(self, nodes: Sequence[Mapping[str, Any]], *, gpu: bool) -> Recipe:
        """The recipe, with no more cores than the largest machine has: a task that fits on none waits for ever."""
        living = [node.get("Resources") or {} for node in nodes if node.get("Alive")]
        fit = [resources for resources in living if not gpu or resources.get("GPU", 0) >= 1]
        if living and not fit:
            self._tell("no machine of the cluster has a GPU, which these runs need: they wait for one")
        largest = max((int(resources.get("CPU", 0)) for resources in fit or living), default=0)
        threads = min(self._recipe.threads, max(1, largest))
        if threads < self._recipe.threads:
            asked = f"and not {self._recipe.threads}: no machine of the cluster has more"
            self._tell(f"each task gets {counted(threads, 'core')}, {asked}")
        return replace(self._recipe, threads=threads)

    def _collect(self, reference: Any, runs: Sequence[Planned], share: Share) -> None:
        """Write what a task has sent."""
        by_key = {run.key: run for run in runs}
        try:
            sent = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            share.failed(runs, raised(error))
            return
        for text in sent["said"]:
            self._tell(text)
        for key, (document, weights) in sent["results"].items():
            run = by_key[key]
            assert run.path is not None
            if weights is not None:
                write_atomically(weights_path(run.path), weights)
            write_atomically(run.path, document)
            found = run.result()
            if found is None:
                share.failed([run], "what its task has sent cannot be read")
            else:
                share.result(run, found)
                share.progress(1.0)
        for keys, reason in sent["failed"]:
            share.failed([by_key[key] for key in keys], reason)


def check_address(address: str) -> None:
    """Refuse the address of a cluster that does not answer: Ray itself tries for minutes.

    Args:
        address: HOST:PORT or ray://HOST:PORT; anything else is Ray's to read.

    Raises:
        ConfigError: In one sentence.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        must = f"must be the address of a running Ray cluster, and nothing answers there ({raised(error)})"
        raise ConfigError(message("RAY_ADDRESS", must, address, hint="ray start --head prints it")) from error


def _piece(recipe: dict[str, Any], text: str, keys: Sequence[str]) -> dict[str, Any]:
    """What a task does, wherever it is: make some runs in a folder of its own, and return their files."""
    sent: dict[str, Any] = {"results": {}, "failed": [], "said": []}

    def hear(news: dict[str, Any]) -> None:
        if "failed" in news:
            sent["failed"].append((news["failed"], news["reason"]))
        elif "said" in news:
            sent["said"].append(news["said"])

    with TemporaryDirectory() as folder:
        own = Path(folder)
        file = own / Path(recipe["file"]).name
        file.write_text(text, encoding="utf-8")
        here = replace(Recipe(**recipe), file=str(file), out=str(own / "out"))
        planned = replace(here.planned(), file=recipe["told"])
        make(here, planned, keys, hear, lambda: False)
        for run in planned.runs:
            if run.key in keys and run.path is not None and run.path.exists():
                weights = weights_path(run.path)
                sent["results"][run.key] = run.path.read_bytes(), weights.read_bytes() if weights.exists() else None
    return sent
