"""Many runs as one undertaking: what is asked for, from where, until it is answered."""

from maskcl.launch.processes import Processes
from maskcl.launch.worker import Recipe

__all__ = ["Processes", "Recipe"]
