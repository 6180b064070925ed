from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.datasets.reading.images import decode_image, decode_size, image_size, read_image
from semiseg.datasets.reading.masks import ColourMasks, IndexMasks

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (12, 20), dtype=np.uint16)
INDEX = RNG.integers(0, 4, (12, 20), dtype=np.uint8)
ORIENTED = {1: RGB, 3: RGB[::-1, ::-1], 6: np.rot90(RGB, -1), 8: np.rot90(RGB, 1), 2: RGB[:, ::-1]}


def encoded(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def refusal(decode, data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        decode(data, "some/file")
    assert str(caught.value).startswith("some/file ")
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_exact_formats_give_the_very_pixels(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode_image(encoded(RGB, kind, **options), "x"), RGB)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(kind: str) -> None:
    smooth = cv2.resize(RGB[:2, :2], (64, 48), interpolation=cv2.INTER_LINEAR)
    found = decode_image(encoded(smooth, kind, quality=95), "x")
    assert np.abs(found.astype(int) - smooth).mean() < 6


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RGB[..., 0]), np.repeat(RGB[..., :1], 3, 2)),
        (Image.fromarray(np.dstack([RGB, RGB[..., 1]])), RGB),
        (Image.fromarray(np.dstack([RGB[..., 0], RGB[..., 1]]), "LA"), np.repeat(RGB[..., :1], 3, 2)),
        (Image.fromarray(RGB[..., 0] > 127), np.repeat((RGB[..., :1] > 127) * np.uint8(255), 3, 2)),
        (Image.fromarray(GREY16), np.repeat((GREY16 >> 8).astype(np.uint8)[:, :, None], 3, 2)),
    ],
    ids=["grey", "rgba", "grey and alpha", "bilevel", "16 bit"],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_mode_becomes_rgb(image: Image.Image, expected: np.ndarray, kind: str) -> None:
    assert np.array_equal(decode_image(encoded(image, kind), "x"), expected)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_per_channel_keep_the_high_byte(suffix: str) -> None:
    deep = RNG.integers(0, 65536, (6, 7, 3), dtype=np.uint16)
    data = cv2.imencode(suffix, deep[..., ::-1])[1].tobytes()
    assert np.array_equal(decode_image(data, "x"), (deep >> 8).astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_exif_turns_the_image_and_its_size(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(RGB, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    found, expected = decode_image(data, "x"), ORIENTED[orientation]
    assert found.shape == expected.shape
    assert decode_size(data, "x") == expected.shape[:2]
    if kind != "JPEG":
        assert np.array_equal(found, expected)


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(RGB, "PNG"))
    assert np.array_equal(read_image(tmp_path / "a.png"), RGB)
    assert image_size(tmp_path / "a.png") == (12, 20)
    with pytest.raises(UserError, match="No such file"):
        read_image(tmp_path / "b.png")


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


PNG = encoded(RGB, "PNG")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cannot be decoded as an image"),
        (b"<html>not found</html>", "cannot be decoded as an image"),
        (encoded(RGB, "GIF"), "cannot be decoded as an image"),
        (PNG[:-5], "is cut off"),
        (PNG[:200], "is cut off"),
        (flipped(PNG, 100), "is damaged (wrong checksum in PNG chunk 'IDAT')"),
        (flipped(PNG, 18), "is damaged (wrong checksum in PNG chunk 'IHDR')"),
        (encoded(RGB, "JPEG")[:400], "cannot be decoded as an image"),
        (encoded(RNG.random((4, 4), dtype=np.float32), "TIFF"), "floating-point"),
        (encoded(np.full((4, 4), 70000, np.int32), "TIFF"), "32-bit"),
    ],
)
def test_bad_images_are_answered(data: bytes, sentence: str) -> None:
    assert sentence in refusal(decode_image, data)


def test_enormous_images_are_refused_before_they_are_decoded() -> None:
    head = b"\x49\x49\x2a\x00"  # a TIFF that claims 30,000 x 30,000 pixels
    tags = [(256, 30000), (257, 30000), (258, 8), (262, 1), (273, 8), (279, 9)]
    entries = b"".join(tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little") for tag, value in tags)
    data = head + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little") + entries + bytes(4)
    for read in (decode_image, decode_size):
        assert "cut it into tiles" in refusal(read, data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_index_masks(kind: str) -> None:
    masks = IndexMasks.plain(4)
    with_void = np.where(RNG.random(INDEX.shape) < 0.1, np.uint8(255), INDEX)
    assert np.array_equal(masks.decode(encoded(with_void, kind), "x"), with_void)
    palette = Image.fromarray(with_void, "P")
    palette.putpalette(list(range(256)) * 3)
    assert np.array_equal(masks.decode(encoded(palette, kind), "x"), with_void)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_index_masks_of_one_and_sixteen_bits(kind: str) -> None:
    binary = Image.fromarray(INDEX > 1)
    assert np.array_equal(IndexMasks.plain(2).decode(encoded(binary, kind), "x"), INDEX > 1)
    wide = INDEX.astype(np.uint16) * 1000
    masks = IndexMasks(((0, 0), (1000, 1), (2000, 255), (3000, 2)))
    assert np.array_equal(masks.decode(encoded(wide, kind), "x"), np.array([0, 1, 255, 2], np.uint8)[INDEX])


COLOURS = np.array([[60, 16, 152], [132, 41, 246], [110, 193, 228], [155, 155, 155]], np.uint8)
COLOUR_MASKS = ColourMasks(tuple((tuple(int(v) for v in c), k) for c, k in zip(COLOURS, (0, 1, 2, 255), strict=True)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_masks(mode: str) -> None:
    if mode == "P":
        image = Image.fromarray(INDEX, "P")
        image.putpalette([int(v) for v in COLOURS.ravel()])
    else:
        image = Image.fromarray(COLOURS[INDEX]).convert(mode)
    expected = np.array([0, 1, 2, 255], np.uint8)[INDEX]
    assert np.array_equal(COLOUR_MASKS.decode(encoded(image, "PNG"), "x"), expected)


def other_colour() -> np.ndarray:
    wrong = COLOURS[INDEX]
    wrong[0, :3] = (60, 16, 153)
    return wrong


@pytest.mark.parametrize(
    ("coding", "data", "sentence"),
    [
        (IndexMasks.plain(3), encoded(INDEX, "PNG"), f"3 on {int((INDEX == 3).sum())} pixels"),
        (IndexMasks.plain(4), encoded(RGB, "PNG"), "mode RGB"),
        (IndexMasks.plain(4), encoded(INDEX, "JPEG"), "lossy JPEG"),
        (COLOUR_MASKS, encoded(COLOURS[INDEX], "JPEG", quality=100), "lossy JPEG"),
        (COLOUR_MASKS, encoded(COLOURS[INDEX], "WEBP", quality=100), "lossy WebP"),
        (COLOUR_MASKS, encoded(other_colour(), "PNG"), "(60, 16, 153) on 3 pixels"),
        (COLOUR_MASKS, encoded(GREY16, "PNG"), "8-bit colours"),
        (IndexMasks.plain(4), encoded(np.full((4, 4), -1, np.int32), "TIFF"), "32-bit"),
        (IndexMasks.plain(4), encoded(np.zeros((4, 4), np.float32), "TIFF"), "mode F"),
        (IndexMasks.plain(4), flipped(encoded(INDEX, "PNG"), 60), "damaged"),
    ],
)
def test_bad_masks_are_answered(coding, data: bytes, sentence: str) -> None:
    assert sentence in refusal(coding.decode, data)


def test_lossless_webp_is_a_fine_colour_mask() -> None:
    data = encoded(COLOURS[INDEX], "WEBP", lossless=True)
    assert np.array_equal(COLOUR_MASKS.decode(data, "x"), np.array([0, 1, 2, 255], np.uint8)[INDEX])


def test_a_mask_of_several_pages_or_lossy_pages_is_refused() -> None:
    pages = [Image.fromarray(INDEX), Image.fromarray(INDEX[::-1].copy())]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    assert "2 pages" in refusal(IndexMasks.plain(4).decode, stream.getvalue())
    jpeg = encoded(COLOURS[INDEX], "TIFF", compression="jpeg")
    assert "lossy JPEG" in refusal(COLOUR_MASKS.decode, jpeg)
