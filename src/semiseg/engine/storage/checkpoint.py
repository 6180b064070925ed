"""Atomic checkpoints that resume bit for bit. The previous checkpoint is kept, and loading executes no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from semiseg.base.errors import UserError
from semiseg.base.files import DISK_FULL, atomic

AFFECTS_RESULTS = False  # a resumed run must equal an uninterrupted one

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state beside the last checkpoint, then swap them: after a full disk or a kill, one of them is valid."""
    current = folder / NAME
    try:
        # Write through our own stream: on a full disk torch only says "unexpected pos", but the stream gives the
        # reason.
        with atomic(folder / ".checkpoint.new.pt") as temporary, temporary.open("wb") as stream:
            torch.save(state, stream)
    except (OSError, RuntimeError) as error:
        if not is_disk_full(error):
            raise
        kept = f"the last good checkpoint is {current}" if current.exists() else "there is no earlier checkpoint"
        raise UserError(
            f"the disk is too full for the checkpoint in {folder}; {kept}; free some space and repeat the command"
        ) from error
    if current.exists():
        current.replace(folder / PREVIOUS)
    (folder / ".checkpoint.new.pt").replace(current)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk caused the error, directly or as a chained cause; safetensors keeps only the message."""
    while error is not None:
        if getattr(error, "errno", None) in DISK_FULL or "No space left" in str(error):
            return True
        error = error.__context__
    return False


def load(folder: Path, spec_sha256: str) -> dict[str, Any] | None:
    """The newest readable checkpoint of the same spec; checkpoints of other specs are not used."""
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # an incomplete file may raise any error; the previous checkpoint may be complete
            continue
        if isinstance(state, dict) and state.get("spec_sha256") == spec_sha256:
            return state
    return None


def discard(folder: Path) -> None:
    """Remove the checkpoints of a finished run."""
    for name in (NAME, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
