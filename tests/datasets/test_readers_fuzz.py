"""Fuzz of the image and mask readers: a clear error or a correct array, never another exception or a wrong label.

SEMISEG_FUZZ_CASES sets the number of cases (600 by default, the same ones each time; more are drawn at random), and
SEMISEG_FUZZ_RECORD names a JSON file for the outcome.
"""

from __future__ import annotations

import io
import os
import platform
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL
import pytest
import scipy
from hypothesis import HealthCheck, given, settings
from hypothesis import __version__ as hypothesis_version
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.base.fingerprint import fingerprint
from semiseg.datasets.get.sbd import read_mat
from semiseg.datasets.reading.classes import read_classes
from semiseg.datasets.reading.images import decode_image, decode_size
from semiseg.datasets.reading.masks import ColourMasks, IndexMasks

# Pillow warns of much that it skips in damaged TIFF files.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CASES = int(os.environ.get("SEMISEG_FUZZ_CASES", "600"))
PARTS = {"intact": 0.2, "image": 0.25, "pages": 0.05, "mask": 0.3, "mat": 0.1, "classes": 0.1}
SECONDS = 10.0  # of the processor: a reader that takes longer on such small files hangs, on a busy machine too
CLASSES = 5
PALETTE = np.random.default_rng(1).integers(0, 256, (256, 3), dtype=np.uint8)
COLOURS = ColourMasks(tuple((tuple(int(v) for v in PALETTE[k]), k) for k in (*range(CLASSES), 255)))
INDICES = IndexMasks.plain(CLASSES)


def budget(part: str) -> settings:
    return settings(
        max_examples=max(10, round(PARTS[part] * CASES)),
        derandomize="SEMISEG_FUZZ_CASES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


RECORD = Path(__file__).parents[2] / "results/fuzz/readers.json"


def readers() -> str:
    """Hash of the tested code, without comments and docstrings."""
    modules = [
        f"semiseg.datasets.{name}"
        for name in ("reading.images", "reading.masks", "reading.classes", "get.sbd", "reading.matfile")
    ]
    found = fingerprint(*modules, of_training=False)
    return files.sha256_json({name: found[name] for name in modules})


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Counter[str]]:
    counter: Counter[str] = Counter()
    began = time.process_time()
    yield counter
    if path := os.environ.get("SEMISEG_FUZZ_RECORD"):
        libraries = {"pillow": PIL.__version__, "numpy": np.__version__, "scipy": scipy.__version__}
        files.write_json(
            Path(path),
            {
                "cases": sum(counter.values()),
                "outcomes": dict(counter),
                "failures": counter["failure"],
                "readers": readers(),
                "seconds": round(time.process_time() - began),
                "versions": {"python": platform.python_version(), "hypothesis": hypothesis_version, **libraries},
            },
        )


def test_the_record_is_of_these_readers():
    record = files.read_json(RECORD)
    assert record["cases"] >= 20_000
    assert record["failures"] == 0
    assert record["readers"] == readers(), (
        f"type SEMISEG_FUZZ_CASES=21000 SEMISEG_FUZZ_RECORD={RECORD} pytest {__file__}"
    )


def run(outcomes: Counter[str], part: str, read: Callable[[], None]) -> None:
    """Call `read`, which checks its result, and count it as read or refused; all other errors fail the test."""
    began = time.process_time()
    try:
        read()
        outcomes[f"{part}: read"] += 1
    except UserError as error:
        assert str(error).strip()
        outcomes[f"{part}: refused"] += 1
    except BaseException:
        outcomes["failure"] += 1
        raise
    assert time.process_time() - began < SECONDS


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@st.composite
def labels(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = np.array([*range(CLASSES), 255], np.uint8)
    return values[rng.integers(0, draw(st.integers(1, len(values))), (height, width))]


@st.composite
def mask_files(draw: st.DrawFn) -> tuple[np.ndarray, object, str, bytes]:
    """(label, coding, kind of file, bytes)."""
    label = draw(labels())
    kind = draw(st.sampled_from(["PNG", "TIFF", "BMP", "WEBP"]))
    if kind == "WEBP" or draw(st.booleans()):
        image = Image.fromarray(PALETTE[label])
        if kind in ("PNG", "WEBP") and draw(st.booleans()):
            image.putalpha(draw(st.integers(1, 255)))
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        return label, COLOURS, kind, encode(image, kind, **options)
    image = (
        Image.fromarray(label.astype(np.uint16)) if kind != "BMP" and draw(st.booleans()) else Image.fromarray(label)
    )
    if image.mode == "L" and draw(st.booleans()):
        image = Image.fromarray(label, "P")
        image.putpalette(PALETTE.ravel().tolist())
    options = {"compression": draw(st.sampled_from([None, "tiff_lzw", "tiff_deflate"]))} if kind == "TIFF" else {}
    return label, INDICES, kind, encode(image, kind, **options)


# Mode of the file -> the formats that keep its very values. 16 bits of colour are read by their high byte.
MODES = {
    "RGB": ("PNG", "TIFF", "BMP", "WEBP", "JPEG"),
    "L": ("PNG", "TIFF", "BMP", "JPEG"),
    "LA": ("PNG", "TIFF"),
    "RGBA": ("PNG", "TIFF", "WEBP"),
    "P": ("PNG", "TIFF", "BMP"),
    "1": ("PNG", "TIFF", "BMP"),
    "I;16": ("PNG", "TIFF"),
    "I;16B": ("TIFF",),
    "CMYK": ("TIFF", "JPEG"),
    "RGB16": ("PNG",),
}


@st.composite
def image_files(draw: st.DrawFn) -> tuple[np.ndarray | None, bytes]:
    """(the pixels where the format is exact, bytes)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    mode = draw(st.sampled_from(list(MODES)))
    kind = draw(st.sampled_from(MODES[mode]))
    exif = Image.Exif()
    turn = draw(st.sampled_from([1, 2, 3, 6, 8])) if kind != "BMP" and mode != "RGB16" else 1
    exif[0x0112] = turn
    options = {} if kind == "BMP" else {"exif": exif}
    if kind == "WEBP":
        options |= {"lossless": True, "exact": True}
    if kind == "TIFF":
        options["compression"] = draw(st.sampled_from([None, "tiff_lzw", "tiff_deflate", "packbits"]))
    pixels, data = _deep_png(rng, size) if mode == "RGB16" else _drawn(rng, size, mode, kind, options)
    half, left, right = np.rot90(pixels, 2), np.rot90(pixels), np.rot90(pixels, -1)
    turned = {1: pixels, 2: pixels[:, ::-1], 3: half, 6: right, 8: left}[turn]
    return (None if kind == "JPEG" or mode == "CMYK" else turned), data


def _drawn(
    rng: np.random.Generator, size: tuple[int, int], mode: str, kind: str, options: dict
) -> tuple[np.ndarray, bytes]:
    """(what the reader should make of it: RGB, uint8; the file)."""
    if mode.startswith("I;16"):
        values = rng.integers(0, 65536, size, dtype=np.uint16)
        order = ">u2" if mode.endswith("B") else "<u2"
        image = Image.frombytes(mode, size[::-1], values.astype(order).tobytes())
        return np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, 2), encode(image, kind, **options)
    if mode in ("1", "P"):
        values = rng.integers(0, 2 if mode == "1" else 256, size, dtype=np.uint8)
        image = Image.fromarray(values * 255).convert("1") if mode == "1" else Image.fromarray(values, "P")
        if mode == "P":
            image.putpalette(PALETTE.ravel().tolist())
        table = PALETTE if mode == "P" else np.array([[0] * 3, [255] * 3], np.uint8)
        return table[values], encode(image, kind, **options)
    bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    values = rng.integers(0, 256, (*size, bands), dtype=np.uint8)
    image = Image.frombytes(mode, size[::-1], values.tobytes())
    shown = np.repeat(values[..., :1], 3, 2) if bands < 3 else values[..., :3]
    return shown, encode(image, kind, **options)


def _deep_png(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, bytes]:
    """Three channels of 16 bits, which Pillow reads and cannot write."""
    values = rng.integers(0, 65536, (*size, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", size[1], size[0], 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return (values >> 8).astype(np.uint8), b"\x89PNG\r\n\x1a\n" + parts


@st.composite
def many_pages(draw: st.DrawFn) -> bytes:
    """A TIFF, WebP or PNG with several pages or frames, which is ambiguous."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["TIFF", "WEBP", "PNG"]))
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    count = draw(st.integers(2, 4))
    pages = [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for _ in range(count)]
    return encode(pages[0], kind, save_all=True, append_images=pages[1:])


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Flips, overwrites, cuts, insertions and repetitions at positions relative to the file's length."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["flip", "write", "cut", "insert", "drop", "repeat"]),
                st.floats(0, 1, exclude_max=True),
                st.binary(min_size=1, max_size=8),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def apply(data: bytes) -> bytes:
        for what, share, content in steps:
            at = int(share * len(data))
            n = len(content)
            if what == "flip":
                data = data[:at] + bytes(b ^ content[0] for b in data[at : at + 1]) + data[at + 1 :]
            elif what == "write":
                data = data[:at] + content + data[at + n :]
            elif what == "cut":
                data = data[:at]
            elif what == "insert":
                data = data[:at] + content + data[at:]
            elif what == "drop":
                data = data[:at] + data[at + n :]
            else:
                data = data[:at] + data[at : at + 5 * n] + data[at:]
        return data

    return apply


@budget("intact")
@given(mask=mask_files(), image=image_files())
def test_intact_files_give_their_very_content(outcomes, mask, image) -> None:
    label, coding, _, data = mask
    pixels, picture = image

    def read() -> None:
        assert np.array_equal(coding.decode(data, "mask"), label)
        found = decode_image(picture, "image")
        assert decode_size(picture, "image") == found.shape[:2]
        assert pixels is None or np.array_equal(found, pixels)

    run(outcomes, "intact", read)


@budget("image")
@given(image=image_files(), change=damage())
def test_damaged_images(outcomes, image, change) -> None:
    data = change(image[1])

    def read() -> None:
        found = decode_image(data, "image")
        assert found.dtype == np.uint8
        assert found.ndim == 3
        assert found.shape[2] == 3
        assert decode_size(data, "image") == found.shape[:2]

    run(outcomes, "image", read)


@budget("pages")
@given(data=many_pages(), change=st.one_of(st.none(), damage()))
def test_files_of_many_pages(outcomes, data, change) -> None:
    def read() -> None:
        found = decode_image(change(data) if change else data, "image")
        assert change, "a file of several pages was read as one image"
        assert found.dtype == np.uint8
        assert found.ndim == 3

    run(outcomes, "pages", read)


@budget("mask")
@given(mask=mask_files(), change=damage())
def test_damaged_masks(outcomes, mask, change) -> None:
    label, coding, kind, data = mask
    changed = change(data)

    def read() -> None:
        found = coding.decode(changed, "mask")
        assert found.dtype == np.uint8
        assert found.ndim == 2
        assert set(np.unique(found)) <= {*range(CLASSES), 255}
        if kind == "PNG":  # its checksums leave no room for another label
            assert np.array_equal(found, label)

    run(outcomes, "mask", read)


@budget("mat")
@given(label=labels(), compressed=st.booleans(), change=st.one_of(st.none(), damage()))
def test_mat_files(outcomes, tmp_path_factory, label, compressed, change) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.mat"
    stream = io.BytesIO()
    label = np.where(label == 255, np.uint8(20), label)
    savemat(stream, {"GTcls": {"Segmentation": label, "CategoriesPresent": [1]}}, do_compression=compressed)
    path.write_bytes(change(stream.getvalue()) if change else stream.getvalue())

    def read() -> None:
        found = read_mat(path, label.shape)
        assert found.shape == label.shape
        assert found.max() <= 20
        if not change or compressed:  # its checksum leaves no room for another label, but for the header's text
            assert np.array_equal(found, label)

    run(outcomes, "mat", read)


YAML = b"masks: index\nclasses:\n  - {name: a, value: 0}\n  - {name: b, value: 7, colour: [1, 2, 3]}\nignore: [255]\n"


@budget("classes")
@given(content=st.one_of(damage().map(lambda change: change(YAML)), st.binary(max_size=60)))
def test_classes_files(outcomes, tmp_path_factory, content) -> None:
    path = tmp_path_factory.getbasetemp() / "classes.yaml"
    path.write_bytes(content)

    def read() -> None:
        classes = read_classes(path)
        assert 2 <= len(classes.names) == len(classes.palette) <= 255

    run(outcomes, "classes", read)
