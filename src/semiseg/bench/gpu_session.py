"""`bench gpu`: measures all parts in several sessions of a few minutes.

Each part runs in a separate process, so a part that fails, hangs or fills the card's memory does not affect others.
Results are written at once, so that the next session continues where this one stopped.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError
from semiseg.base.files import read_json, write_json
from semiseg.bench import gpu_page
from semiseg.bench.timing import slug

Rows = list[dict[str, Any]]
Say = Callable[[str], None]
MADE_WITH = ("gpu", "driver", "torch", "cuda", "cudnn")  # another card or version: measured again
PATIENCE = 60  # time limit in seconds for the description of the card


@dataclass(frozen=True)
class Part:
    """One part: the table for its rows, a description, and the seconds it takes on a large card."""

    name: str
    group: str
    words: str
    seconds: float
    measure: Callable[[Path], Rows]  # called with a folder for synthetic images


@dataclass(frozen=True)
class Outcome:
    rows: Rows
    failed: str | None = None


InChild = Callable[[Callable[[], Rows], float], Outcome]


def in_child(measure: Callable[[], Rows], seconds: float) -> Outcome:
    """Run the part in a forked process, which is stopped after `seconds`; this process never uses the GPU."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_tell, args=(measure, there))
    child.start()
    there.close()
    try:
        if not here.poll(seconds):
            return Outcome([], f"not finished within {seconds:.0f} s")
        return here.recv()
    except EOFError:
        child.join()
        return Outcome([], f"its process ended with status {child.exitcode}")
    finally:
        _end(child)


def _tell(measure: Callable[[], Rows], there: Connection) -> None:
    os.setsid()  # a process group, so that the compiler's helpers end with it
    try:
        outcome = Outcome(measure())
    except Exception as error:  # the page shows any error of a card or a compiler
        outcome = Outcome([], _in_words(error))
    there.send(outcome)


def _in_words(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "it does not fit into the card's memory"
    first = next(iter(str(error).splitlines()), "no reason given")
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"


def _end(child: multiprocessing.process.BaseProcess) -> None:
    child.join(timeout=1)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # already ended, or not yet a separate group
        child.kill()
    child.join()


class Sitting:
    """Measure the parts in order until the time `end`."""

    def __init__(
        self,
        results: Path,
        card: dict[str, Any],
        parts: Sequence[Part],
        end: float,
        say: Say,
        child: InChild = in_child,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.card, self.parts, self.say, self.child, self.clock = card, parts, say, child, clock
        self.folder = results / slug(card["gpu"])
        self.end = end

    def run(self, images: Path, chosen: Sequence[str], again: bool = False) -> list[str]:
        """Measure the chosen parts that are missing; return the names of those for which no time was left."""
        skipped: list[str] = []
        for part in self._in_order(chosen, again):
            left = self.end - self.clock()
            if left < part.seconds:
                skipped.append(part.name)
                self.say(f"{part.name}: skipped, it takes about {part.seconds:.0f} s and {max(left, 0):.0f} s are left")
                continue
            self.say(f"{part.name}: {part.words}")
            self._measure(part, images, left)
        gpu_page.write(self.folder, self.card, self.parts, self.kept())
        return skipped

    def _measure(self, part: Part, images: Path, left: float) -> None:
        started = self.clock()
        outcome = self.child(lambda: part.measure(images), left)
        took = round(self.clock() - started, 1)
        self.say(f"{part.name}: {outcome.failed or f'{len(outcome.rows)} rows'} ({took:.0f} s)")
        known = {"part": part.name, "card": self.card, "seconds": took, "rows": outcome.rows, "failed": outcome.failed}
        write_json(self._path(part), known)
        gpu_page.write(self.folder, self.card, self.parts, self.kept())

    def _in_order(self, chosen: Sequence[str], again: bool) -> list[Part]:
        """Parts that were never tried come first.

        Failed parts come last, because they may use all remaining time and fail again.
        """
        kept = self.kept()
        failed = {name for name, one in kept.items() if one["failed"]}
        wanted = [
            part for part in self.parts
            if part.name in chosen and (again or part.name not in kept or part.name in failed)
        ]  # fmt: skip
        return sorted(wanted, key=lambda part: part.name in failed)

    def kept(self) -> dict[str, dict[str, Any]]:
        """Earlier results of this card with the same driver and libraries."""
        found = {part.name: read_json(path) for part in self.parts if (path := self._path(part)).exists()}
        return {
            name: one for name, one in found.items() if all(one["card"][key] == self.card[key] for key in MADE_WITH)
        }

    def _path(self, part: Part) -> Path:
        return self.folder / "parts" / f"{part.name}.json"


def card_of(measure: Callable[[], Rows], child: InChild = in_child) -> dict[str, Any]:
    """The description of the card; an error if there is no GPU."""
    outcome = child(measure, PATIENCE)
    if outcome.failed:
        raise UserError(f"bench gpu: {outcome.failed}")
    return outcome.rows[0]
