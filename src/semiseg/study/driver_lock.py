"""Allows one driver at a time in a folder, and removes the lock of a driver that was killed.

Snakemake locks the folder only after it has planned its work, seconds after its start. If it is killed, the lock
stays, and the lock does not name its owner. A note beside the lock names the driver from its start to its end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.runs import lease

LOCKS = Path(".snakemake/locks")
OWNER = Path(".snakemake/driver.json")
WRITTEN = (Path("results"), Path("logs"))  # without data: a prepared data set may lie in a read-only folder
# With these options Snakemake takes no lock, so they are allowed while another driver works.
READS_ONLY = {"-n", "--dry-run", "--dryrun", "--lint", "--list", "--list-rules", "--unlock", "--report", "--summary"}
READS_ONLY |= {"--dag", "--rulegraph", "--filegraph", "--d3dag", "--detailed-summary", "--version", "--help"}


def guard(arguments: Sequence[str]) -> None:
    """Refuse to start beside a running driver, remove the locks of a dead one, and write the note of this one."""
    _check_place(Path.cwd())
    _check_folders()
    if only_reads(arguments):
        return  # the command only reads, so a running driver is no obstacle; see `somebody_works_here`
    me, owner = lease.identity(), lease.read(OWNER)
    if owner and lease.same_process(owner, me):
        return  # the same driver reads its Snakefile again
    if lease.is_alive(owner):
        raise UserError(_at_work(owner))
    locks = sorted(LOCKS.glob("*.lock")) if LOCKS.is_dir() else []
    if locks and not (owner and owner.get("host") == me["host"]):
        raise UserError(_unknown(owner))
    if not lease.claim(OWNER, me):
        raise UserError(_at_work(lease.read(OWNER)))
    atexit.register(_leave, me, OWNER.absolute(), LOCKS.absolute())
    _listen()
    if locks:
        _clear(locks, owner)


def _listen() -> None:
    """Make Ctrl-C and `kill -INT` end the driver and its trainings, wherever it was started.

    The background processes of a script ignore SIGINT by default. A SIGINT that is sent to the driver alone would not
    reach the trainings, and the driver would wait for them. The trainings therefore get SIGTERM and write a checkpoint.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop)


def _stop(*_: Any) -> None:
    import psutil

    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    raise KeyboardInterrupt


def somebody_works_here() -> bool:
    """Whether another driver works in this folder.

    Its jobs read the requests, so a reading command must not change them.
    """
    owner = lease.read(OWNER)
    return bool(owner) and not lease.same_process(owner, lease.identity()) and lease.is_alive(owner)


def only_reads(arguments: Sequence[str]) -> bool:
    """Whether the command makes nothing. `-np` is `-n -p`."""
    single = {f"-{letter}" for one in arguments if re.fullmatch("-[FRfknpq]+", one) for letter in one[1:]}
    return bool(READS_ONLY & (single | {argument.split("=")[0] for argument in arguments}))


def _leave(me: dict[str, Any], note: Path, locks: Path) -> None:
    """Remove the note, unless a lock is left: the lock would then have no known owner."""
    owner = lease.read(note)
    if owner and os.getpid() == me["pid"] and lease.same_process(owner, me) and not any(locks.glob("*.lock")):
        note.unlink(missing_ok=True)


def _check_place(folder: Path) -> None:
    """Check that code, data and results belong to this folder; otherwise a run's spec would describe other files."""
    if (".dvc", "tmp", "exps") in zip(folder.parts, folder.parts[1:], folder.parts[2:], strict=False):
        raise UserError(
            "`dvc exp run` with --temp or --queue works in a copy of the repository without data and "
            "without an environment; omit these options, or work in a second clone"
        )
    package = Path(__file__).resolve().parents[1]
    if (folder / "src/semiseg").is_dir() and not package.samefile(folder / "src/semiseg"):
        raise UserError(
            f"semiseg is imported from {package}, not from this folder; activate the environment of this folder "
            "(`make environment` makes .venv)"
        )


def _check_folders() -> None:
    """Snakemake itself would notice a bad folder only in the middle of the work, and print a traceback."""
    for folder in WRITTEN:
        if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
            raise UserError(f"{folder} has to be a folder, but it is a file; move it away and repeat the command")
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(f"{folder} cannot be written; correct its permissions, or link it to a writable disk")


def _clear(locks: Sequence[Path], owner: dict[str, Any]) -> None:
    for lock in locks:
        lock.unlink(missing_ok=True)
    print(f"semiseg: removed the lock of process {owner['pid']}, which ended without removing it", file=sys.stderr)


def _at_work(owner: dict[str, Any] | None) -> str:
    if not owner:
        return "another snakemake has just started in this folder; wait for it, and repeat the command"
    here = owner.get("host") == socket.gethostname()
    which = f"process {owner['pid']}" if here else lease.describe(owner)
    stop = f"with `kill -INT {owner['pid']}`" if here else f"there, or remove {OWNER} if that process has ended"
    return (
        f"snakemake is already running in this folder ({which}); wait for it, or stop it {stop}, and repeat the command"
    )


def _unknown(owner: dict[str, Any] | None) -> str:
    where = f"on {owner['host']} (process {owner['pid']})" if owner else "in this folder"
    return (
        f"according to a lock, snakemake is running {where}, which cannot be checked from here; "
        "if it is not running any more, type `snakemake --unlock` and repeat the command"
    )
