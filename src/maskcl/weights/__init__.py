"""Trained networks in files: safetensors, with what is needed to build and to use the network in their header.

A file holds numbers and JSON and never code, so that one of a stranger can be opened. Networks of one's own are built
by their factory, which has to be given again.

>>> import tempfile, torch
>>> from maskcl.networks import Mlp, build_network
>>> network = Mlp(hidden=(5,))
>>> module = build_network(network, (4,), 3, seed=0)
>>> with tempfile.TemporaryDirectory() as folder:
...     path = save_network(f"{folder}/a.safetensors", module, network=network, input_shape=(4,), num_classes=3)
...     again = load_network(path)
>>> torch.equal(again(torch.ones(2, 4)), module(torch.ones(2, 4))), again.maskcl_info.num_classes
(True, 3)
"""

from maskcl.weights.files import load_network, network_info, save_network
from maskcl.weights.header import FORMAT, PIXELS, NetworkInfo

__all__ = ["FORMAT", "PIXELS", "NetworkInfo", "load_network", "network_info", "save_network"]
