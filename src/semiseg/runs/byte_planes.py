"""Arrays of unsigned integers, byte by byte: first all lowest bytes, then all second ones, and so on.

Counts are mostly small, so their high bytes are alike. LZMA makes a tenth less of them in this order.
"""

from __future__ import annotations

import numpy as np

AFFECTS_RESULTS = False

MARK = "/bytes"

Arrays = dict[str, np.ndarray]


def apart(arrays: Arrays) -> Arrays:
    """Arrays of a single byte, and of anything but unsigned integers, are left as they are."""
    return dict(_apart(name, values) for name, values in arrays.items())


def together(arrays: Arrays) -> Arrays:
    """The inverse of `apart`."""
    return dict(_together(name, values) for name, values in arrays.items())


def _apart(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    if values.dtype.kind != "u" or values.dtype.itemsize == 1:
        return name, values
    little = values.astype(values.dtype.newbyteorder("<"), order="C")
    return name + MARK, np.ascontiguousarray(np.moveaxis(little[..., None].view(np.uint8), -1, 0))


def _together(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    if not name.endswith(MARK):
        return name, values
    joined = np.ascontiguousarray(np.moveaxis(values, 0, -1)).view(f"<u{len(values)}")
    return name.removesuffix(MARK), joined[..., 0].astype(joined.dtype.newbyteorder("="))
