"""Files that are well-formed and say something else: what damage to bytes hardly ever gets past sizes and checksums."""

from __future__ import annotations

import gzip
import io
import json
import struct
import warnings
import zipfile
import zlib
from random import Random
from typing import Any

import numpy as np
from numpy.lib import format as npy

from fuzzing.damage import damaged, damaged_table
from fuzzing.odd import odd_value

__all__ = ["other_arrays", "other_gzip", "other_json", "other_png", "other_safetensors", "other_zip"]


_CHUNKS = (
    (b"tRNS", b"\0\1"), (b"PLTE", b"\1\2\3"), (b"acTL", b"\0\0\0\2\0\0\0\0"), (b"eXIf", b"MM\0*\0\0\0\x08"),
    (b"zTXt", b"a\0\0" + b"x" * 9),
)  # fmt: skip
"""Of a PNG: transparency, a palette, frames, EXIF, packed text; each of them broken."""


def other_gzip(content: bytes, chance: Random) -> bytes:
    """A whole gzip file of damaged content; what is no gzip file stays one that is none."""
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    return gzip.compress(damaged(plain, chance, 1), 1)


def other_json(content: bytes, chance: Random) -> bytes:
    """JSON with other values."""
    return json.dumps(damaged_table(json.loads(content), chance)).encode()


def other_png(content: bytes, chance: Random) -> bytes:
    """A PNG one of whose chunks is damaged, its checksum right."""
    chunks, at = [], 8
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    place = chance.randrange(len(chunks))
    name, inner = chunks[place]
    chunks[place] = (name, damaged(inner, chance, 1))
    if chance.random() < 0.2:
        chunks.insert(place, chance.choice(_CHUNKS))
    body = [struct.pack(">I", len(i)) + n + i + struct.pack(">I", zlib.crc32(n + i)) for n, i in chunks]
    return content[:8] + b"".join(body)


def other_safetensors(content: bytes, chance: Random) -> bytes:
    """Other values in the header of a safetensors file, or in the JSON that its metadata hold; lengths are right."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    if chance.random() < 0.75:
        own = header["__metadata__"]
        key = next(iter(own))
        inner = damaged_table(json.loads(own[key]), chance)
        own[key] = json.dumps(_sealed(key, inner, content) if chance.random() < 0.5 else inner)
    else:
        header = damaged_table(header, chance)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def _sealed(key: str, header: Any, content: bytes) -> Any:
    """A learner's header with the digest that it should have: what it says then counts for itself."""
    from safetensors.torch import load

    from maskcl.learner.header import digest_of

    if key != "maskcl.learner" or not isinstance(header, dict):
        return header
    plain = {name: value for name, value in header.items() if name != "digest"}
    return plain | {"digest": digest_of(plain, load(content))}


def other_zip(content: bytes, chance: Random) -> bytes:
    """A zip file whose members have other names or content."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = [(name, file.read(name)) for name in file.namelist()]
    place = chance.randrange(len(members))
    name, inner = members[place]
    names = ("../out", "/etc/x", "a\\b", " ", "x" * 300, f"./{name}", f"{name}/", f"{name}/y", "é/日", name.upper())
    members[place] = (chance.choice(names), inner) if chance.random() < 0.6 else (name, damaged(inner, chance, 1))
    return _zipped(members, chance)


def other_arrays(content: bytes, chance: Random) -> bytes:
    """A .npz file one of whose arrays is of another type, shape or size, or says so."""
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    name = chance.choice(list(arrays))
    members = [(f"{key}.npy", _npy(array)) for key, array in arrays.items() if key != name]
    kind = chance.choice(("array", "array", "header", "bytes", "gone", "twice"))
    if kind == "array":
        members.append((f"{name}.npy", _npy(_other_array(arrays[name], chance))))
    elif kind == "header":
        members.append((f"{name}.npy", _headed(arrays[name], chance)))
    elif kind == "bytes":
        members.append((f"{name}.npy", damaged(_npy(arrays[name]), chance, 1)))
    elif kind == "twice":
        members += [(f"{name}.npy", _npy(arrays[name]))] * 2
    return _zipped(members, chance)


def _other_array(array: np.ndarray, chance: Random) -> np.ndarray:
    """Other values, types and shapes, each of which NumPy has."""
    kinds = (
        "?",
        "i1",
        "u2",
        "i8",
        "u8",
        ">i4",
        ">f8",
        "f2",
        "f4",
        "f8",
        "c8",
        "U3",
        "S2",
        "M8[s]",
        "m8[ms]",
        "V4",
        "O",
    )
    way = chance.choice(("type", "shape", "value", "cut", "empty", "order"))
    if way == "type":
        with np.errstate(all="ignore"):
            return array.astype(chance.choice(kinds)) if chance.random() < 0.8 else np.array(array.tolist(), object)
    if way == "shape":
        new = chance.choice(
            ((array.size,), (1, array.size), (array.size, 1, 1, 1), (len(array), -1), (*array.shape, 1))
        )
        return array.reshape(new)
    if way == "value":
        other = array.astype(np.float64) if chance.random() < 0.5 else array.copy()
        values = (np.nan, np.inf, -np.inf, 1e300, -1e300, -1, 0.5) if other.dtype.kind == "f" else (0, 1, 2, 100, 255)
        other.reshape(-1)[chance.randrange(other.size)] = chance.choice(values)
        return other
    if way == "cut":
        return array[: chance.randint(0, len(array))]
    return array[:0] if way == "empty" else np.asfortranarray(array)


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    npy.write_array(out, array, allow_pickle=True)
    return out.getvalue()


def _headed(array: np.ndarray, chance: Random) -> bytes:
    """An array under a header that says something else."""
    header: dict[str, Any] = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    key = chance.choice(list(header))
    others = {
        "descr": ("<f16", "|O", "<f4", ">i2", "|V99999", "<U99999999", [("a", "<f4")], "x", "", None, "<M8[ns]"),
        "fortran_order": (True, 1, None, "x"),
        "shape": (
            (10**12,),
            (2**63, 2),
            (-1,),
            (),
            (0,),
            (1, 0),
            (10**6, 10**6),
            5,
            None,
            ("a",),
            (1.5,),
            (2**31, 2, 2),
        ),
    }
    header[key] = chance.choice(others[key]) if chance.random() < 0.8 else odd_value(chance)
    text = (repr(header) + "\n").encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text) % 65536) + text + array.tobytes()


def _zipped(members: list[tuple[str, bytes]], chance: Random) -> bytes:
    out, packing = io.BytesIO(), chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(out, "w", packing) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name are meant
        for name, content in members:
            file.writestr(name, content)
    return out.getvalue()
