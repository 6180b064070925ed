"""A loopback HTTP server that serves files, and misbehaves on request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    content: bytes
    status: int = 200  # other than 200: that status and no content
    ranges: bool = True  # honour Range
    cut: list[int] = field(default_factory=list)  # close after that many bytes of the file, once for each entry
    announce: int | None = None  # state this Content-Length
    chunked: bool = False  # state no length
    trickle: float = 0.0  # seconds before each byte
    silent: bool = False  # send nothing at all
    etag: str = '"one"'
    requests: list[str | None] = field(default_factory=list)  # the Range headers that arrived


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        behaviour: Behaviour | None = self.server.files.get(self.path)
        if behaviour is None:
            self.send_error(404, "Not Found")
            return
        behaviour.requests.append(self.headers.get("Range"))
        if behaviour.status != 200:
            self.send_error(behaviour.status)
            return
        start = self._start(behaviour)
        if start is not None and start >= len(behaviour.content):
            self.send_error(416)
            return
        self._answer(behaviour, start)

    def _start(self, behaviour: Behaviour) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        guarded = self.headers.get("If-Range", behaviour.etag) == behaviour.etag
        return int(asked[1]) if asked and behaviour.ranges and guarded else None

    def _answer(self, behaviour: Behaviour, start: int | None) -> None:
        content = behaviour.content
        self.send_response(200 if start is None else 206)
        begin = start or 0
        if start is not None:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if not behaviour.chunked:
            self.send_header("Content-Length", str(behaviour.announce or len(content) - begin))
        self.send_header("ETag", behaviour.etag)
        self.end_headers()
        if behaviour.silent:
            self.server.stopping.wait(5)
            return
        end = behaviour.cut.pop(0) if behaviour.cut else len(content)
        if behaviour.trickle:
            self._trickle(content[begin:end], behaviour.trickle)
        else:
            self.wfile.write(content[begin:end])

    def _trickle(self, content: bytes, pause: float) -> None:
        for byte in content:
            if self.server.stopping.is_set():
                return
            time.sleep(pause)
            try:
                self.wfile.write(bytes([byte]))
            except OSError:  # the client has had enough
                return

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(files: dict[str, Behaviour]) -> Iterator[str]:
    """Yield the address; paths begin with /."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.files = files
    server.stopping = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
