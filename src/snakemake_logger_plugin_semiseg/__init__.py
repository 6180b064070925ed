"""A compact view of a study in place of Snakemake's log; profiles/default selects it with `logger: semiseg`.

Snakemake finds the plugin by the name of this package. Snakemake's full log is in .snakemake/log.
With --verbose, --printshellcmds or --quiet, and if no job will run (--lint, a dry run), Snakemake's standard output
is used.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from semiseg.cluster.board import Board
from semiseg.study.driver_lock import only_reads

PASSED_ON = ("Nothing to be done", "Complete log")  # useful messages without an event
TOLD_OTHERWISE = ("RuleException",)  # the event of the failed job follows
SPEC = "spec.json"  # output file of a training


class LogHandler(LogHandlerBase):
    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        asked = self.common_settings
        unusual = (
            only_reads(sys.argv)
            or asked.dryrun
            or asked.verbose
            or asked.debug_dag
            or asked.printshellcmds
            or asked.quiet
        )
        self.snakemakes = _snakemakes_own(asked) if unusual else None
        self.board = Board(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        if self.snakemakes:
            self.snakemakes.handle(record)
            return
        try:
            self._show(record)
        except Exception:  # an error of the view must not stop the work
            self.handleError(record)

    def close(self) -> None:
        self.board.close()
        super().close()

    def _show(self, record: logging.LogRecord) -> None:
        event, said = getattr(record, "event", None), record.__dict__
        if event == LogEvent.RUN_INFO:
            self.board.begin()
        elif event == LogEvent.JOB_INFO:
            words = said["rule_msg"] or said["rule_name"]
            self.board.announce(said["jobid"], said["rule_name"], words, _folder(said["output"]))
        elif event == LogEvent.JOB_FINISHED:
            self.board.finished(said["job_id"])
        elif event == LogEvent.JOB_ERROR:
            self.board.failed(said["jobid"], said["rule_name"], list(said["log"]))
        elif event == LogEvent.GROUP_ERROR:
            self.board.failed(None, f"a job of the group {said['groupid']}", list(said["aux_logs"]))
        elif event == LogEvent.ERROR or (event is None and record.levelno >= logging.WARNING):
            if not str(record.msg).startswith(TOLD_OTHERWISE):
                self.board.say(str(record.msg or said.get("exception")))
        elif event is None and str(record.msg).startswith(PASSED_ON):
            self.board.say(str(record.msg))


def _folder(outputs: Any) -> str | None:
    """The run folder of a training job."""
    paths = [Path(str(one).split(" ")[0]) for one in outputs]
    return next((str(path.parent) for path in paths if path.name == SPEC), None)


def _snakemakes_own(settings: Any) -> logging.Handler:
    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    handler = ColorizingTextHandler(
        nocolor=settings.nocolor,
        stream=sys.stdout if settings.stdout else sys.stderr,
        formatter=DefaultFormatter(settings.quiet, settings.show_failed_logs),
    )
    handler.addFilter(
        DefaultFilter(settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds)
    )
    return handler
