"""The driver's display: a live view on a terminal, otherwise a line whenever a job ends.

Snakemake's logger plugin (snakemake_logger_plugin_semiseg) reports which jobs begin and end. The
progress of trainings is read from the run folders, as in `semiseg status`.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from semiseg.base.files import peek_json
from semiseg.cluster.early_report import EarlyReport
from semiseg.cluster.picture import picture, title
from semiseg.cluster.run_states import Watch, summary
from semiseg.cluster.time_left import TimeLeft
from semiseg.engine.training_progress import duration

if TYPE_CHECKING:
    from semiseg.study.study import Study

AFFECTS_RESULTS = False

LOG_LINES = 4  # lines of a failed job's log
SLOWER = 200  # with more runs than this, the display is refreshed less often

_study: Study | None = None
_report: EarlyReport | None = None


def use(study: Study, report: EarlyReport | None = None) -> None:
    """Set the study of this process.

    The Snakefile calls this, because the plugin is created before the study is known.
    """
    global _study, _report
    _study, _report = study, report


class Board:
    """The state of the driver's jobs; `lines` and `live` show it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.jobs: dict[int, dict[str, Any]] = {}
        self.at_work: dict[int, str] = {}
        self.watch: Watch | None = None
        self.left: TimeLeft | None = None
        self.live: Any = None
        self._told = 0  # early reports that were announced in lines
        self._ended = threading.Event()

    # ---------------------------------------------------------------- events from the plugin

    def begin(self) -> None:
        """Store the jobs when the first of them start."""
        if _study is None or self.watch:
            return
        self.watch, self.left = Watch(_study), TimeLeft(_study)
        if self.stream.isatty():
            self._open()
        else:
            self.say(f"{_study.name}: {summary(self.watch.look())}")

    def announce(self, number: int, rule: str, words: str, path: str | None) -> None:
        self.jobs[number] = {"rule": rule, "words": words, "path": path}
        if not rule.startswith("train") or path is None:
            self.at_work[number] = words

    def finished(self, number: int) -> None:
        self.at_work.pop(number, None)
        job = self.jobs.pop(number, None)
        if job is None or self.live:
            return
        if job["path"] and job["rule"].startswith("train"):
            self.say(f"trained {self._result(Path(job['path']))}; {self._how_far()}")
        else:
            self.say(f"done: {job['words']}")
        if _report and _report.made > self._told:
            self._told = _report.made
            self.say(self._early())

    def failed(self, number: int | None, words: str, logs: list[str]) -> None:
        """`words` describe jobs that were not announced, such as a whole group."""
        self.at_work.pop(number, None)
        said = [f"failed: {self.jobs[number]['words'] if number in self.jobs else words}"]
        for log in logs:
            path = Path(log)
            lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
            said += [f"    {line}" for line in lines[-LOG_LINES:]] + [f"    (full log: {log})"]
        self.say("\n".join(said))

    def say(self, text: str) -> None:
        if self.live:
            self.live.console.print(text, highlight=False, markup=False)
        else:
            print(f"{time.strftime('%H:%M:%S')} {text}", file=self.stream, flush=True)

    def close(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        if self.live:
            self.live.update(self._picture(), refresh=True)
            self.live.stop()
            self.live = None
        elif self.watch:
            self.say(f"{_study.name}: {summary(self.watch.look())}")

    # ---------------------------------------------------------------- on a terminal

    def _open(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self.live = Live(self._picture(), console=Console(file=self.stream), auto_refresh=False)
        self.live.start()
        threading.Thread(target=self._refresh, daemon=True).start()

    def _refresh(self) -> None:
        while not self._ended.wait(1.0 if len(self.watch.study.plan.runs) < SLOWER else 5.0):
            if live := self.live:
                live.update(self._picture(), refresh=True)

    def _picture(self) -> Any:
        states = self.watch.look()
        rows = self.live.console.height if self.live else 24
        below = [f"  {words}" for words in list(self.at_work.values())[:3]]
        if _report and _report.made:
            below.append(f"  {self._early()}")
        return picture(_study.name, states, self.left.seconds(states), below, rows)

    def _early(self) -> str:
        return f"early report of {_report.shows} runs: {_report.page}"

    # ---------------------------------------------------------------- in lines

    def _result(self, folder: Path) -> str:
        name = title(str(folder.relative_to(_study.folder / "runs")))
        scores = peek_json(folder / "eval.json") or {}
        try:
            return f"{name}: mIoU {scores['networks'][scores['reported_network']]['last']['miou']:.1f}"
        except KeyError:
            return name

    def _how_far(self) -> str:
        states = self.watch.look() if self.watch else []
        done = sum(one.state == "finished" for one in states)
        seconds = self.left.seconds(states) if self.left else None
        return f"{done} of {len(states)} runs" + (f", about {duration(seconds)} left" if seconds else "")
