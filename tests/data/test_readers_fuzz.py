"""Fuzz of the image and mask readers: a clear error or a correct array, never another exception or a wrong label.

SEMISEG_FUZZ_CASES sets the number of cases (600 by default, the same ones each time; more are drawn at random), and
SEMISEG_FUZZ_RECORD names a JSON file for the outcome.
"""

from __future__ import annotations

import io
import os
import platform
import time
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

from semiseg import files
from semiseg.data.classes import read_classes
from semiseg.data.images import decode_image, decode_size
from semiseg.data.masks import ColourMasks, IndexMasks
from semiseg.data.sbd import read_mat
from semiseg.errors import UserError

# Pillow warns of much that it skips in damaged TIFF files.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CASES = int(os.environ.get("SEMISEG_FUZZ_CASES", "600"))
PARTS = {"intact": 0.2, "image": 0.25, "mask": 0.35, "mat": 0.1, "classes": 0.1}
SECONDS = 10.0  # a reader that takes longer on such small files hangs
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


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Counter[str]]:
    counter: Counter[str] = Counter()
    began = time.monotonic()
    yield counter
    if path := os.environ.get("SEMISEG_FUZZ_RECORD"):
        libraries = {"pillow": PIL.__version__, "numpy": np.__version__, "scipy": scipy.__version__}
        files.write_json(
            Path(path),
            {
                "cases": sum(counter.values()),
                "outcomes": dict(counter),
                "failures": counter["failure"],
                "seconds": round(time.monotonic() - began),
                "versions": {"python": platform.python_version(), "hypothesis": hypothesis_version, **libraries},
            },
        )


def run(outcomes: Counter[str], part: str, read: Callable[[], None]) -> None:
    """Count `read`, which checks its own result, as read or refused; anything else fails."""
    began = time.monotonic()
    try:
        read()
        outcomes[f"{part}: read"] += 1
    except UserError as error:
        assert str(error).strip()
        outcomes[f"{part}: refused"] += 1
    except BaseException:
        outcomes["failure"] += 1
        raise
    assert time.monotonic() - began < SECONDS


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


@st.composite
def image_files(draw: st.DrawFn) -> tuple[np.ndarray | None, bytes]:
    """(the pixels where the format is exact, bytes)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rgb = rng.integers(0, 256, (draw(st.integers(1, 40)), draw(st.integers(1, 40)), 3), dtype=np.uint8)
    kind = draw(st.sampled_from(["PNG", "TIFF", "BMP", "JPEG", "WEBP"]))
    exif = Image.Exif()
    turn = draw(st.sampled_from([1, 2, 3, 6, 8])) if kind != "BMP" else 1
    exif[0x0112] = turn
    options = {} if kind == "BMP" else {"exif": exif}
    if kind == "WEBP":
        options["lossless"] = True
    turned = {1: rgb, 2: rgb[:, ::-1], 3: rgb[::-1, ::-1], 6: np.rot90(rgb, -1), 8: np.rot90(rgb)}[turn]
    return (None if kind == "JPEG" else turned), encode(Image.fromarray(rgb), kind, **options)


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Flips, overwrites, cuts, insertions and repetitions at places that are shares of the file's length."""
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
