"""Many runs as one undertaking: in several processes, on a cluster, or in search of settings."""

from maskcl.launch.on_devices import OnDevices, check_devices
from maskcl.launch.on_ray import OnRay
from maskcl.launch.processes import Processes
from maskcl.launch.worker import Recipe

__all__ = ["OnDevices", "OnRay", "Processes", "Recipe", "check_devices"]
