"""Many runs as one undertaking: what is asked for, from where, until it is answered."""

from maskcl.launch.on_ray import OnRay
from maskcl.launch.processes import Processes
from maskcl.launch.worker import Recipe

__all__ = ["OnRay", "Processes", "Recipe"]
