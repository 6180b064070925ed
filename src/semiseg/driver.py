"""One driver at a time in a folder, and no lock that outlives its owner.

Snakemake leaves its lock behind when it is killed. The lock does not say whose it is; a note beside it does.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from semiseg.errors import UserError
from semiseg.files import write_json
from semiseg.runs.lease import identity, is_alive

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
    if READS_ONLY & {argument.split("=")[0] for argument in arguments}:
        return
    locks = sorted(LOCKS.glob("*.lock")) if LOCKS.is_dir() else []
    if locks:
        _settle(locks)
    write_json(OWNER, identity())


def _check_place(folder: Path) -> None:
    """Code, data and results must be those of this folder, or a run's spec would speak of others."""
    if (".dvc", "tmp", "exps") in zip(folder.parts, folder.parts[1:], folder.parts[2:], strict=False):
        raise UserError(
            "`dvc exp run` with --temp or --queue works in a copy of the repository that has neither the data nor an "
            "environment of its own; leave these options out, or work in a second clone"
        )
    package = Path(__file__).resolve().parent
    if (folder / "src/semiseg").is_dir() and not package.samefile(folder / "src/semiseg"):
        raise UserError(
            f"the package semiseg is that of {package}, not the one of this folder; activate this folder's own "
            "environment (`make environment` makes .venv)"
        )


def _check_folders() -> None:
    """Snakemake would find it out itself, in the middle of the work, and tell by a traceback."""
    for folder in WRITTEN:
        if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
            raise UserError(f"{folder} has to be a folder, and here it is none; move it away, and repeat the command")
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(f"{folder} cannot be written; mend its permissions, or link it to a disk that can be")


def _settle(locks: list[Path]) -> None:
    owner = _owner()
    if owner and owner.get("host") == socket.gethostname():
        if is_alive(owner):
            raise UserError(
                f"snakemake is at work in this folder already (process {owner['pid']}); wait for it, or stop it with "
                f"`kill -INT {owner['pid']}`, and repeat the command"
            )
        for lock in locks:
            lock.unlink(missing_ok=True)
        print(
            f"semiseg: removed the lock of process {owner['pid']}, which ended without giving it back", file=sys.stderr
        )
        return
    where = f"on {owner['host']} (process {owner['pid']})" if owner else "in this folder"
    raise UserError(
        f"a lock says that snakemake works {where}, which cannot be checked from here; "
        "if nothing runs there any more, type `snakemake --unlock` and repeat the command"
    )


def _owner() -> dict | None:
    try:
        return json.loads(OWNER.read_text())
    except (OSError, ValueError):
        return None
