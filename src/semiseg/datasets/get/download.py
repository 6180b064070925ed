"""Download one file from several mirrors: resumed after an interruption, hashed while streaming, written atomically."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.base.progress import progress

BLOCK = 1 << 16
_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # temporary statuses


@dataclass(frozen=True)
class Patience:
    timeout: float = 30.0  # seconds without a byte
    attempts: int = 4  # attempts for each mirror without progress
    progress: int = 1 << 20  # after this number of new bytes, attempts are counted from 0 again
    pause: float = 2.0  # seconds before the first repetition, doubled for each further one
    slowest: float = 1024.0  # bytes per second, on average over `window` seconds
    window: float = 60.0


@dataclass(frozen=True)
class Expected:
    """The known size and hashes of the file."""

    bytes: int | None = None
    hashes: tuple[tuple[str, str], ...] = ()  # (algorithm, hexadecimal digest)
    origin: str = ""  # origin of the hashes, and what to do if they are wrong; for messages


@dataclass(frozen=True)
class Receipt:
    url: str
    bytes: int
    hashes: dict[str, str]


class _Refused(Exception):
    """This mirror cannot provide the file; the next one is tried."""


class _Overlong(Exception):
    """More bytes than the file has."""


class _Interrupted(Exception):
    """The connection failed; the same mirror may continue."""


def download(urls: tuple[str, ...], target: Path, expected: Expected, patience: Patience | None = None) -> Receipt:
    """Write `target`, or raise a UserError with each mirror's failure; at most a part that can be resumed remains."""
    patience = patience or Patience()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target, expected)
    failures = []
    for url in urls:
        try:
            receipt = _from_mirror(url, part, expected, patience)
        except (_Refused, _Interrupted) as failure:
            failures.append(f"{url}: {failure}")
            continue
        part.path.replace(target)
        part.forget()
        return receipt
    kept = f"; {part.size / 1e6:.1f} MB are kept, and the same command continues from there" if part.size else ""
    if not part.size:
        part.forget()
    raise UserError(f"{target.name} could not be downloaded ({'; '.join(failures) or 'no mirror is known'}){kept}")


def _from_mirror(url: str, part: _Part, expected: Expected, patience: Patience) -> Receipt:
    left, pause = patience.attempts, patience.pause
    while True:
        before = part.size
        try:
            hashes = _stream(url, part, expected, patience)
            _verify(hashes, part, expected)
            return Receipt(url, part.size, hashes)
        except _Interrupted as failure:
            left = patience.attempts if part.size - before >= patience.progress else left - 1
            if left <= 0:
                raise _Interrupted(f"{failure}, {patience.attempts} times") from failure
            time.sleep(pause)
            pause = min(2 * pause, 60)


class _Part:
    """The unfinished file beside the target, and a note with its mirror and version."""

    def __init__(self, target: Path, expected: Expected) -> None:
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self.name = target.name
        self.verifiable = bool(expected.hashes)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def resume_headers(self, url: str) -> dict[str, str]:
        """Headers that request the rest; without a known hash, only if the version is unchanged."""
        if not self.size:
            return {}
        try:
            note = json.loads(self.note.read_text())
        except (OSError, ValueError):
            note = {}
        headers = {"Range": f"bytes={self.size}-"}
        if note.get("url") == url and note.get("validator"):
            return {**headers, "If-Range": note["validator"]}
        return headers if self.verifiable else {}

    def remember(self, url: str, reply: http.client.HTTPResponse) -> None:
        etag = reply.headers.get("ETag", "")
        # A weak ETag does not promise equal bytes, so it cannot guard a range.
        validator = etag if etag and not etag.startswith("W/") else reply.headers.get("Last-Modified")
        self.note.write_text(json.dumps({"url": url, "validator": validator}))

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _stream(url: str, part: _Part, expected: Expected, patience: Patience) -> dict[str, str]:
    """One connection: append what the server sends, and return the digests of the whole file."""
    headers = {"User-Agent": "semiseg", "Accept-Encoding": "identity", **part.resume_headers(url)}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=patience.timeout) as reply:
            start = part.size if reply.status == 206 else 0
            total = _announced(reply, start)
            if expected.bytes and total is not None and total != expected.bytes:
                part.forget()
                raise _Refused(f"offers {total} bytes, expected {expected.bytes}")
            _room(part, (total or expected.bytes or 0) - start)
            part.remember(url, reply)
            return _append(reply, part, start, total or expected.bytes, patience)
    except _Overlong as error:
        part.forget()
        raise _Refused(str(error)) from error
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is longer than the file, so it belongs to another version
            part.forget()
            raise _Interrupted("the unfinished file does not belong to it") from error
        raise (_Interrupted if error.code in _AGAIN else _Refused)(f"status {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Interrupted(f"no connection ({error.reason})") from error
    except TimeoutError as error:
        raise _Interrupted(f"no byte for {patience.timeout:g} s") from error
    except (http.client.HTTPException, ConnectionError, OSError) as error:
        raise _Interrupted(f"the connection broke ({error or type(error).__name__})") from error


def _announced(reply: http.client.HTTPResponse, start: int) -> int | None:
    """Size of the whole file as the server states it."""
    if reply.status == 206:
        begin, _, total = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if not begin.startswith(f"{start}-"):
            raise _Refused("answers with a range that was not requested")
        return int(total) if total.isdecimal() else None
    length = reply.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _room(part: _Part, needed: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise UserError(
            f"{part.name} needs {needed / 1e9:.2f} GB more, but {part.path.parent} has {free / 1e9:.2f} GB free; "
            "free some space or set data_root to another disk"
        )


def _append(
    reply: http.client.HTTPResponse, part: _Part, start: int, total: int | None, patience: Patience
) -> dict[str, str]:
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "sha1", "md5")}
    if start:
        _feed(part.path, digests)
    with part.path.open("ab" if start else "wb") as file, progress(part.name, total, "B", start) as advance:
        begun, count = time.monotonic(), 0
        # read1 returns after one packet; read would wait for a full block, and a trickle would never look slow.
        while block := reply.read1(BLOCK):
            if total is not None and start + count + len(block) > total:
                raise _Overlong(f"sends more than the {total} bytes expected")
            file.write(block)
            for digest in digests.values():
                digest.update(block)
            advance(len(block))
            count += len(block)
            if (elapsed := time.monotonic() - begun) > patience.window:
                if count < patience.slowest * elapsed:
                    raise _Interrupted(f"sends only {count / elapsed:.0f} bytes per second")
                start, begun, count = start + count, time.monotonic(), 0
        if total is not None and start + count < total:
            raise _Interrupted(f"the connection ended after {start + count} of {total} bytes")
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _feed(path: Path, digests: dict) -> None:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in digests.values():
                digest.update(block)


def _verify(hashes: dict[str, str], part: _Part, expected: Expected) -> None:
    for algorithm, value in expected.hashes:
        if hashes[algorithm] != value:
            part.forget()
            raise _Refused(f"wrong {algorithm} {hashes[algorithm][:12]}…, expected {value[:12]}…{expected.origin}")


def hash_file(path: Path, report: Callable[[str], None] = lambda _: None) -> Receipt:
    """The receipt of a file from the user."""
    report(f"hashing {path.name}")
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "sha1", "md5")}
    _feed(path, digests)
    return Receipt("placed by the user", path.stat().st_size, {name: d.hexdigest() for name, d in digests.items()})
