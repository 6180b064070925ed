"""Reads MATLAB 5 files: one field of a struct, as in SBD's masks, or the only matrix, as in masks of users.

scipy.io.loadmat is not used, because damaged files can crash it: 5 of 600 randomly damaged masks ended the process with
a segmentation fault or bus error (scipy 1.17.1). Here every length is compared with the bytes that exist. Format:
"MAT-File Format", The MathWorks, level 5.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator

import numpy as np

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = range(6, 16)  # classes of arrays: double, single, integers
_NUMERIC = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_LARGEST = 1 << 28  # most bytes of a compressed variable after decompression


def is_matlab(data: bytes) -> bool:
    return data.startswith(b"MATLAB ")


def read_field(data: bytes, variable: str, field: str) -> np.ndarray:
    """The array `field` of the 1x1 struct `variable`; ValueError if the file has another structure."""
    order = _byte_order(data)
    for content in _variables(data, order):
        _, name, rest = _matrix(content, order)
        if name == variable:
            return _numbers(_field(rest, field, order), order)
    raise ValueError(f"no variable {variable}")


def read_matrix(data: bytes) -> np.ndarray:
    """The only matrix of numbers with more than one row and column; ValueError if there is none, or several."""
    order = _byte_order(data)
    found: dict[str, bytes] = {}
    for content in _variables(data, order):
        (kind, shape), name, _ = _matrix(content, order)
        if kind in _NUMBERS and len(shape) == 2 and min(shape) > 1:
            found[name] = content
    if len(found) != 1:
        raise ValueError(f"{len(found)} matrices of numbers{': ' if found else ''}{', '.join(found)}; expected one")
    return _numbers(*found.values(), order)


def _byte_order(data: bytes) -> str:
    if data.startswith(b"MATLAB 7.3"):
        raise ValueError("it is of version 7.3, which is HDF5")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if len(data) < _HEADER or order is None:
        raise ValueError("no MATLAB 5 file")
    return order


def _variables(data: bytes, order: str) -> Iterator[bytes]:
    for kind, content in _elements(data[_HEADER:], order, padded=False):
        if kind == _COMPRESSED:
            kind, content = _single(_unfolded(content), order)
        if kind == _MATRIX:
            yield content


def _elements(data: bytes, order: str, padded: bool = True) -> Iterator[tuple[int, bytes]]:
    """(type, content) of successive data elements."""
    position = 0
    while position + 8 <= len(data):
        kind, size = (int(value) for value in np.frombuffer(data, f"{order}u4", 2, position))
        if kind >> 16:  # the small form: type and size share one word, and the content is in the second word
            kind, size, start, step = kind & 0xFFFF, kind >> 16, position + 4, 8
            if size > 4:
                raise ValueError("a small element of more than 4 bytes")
        else:
            start = position + 8
            step = 8 + (-(-size // 8) * 8 if padded or kind != _COMPRESSED else size)
        if start + size > len(data):
            raise ValueError("an element goes beyond the end of the file")
        yield kind, data[start : start + size]
        position += step


def _single(data: bytes, order: str) -> tuple[int, bytes]:
    for element in _elements(data, order):
        return element
    raise ValueError("an element is missing")


def _unfolded(content: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(content, _LARGEST)
    except zlib.error as error:
        raise ValueError(f"damaged compression ({error})") from error
    if not stream.eof:
        raise ValueError("the compressed variable is cut off or too large")
    return data


def _matrix(content: bytes, order: str) -> tuple[tuple[int, tuple[int, ...]], str, list[tuple[int, bytes]]]:
    """((class, dimensions), name, further elements)."""
    elements = list(_elements(content, order))
    if len(elements) < 3:
        raise ValueError("an array without flags, dimensions or name")
    (_, flags), (_, sizes), (_, name), *rest = elements
    if len(flags) < 4 or len(sizes) < 8 or len(sizes) % 4:
        raise ValueError("an array without flags or dimensions")
    shape = tuple(int(size) for size in np.frombuffer(sizes, f"{order}i4"))
    return (int(np.frombuffer(flags, f"{order}u4", 1)[0]) & 0xFF, shape), name.decode("latin-1"), rest


def _field(rest: list[tuple[int, bytes]], field: str, order: str) -> bytes:
    if len(rest) < 2 or len(rest[0][1]) < 4:
        raise ValueError("the variable is no struct")
    width = int(np.frombuffer(rest[0][1], f"{order}i4", 1)[0])
    names = rest[1][1]
    if width < 1 or len(names) % width:
        raise ValueError("a struct without names of fields")
    listed = [names[at : at + width].split(b"\0")[0].decode("latin-1") for at in range(0, len(names), width)]
    if field not in listed or len(rest) != 2 + len(listed):
        raise ValueError(f"no single field {field}")
    kind, content = rest[2 + listed.index(field)]
    if kind != _MATRIX:
        raise ValueError(f"the field {field} is no array")
    return content


def _numbers(content: bytes, order: str) -> np.ndarray:
    (kind, shape), _, rest = _matrix(content, order)
    if not rest or rest[0][0] not in _NUMERIC or kind not in _NUMBERS:
        raise ValueError("the field holds no numbers")
    values = np.frombuffer(rest[0][1], np.dtype(f"{order}{_NUMERIC[rest[0][0]]}"))
    if min(shape) < 0 or math.prod(shape) != values.size:
        raise ValueError(f"{values.size} values for an array of {'x'.join(str(size) for size in shape)}")
    return values.reshape(shape, order="F")
