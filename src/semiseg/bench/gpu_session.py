"""`bench gpu`: one sitting after another until everything is measured, each within a few minutes.

A part is measured in a process of its own: one that fails, hangs or fills the card's memory takes no other with it.
What a part found is written at once, so that the next sitting goes on where this one stopped.
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
PATIENCE = 60  # seconds that the card has to say what it is


@dataclass(frozen=True)
class Part:
    """Something to measure: into which table its rows go, what it is in words, and what it takes on a large card."""

    name: str
    group: str
    words: str
    seconds: float
    measure: Callable[[Path], Rows]  # is given a folder for made images


@dataclass(frozen=True)
class Outcome:
    rows: Rows
    failed: str | None = None


InChild = Callable[[Callable[[], Rows], float], Outcome]


def in_child(measure: Callable[[], Rows], seconds: float) -> Outcome:
    """Run it in a forked process, which is stopped after so many seconds; this one never touches the GPU."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_tell, args=(measure, there))
    child.start()
    there.close()
    try:
        if not here.poll(seconds):
            return Outcome([], f"it did not end within {seconds:.0f} s")
        return here.recv()
    except EOFError:
        child.join()
        return Outcome([], f"its process ended with status {child.exitcode}")
    finally:
        _end(child)


def _tell(measure: Callable[[], Rows], there: Connection) -> None:
    os.setsid()  # with the compiler's helpers, it ends as a group
    try:
        outcome = Outcome(measure())
    except Exception as error:  # whatever a card or a compiler raises is told on the page
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
    except ProcessLookupError:  # gone already, or not yet a group of its own
        child.kill()
    child.join()


class Sitting:
    """The parts in their order, until it is `end` on the clock."""

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
        """Measure what is missing of the chosen parts; returns the names of those for which there was no time."""
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
        """What was never tried first, then what failed: that may take as long as is left and fail once more."""
        kept = self.kept()
        failed = {name for name, one in kept.items() if one["failed"]}
        wanted = [
            part for part in self.parts
            if part.name in chosen and (again or part.name not in kept or part.name in failed)
        ]  # fmt: skip
        return sorted(wanted, key=lambda part: part.name in failed)

    def kept(self) -> dict[str, dict[str, Any]]:
        """What this card has been measured at before, with the same driver and libraries."""
        found = {part.name: read_json(path) for part in self.parts if (path := self._path(part)).exists()}
        return {
            name: one for name, one in found.items() if all(one["card"][key] == self.card[key] for key in MADE_WITH)
        }

    def _path(self, part: Part) -> Path:
        return self.folder / "parts" / f"{part.name}.json"


def card_of(measure: Callable[[], Rows], child: InChild = in_child) -> dict[str, Any]:
    """What the card says of itself, or one sentence where there is none."""
    outcome = child(measure, PATIENCE)
    if outcome.failed:
        raise UserError(f"bench gpu: {outcome.failed}")
    return outcome.rows[0]
