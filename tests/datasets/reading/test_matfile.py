from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from semiseg.datasets.reading.matfile import read_field


def mat(value: object, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"other": np.eye(3), "GTcls": value}, do_compression=compressed)
    return stream.getvalue()


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    kind=st.sampled_from(["u1", "i2", "i4", "u4", "f4", "f8"]),
    compressed=st.booleans(),
)
def test_it_reads_what_scipy_writes(height: int, width: int, kind: str, compressed: bool) -> None:
    array = np.random.default_rng(height * width).integers(0, 100, (height, width)).astype(kind)
    boundaries = np.empty((20, 1), object)  # as in SBD: a cell of sparse matrices, which is skipped
    for k in range(20):
        boundaries[k, 0] = scipy.sparse.csc_matrix((height, width))
    value = {"Boundaries": boundaries, "Segmentation": array, "CategoriesPresent": np.array([[1], [5]], np.uint8)}
    data = mat(value, compressed)
    assert np.array_equal(read_field(data, "GTcls", "Segmentation"), array)
    assert read_field(data, "GTcls", "CategoriesPresent").ravel().tolist() == [1, 5]


def test_big_endian_files() -> None:
    """Built by hand after the format's description: SciPy writes little-endian alone."""

    def element(kind: int, content: bytes) -> bytes:
        return kind.to_bytes(4) + len(content).to_bytes(4) + content + bytes(-len(content) % 8)

    def matrix(kind: int, name: bytes, rest: bytes, shape: tuple[int, int]) -> bytes:
        flags = element(6, kind.to_bytes(4) + bytes(4))
        dimensions = element(5, b"".join(size.to_bytes(4) for size in shape))
        return element(14, flags + dimensions + element(1, name) + rest)

    numbers = matrix(9, b"", element(4, np.array([1, 2, 3, 4, 5, 6], ">u2").tobytes()), (2, 3))
    fields = (5 << 16 | 4).to_bytes(4)[2:] + (5).to_bytes(2) + (8).to_bytes(4)
    assert fields[:4] == b"\x00\x04\x00\x05"  # the small form: size 4, type int32
    struct = matrix(2, b"GTcls", fields + element(1, b"A\0\0\0\0\0\0\0") + numbers, (1, 1))
    data = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + struct
    assert read_field(data, "GTcls", "A").tolist() == [[1, 3, 5], [2, 4, 6]]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no MATLAB 5 file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "no MATLAB 5 file"),
        (mat({"Segmentation": np.eye(9)})[:-100], "beyond the end"),
        (mat({"Segmentation": np.eye(9)}, compressed=True)[:-10], "beyond the end"),
        (mat({"Other": np.eye(9)}), "no single field Segmentation"),
        (mat({"Segmentation": "text"}), "holds no numbers"),
        (mat({"Segmentation": {"a": 1}}), "holds no numbers"),
        (mat(np.eye(9)), "struct"),
    ],
)
def test_other_files_are_answered(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_field(data, "GTcls", "Segmentation")


def test_a_flipped_bit_in_a_compressed_file_is_noticed() -> None:
    data = bytearray(mat({"Segmentation": np.arange(900.0).reshape(30, 30)}, compressed=True))
    data[-200] ^= 1
    with pytest.raises(ValueError, match="damaged compression"):
        read_field(bytes(data), "GTcls", "Segmentation")
