"""A training holds a lease in its run folder, so that two processes cannot train the same run at once.

The holder writes a heartbeat. A second process waits, or takes over if the holder is provably dead: its process has
left this host, its Slurm job has left the queue, or, if neither can be queried (another host's process in a job that
was restarted), its heartbeat is old.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.base.files import peek_json, write_json

AFFECTS_RESULTS = False

HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 180.0  # a holder with an older heartbeat counts as dead if nothing else is known


class Lease:
    """The holder's side: it writes its progress with each heartbeat, and learns of a request to stop."""

    def __init__(self, folder: Path, spec_sha256: str) -> None:
        self.path = folder / "lease.json"
        self.wish = folder / "lease.wanted.json"
        self.fields: dict[str, Any] = {**identity(), "spec_sha256": spec_sha256}
        self.superseded = False
        self._stop = threading.Event()

    def update(self, **fields: Any) -> None:
        self.fields |= fields

    def beat(self) -> None:
        """Write a heartbeat, unless another process has taken over after a long silence of this one."""
        if not self._is_ours():
            self.superseded = True
            return
        write_json(self.path, self.fields | {"heartbeat": time.time()})
        wanted = read(self.wish)
        self.superseded = bool(wanted) and wanted.get("spec_sha256") != self.fields["spec_sha256"]

    def keep_beating(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with suppress(
                OSError, UserError
            ):  # on a full disk the training ends with a clear message when it writes results
                self.beat()

    def release(self) -> None:
        self._stop.set()

    def give_back(self) -> None:
        if self._is_ours():
            self.path.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        holder = read(self.path)
        return holder is None or same_process(holder, self.fields)


@contextmanager
def hold(folder: Path, spec_sha256: str, say: Callable[[str], None], poll_seconds: float = 2.0) -> Iterator[Lease]:
    """Wait until the folder is free, hold the lease, and release it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    lease = Lease(folder, spec_sha256)
    told = False
    while not claim(lease.path, lease.fields):
        holder = read(lease.path)
        if holder and holder.get("spec_sha256") != spec_sha256:
            write_json(lease.wish, {"spec_sha256": spec_sha256})
        if not told:
            say(f"waiting: {folder} is being trained by {describe(holder)}")
            told = True
        time.sleep(poll_seconds)
    lease.wish.unlink(missing_ok=True)
    beater = threading.Thread(target=lease.keep_beating, daemon=True)
    beater.start()
    try:
        yield lease
    finally:
        lease.release()
        beater.join()
        lease.give_back()


def claim(path: Path, fields: dict[str, Any]) -> bool:
    """Create the note unless a living process holds it. Linking a complete file is atomic, on network drives too."""
    mine = path.with_name(f".{path.stem}.{fields['host']}.{fields['pid']}.json")
    write_json(mine, fields | {"heartbeat": time.time()})
    try:
        holder = read(path)
        if path.exists() and not is_alive(holder):
            _bury(path, holder)
        os.link(mine, path)
        return True
    except FileExistsError:
        return False
    finally:
        mine.unlink(missing_ok=True)


def _bury(path: Path, dead: dict[str, Any] | None) -> None:
    """Remove a dead holder's note; if a faster process has already written its note, restore that note."""
    grave = path.with_name(f".{path.stem}.dead.{socket.gethostname()}.{os.getpid()}.json")
    try:
        path.rename(grave)
    except FileNotFoundError:
        return
    moved = read(grave)
    if moved != dead and is_alive(moved):
        with suppress(FileExistsError):
            os.link(grave, path)
    grave.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    return peek_json(path)


def identity() -> dict[str, Any]:
    import psutil

    process = psutil.Process()
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "process_started": process.create_time(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "node": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
    }


def same_process(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("host", "pid", "process_started"))


def is_alive(holder: dict[str, Any] | None) -> bool:
    """False only when the holder is provably gone, or has been silent for long."""
    if not holder:
        return False
    if holder.get("host") == socket.gethostname():
        import psutil

        try:
            process = psutil.Process(holder["pid"])
            ended = process.status() == psutil.STATUS_ZOMBIE  # a zombie: its parent has not read its exit code yet
            return not ended and abs(process.create_time() - holder["process_started"]) < 1
        except (psutil.NoSuchProcess, KeyError):
            return False
    job = holder.get("slurm_job")
    # A job that lost its node restarts elsewhere with the same number, so Slurm's answer would describe this process.
    if job and job != os.environ.get("SLURM_JOB_ID") and shutil.which("squeue"):
        state = _slurm_state(str(job))
        if state is not None:
            return state
    return time.time() - holder.get("heartbeat", 0) < SILENCE_SECONDS


def _slurm_state(job: str) -> bool | None:
    """Whether Slurm still has the job; None when it does not answer."""
    try:
        answer = subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return False if "Invalid job id" in answer.stderr else None
    return bool(answer.stdout.strip())


def describe(holder: dict[str, Any] | None) -> str:
    if not holder:
        return "another process"
    where = f"process {holder.get('pid')} on {holder.get('node') or holder.get('host')}"
    return where + (f" (Slurm job {holder['slurm_job']})" if holder.get("slurm_job") else "")
