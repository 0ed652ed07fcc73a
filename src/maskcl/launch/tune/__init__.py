"""Settings chosen on held-out training rows: `maskcl.tune` and what it returns."""

from maskcl.launch.tune.study import Study, Trial, Tuned
from maskcl.launch.tune.tuning import BATCH, Prepared, prepare, search, tune

__all__ = ["BATCH", "Prepared", "Study", "Trial", "Tuned", "prepare", "search", "tune"]
