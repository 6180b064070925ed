"""Reads image files of any format as RGB arrays of 8 bits; all other files are errors."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from semiseg.base.errors import UserError

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
MAX_PIXELS = 2**27  # 11,585 x 11,585; a larger size more likely comes from a damaged header than from a usable image
_CUT = "cut it into tiles below 11,000x11,000"
_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def read_bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file and its permissions") from error


def read_image(path: str | Path) -> np.ndarray:
    """uint8 [H, W, 3], turned as EXIF says; alpha is dropped, 16 bits become 8 by their high byte."""
    return decode_image(read_bytes(path), path)


def decode_image(data: bytes, where: str | Path) -> np.ndarray:
    image = open_image(data, where)
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        grey = _sixteen_bits(image, where)
        return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise UserError(f"{where} holds floating-point values; convert it to 8 or 16 bits per channel")
    return np.array(image.convert("RGB"))


def _sixteen_bits(image: Image.Image, where: str | Path) -> np.ndarray:
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise UserError(f"{where} holds 32-bit values; convert it to 8 or 16 bits per channel")
    return values.astype(np.uint16)


def open_image(data: bytes, where: str | Path) -> Image.Image:
    """The decoded file, upright. Any exception of a decoder is reported as a damaged file."""
    if data.startswith(_PNG):
        _verify_png(data, where)
    try:
        image = _open_header(data)
        if image.width * image.height > MAX_PIXELS:
            raise UserError(f"{where} has {image.width}x{image.height} pixels; {_CUT}")
        pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # phones add a preview to their JPEGs
        if pages > 1:
            raise UserError(f"{where} has {pages} pages, frames or overviews; save it with one")
        image.load()
        return ImageOps.exif_transpose(image)
    except (UserError, MemoryError):
        raise
    except Image.DecompressionBombError as error:  # Pillow's limit, which is higher
        raise UserError(f"{where} has far more than {MAX_PIXELS:,} pixels; {_CUT}") from error
    except Exception as error:  # on damaged files decoders raise OSError, SyntaxError, struct.error and other errors
        raise UserError(f"{where} cannot be decoded as an image ({_reason(error)}); replace the file") from error


def _open_header(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _reason(error: Exception) -> str:
    text = str(error).split("<_io")[0].strip(" '") or type(error).__name__
    return text.splitlines()[0][:200]


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) as displayed, from the header alone."""
    return decode_size(read_bytes(path), path)


def decode_size(data: bytes, where: str | Path) -> tuple[int, int]:
    try:
        image = _open_header(data)
        height, width = image.height, image.width
        # Pillow has already swapped the sides of a rotated TIFF; a PNG's EXIF may lie after the pixels.
        if image.format == "TIFF":
            turned = False
        elif image.format == "PNG":
            turned = _png_orientation(data) in _TURNED
        else:
            turned = image.getexif().get(_ORIENTATION) in _TURNED
        return (width, height) if turned else (height, width)
    except Image.DecompressionBombError as error:
        raise UserError(f"{where} has far more than {MAX_PIXELS:,} pixels; {_CUT}") from error
    except Exception as error:  # as in open_image
        raise UserError(f"{where} cannot be read as an image ({_reason(error)}); replace the file") from error


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each chunk's content; struct.error if the file ends too early."""
    position = len(_PNG)
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8, position + 8 + length
        if kind == b"IEND":
            return
        position += 12 + length


def _verify_png(data: bytes, where: str | Path) -> None:
    """Check every chunk's CRC: Pillow skips those of the pixels, where a flipped bit could become another class."""
    try:
        for kind, start, end in _png_chunks(data):
            (stored,) = struct.unpack_from(">I", data, end)
            if zlib.crc32(memoryview(data)[start - 4 : end]) != stored:
                name = kind.decode("latin-1")
                raise UserError(f"{where} is damaged (wrong checksum in PNG chunk {name!r}); copy or download it again")
    except struct.error as error:
        raise UserError(f"{where} is cut off (PNG without its end); copy or download it again") from error


def _png_orientation(data: bytes) -> int | None:
    for kind, start, end in _png_chunks(data):
        if kind == b"eXIf":
            exif = Image.Exif()
            exif.load(data[start:end])
            return exif.get(_ORIENTATION)
    return None
