"""How runs go: plans, executors, evaluation."""

from maskcl.engine.checkpoints import Checkpoints
from maskcl.engine.group import StopError
from maskcl.engine.population import Population
from maskcl.engine.run import run_population
from maskcl.engine.spec import Outcome, RunSpec, Seeds, TrainingConfig

__all__ = [
    "Checkpoints",
    "Outcome",
    "Population",
    "RunSpec",
    "Seeds",
    "StopError",
    "TrainingConfig",
    "run_population",
]
