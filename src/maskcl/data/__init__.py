"""Data sets: the built-in digits, MNIST and Fashion-MNIST from idx files, and one's own arrays or loaders.

Importing this package imports neither torch nor scikit-learn nor anything of the network.
"""

from maskcl.data.base import Dataset, from_arrays
from maskcl.data.registry import (
    DATASETS,
    Availability,
    DatasetInfo,
    Loader,
    available,
    download,
    load,
    register,
    verify,
)
from maskcl.data.source import FileState, Source, data_root

__all__ = [
    "DATASETS",
    "Availability",
    "Dataset",
    "DatasetInfo",
    "FileState",
    "Loader",
    "Source",
    "available",
    "data_root",
    "download",
    "from_arrays",
    "load",
    "register",
    "verify",
]
