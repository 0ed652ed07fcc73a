"""Data sets: those known by name, folders of pictures, and one's own arrays, files, Datasets or loaders.

Importing this package imports neither torch nor scikit-learn nor anything of the network.
"""

from maskcl.data.base import Dataset, from_arrays
from maskcl.data.cache import CacheState, caches, clear_caches
from maskcl.data.folder import FolderData, from_folder
from maskcl.data.npz import NpzData, from_npz
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
from maskcl.data.torch_dataset import from_dataset

__all__ = [
    "DATASETS",
    "Availability",
    "CacheState",
    "Dataset",
    "DatasetInfo",
    "FileState",
    "FolderData",
    "Loader",
    "NpzData",
    "Source",
    "available",
    "caches",
    "clear_caches",
    "data_root",
    "download",
    "from_arrays",
    "from_dataset",
    "from_folder",
    "from_npz",
    "load",
    "register",
    "verify",
]
