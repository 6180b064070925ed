"""Makes a report before the study is finished: after the first trainings, and again as more trainings end.

The driver runs `semiseg report early` in a separate process. It takes a small share of the time and ends with the
last training; then a job of the driver makes the final report.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semiseg.cluster.run_states import State, Watch
from semiseg.cluster.time_left import OPEN

if TYPE_CHECKING:
    from semiseg.study.study import Study

AFFECTS_RESULTS = False

EARLY = "early"  # folder below the suite's folder; not an output of a rule, not tracked by DVC, not committed
FIRST = 3  # the first report is made after this number of trainings of this driver
REST = 6  # pause before the next report, in multiples of the time that the last one took
LOOK_SECONDS = 2.0


class EarlyReport:
    def __init__(self, study: Study, python: Sequence[str] = (sys.executable,)) -> None:
        self.study, self.watch = study, Watch(study)
        self.command = [*python, "-m", "semiseg", "report", "early", "--suite", study.name]
        self.page = study.folder / EARLY / "report" / "index.html"
        self.log = Path("logs") / study.name / "early_report.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.made = 0  # reports
        self.shows = 0  # finished runs in the last report
        self.begun = self.next = 0.0
        self.before: int | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()
        atexit.register(self.stop)

    def stop(self) -> None:
        self._ended.set()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def remove(self) -> None:
        """Stop, because the final report has been made."""
        self.stop()
        shutil.rmtree(self.study.folder / EARLY, ignore_errors=True)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if self.look(self.watch.look()):
                return

    def look(self, states: Sequence[State], clock: Callable[[], float] = time.monotonic) -> bool:
        """Start a report if one is due; return True when no training is left."""
        if not any(one.state in OPEN for one in states):
            self.stop()
            return True
        finished = sum(one.state == "finished" for one in states)
        self.before = finished if self.before is None else self.before
        if self.process and self.process.poll() is not None:
            self.made += self.process.returncode == 0
            self.next = clock() + REST * (clock() - self.begun)
            self.process = None
        due = finished - self.before >= FIRST and finished > self.shows and clock() >= self.next
        if due and self.process is None:
            self.begun, self.shows = clock(), finished
            self._begin()
        return False

    def _begin(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A separate process group: Ctrl-C reaches only the driver, which ends this process itself.
            self.process = subprocess.Popen(
                ["nice", *self.command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
