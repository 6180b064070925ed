"""One driver at a time in a folder, and no lock that outlives its owner.

Snakemake locks the folder only when it has planned its work, seconds after its start, and leaves the lock behind when
it is killed; nor does the lock say whose it is. A note beside it does, from the first moment to the last.
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
WRITTEN = (Path("results"), Path("logs"))  # not data: a prepared copy may lie where nobody can write
# With these Snakemake takes no lock: they may be used while another one works.
READS_ONLY = {"-n", "--dry-run", "--dryrun", "--lint", "--list", "--list-rules", "--unlock", "--report", "--summary"}
READS_ONLY |= {"--dag", "--rulegraph", "--filegraph", "--d3dag", "--detailed-summary", "--version", "--help"}


def guard(arguments: Sequence[str]) -> None:
    """Refuse to work beside a living driver; clear away what a dead one left; note who works here now."""
    _check_place(Path.cwd())
    _check_folders()
    if only_reads(arguments):
        return  # beside a living one it only looks, see `somebody_works_here`
    me, owner = lease.identity(), lease.read(OWNER)
    if owner and lease.same_process(owner, me):
        return  # it reads its Snakefile once more
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

    The background processes of a script are born deaf to that signal, and sent to the driver alone it would not reach
    the trainings, for which the driver then waits. They are told by SIGTERM, and leave a checkpoint.
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
    """Another process does, whose requests its jobs read: a command that only looks must leave them as they are."""
    owner = lease.read(OWNER)
    return bool(owner) and not lease.same_process(owner, lease.identity()) and lease.is_alive(owner)


def only_reads(arguments: Sequence[str]) -> bool:
    """Nothing will be made by this command. `-np` is `-n -p`."""
    single = {f"-{letter}" for one in arguments if re.fullmatch("-[FRfknpq]+", one) for letter in one[1:]}
    return bool(READS_ONLY & (single | {argument.split("=")[0] for argument in arguments}))


def _leave(me: dict[str, Any], note: Path, locks: Path) -> None:
    """Take the note away, but not from a lock that is left: it would be nobody's."""
    owner = lease.read(note)
    if owner and os.getpid() == me["pid"] and lease.same_process(owner, me) and not any(locks.glob("*.lock")):
        note.unlink(missing_ok=True)


def _check_place(folder: Path) -> None:
    """Code, data and results must be those of this folder, or a run's spec would describe other files."""
    if (".dvc", "tmp", "exps") in zip(folder.parts, folder.parts[1:], folder.parts[2:], strict=False):
        raise UserError(
            "`dvc exp run` with --temp or --queue works in a copy of the repository that has neither the data nor an "
            "environment of its own; leave these options out, or work in a second clone"
        )
    package = Path(__file__).resolve().parents[1]
    if (folder / "src/semiseg").is_dir() and not package.samefile(folder / "src/semiseg"):
        raise UserError(
            f"the package semiseg is that of {package}, not the one of this folder; activate this folder's own "
            "environment (`make environment` makes .venv)"
        )


def _check_folders() -> None:
    """Snakemake would find it out itself, in the middle of the work, and tell by a traceback."""
    for folder in WRITTEN:
        if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
            raise UserError(f"{folder} has to be a folder, but it is a file; move it away and repeat the command")
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(f"{folder} cannot be written; mend its permissions, or link it to a disk that can be")


def _clear(locks: Sequence[Path], owner: dict[str, Any]) -> None:
    for lock in locks:
        lock.unlink(missing_ok=True)
    print(f"semiseg: removed the lock of process {owner['pid']}, which ended without giving it back", file=sys.stderr)


def _at_work(owner: dict[str, Any] | None) -> str:
    if not owner:
        return "another snakemake began in this folder just now; wait for it, and repeat the command"
    here = owner.get("host") == socket.gethostname()
    which = f"process {owner['pid']}" if here else lease.describe(owner)
    stop = f"with `kill -INT {owner['pid']}`" if here else f"there, or remove {OWNER} if it is gone"
    return (
        f"snakemake is at work in this folder already ({which}); wait for it, or stop it {stop}, and repeat the command"
    )


def _unknown(owner: dict[str, Any] | None) -> str:
    where = f"on {owner['host']} (process {owner['pid']})" if owner else "in this folder"
    return (
        f"a lock says that snakemake works {where}, which cannot be checked from here; "
        "if nothing runs there any more, type `snakemake --unlock` and repeat the command"
    )
