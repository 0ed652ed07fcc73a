"""How runs go: plans, executors, evaluation."""

from maskcl.engine.population import Population
from maskcl.engine.run import run_population
from maskcl.engine.spec import Outcome, RunSpec, Seeds, TrainingConfig

__all__ = ["Outcome", "Population", "RunSpec", "Seeds", "TrainingConfig", "run_population"]
