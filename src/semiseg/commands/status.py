"""semiseg status: the state of every run, from the run folders and the queue; it changes nothing."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semiseg.study.study import Study


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suite", help="default: the suite that params.yaml names")
    parser.add_argument("--all", action="store_true", help="list all runs, not only running and failed ones")
    parser.add_argument(
        "--watch", nargs="?", type=float, const=5.0, metavar="SECONDS", help="refresh every SECONDS (default 5)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from rich.console import Console

    from semiseg.study.study import Study

    console = Console()
    if not console.is_terminal:
        console.width = 160  # do not break lines in a file or a pipe
    study = Study.load(options.suite)
    if options.watch is None:
        console.print(picture(study, options.all))
        return
    from rich.live import Live

    from semiseg.cluster.run_states import Watch
    from semiseg.cluster.time_left import TimeLeft

    watch, left = Watch(study), TimeLeft(study)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_moving(study, watch, left, console.height), refresh=True)
            time.sleep(options.watch)


def _moving(study: Study, watch: Any, left: Any, rows: int) -> Any:
    """The live view that `snakemake` also shows, plus the queue."""
    from semiseg.cluster import queue
    from semiseg.cluster.picture import picture as moving

    jobs = queue.jobs()
    states = watch.look(jobs)
    below = [] if jobs is None else [f"Slurm: {queue.summary(jobs)}"]
    return moving(study.name, states, left.seconds(states), below, rows)


def picture(study: Study, everything: bool = False) -> Any:
    """The present state as a renderable of rich."""
    from rich.console import Group
    from rich.text import Text

    from semiseg.cluster import queue, run_states

    jobs = queue.jobs()
    states = run_states.of_runs(study, jobs)
    head = Text(f"{study.name}: {run_states.summary(states)}", style="bold")
    parts: list[Any] = [head]
    if jobs is not None:
        parts.append(Text(f"Slurm: {queue.summary(jobs)}"))
    shown = [one for one in states if everything or one.state in run_states.NOTEWORTHY]
    parts.append(_by_method(states))
    if shown:
        parts.append(_lines(shown))
    return Group(*parts)


def _by_method(states: list[Any]) -> Any:
    from rich.table import Table

    from semiseg.cluster import run_states

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("method")
    for state in run_states.STATES:
        table.add_column(state, justify="right")
    for method in sorted({one.method for one in states}):
        counts = [sum(one.method == method and one.state == state for one in states) for state in run_states.STATES]
        table.add_row(method, *(str(count) if count else "·" for count in counts))
    return table


def _miou(state: Any) -> str:
    return "" if state.miou is None else f"{state.miou:.1f}"


HEADS = ("run", "state", "iteration", "left", "mIoU", "where", "")
TO_THE_RIGHT = ("iteration", "left", "mIoU")
STYLES = {"failed": "red", "running": "green"}


def _lines(states: list[Any]) -> Any:
    """Columns as plain text: for a thousand lines, rich's tables would take most of the time."""
    from rich.text import Text

    rows = [(one.run, one.state, one.iteration, one.left, _miou(one), one.where, one.note) for one in states]
    widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]

    def cell(column: int, value: str) -> str:
        right = HEADS[column] in TO_THE_RIGHT
        return value.rjust(widths[column]) if right else value.ljust(widths[column])

    text = Text("  ".join(cell(*pair) for pair in enumerate(HEADS)).rstrip(), "dim", overflow="fold")
    shown = Text(overflow="fold")
    for row in rows:
        *cells, note = (cell(*pair) for pair in enumerate(row))
        shown.append("\n" + cells[0] + "  ").append(cells[1], STYLES.get(row[1]))
        shown.append("  " + "  ".join(cells[2:])).append("  " + note.rstrip() if row[-1] else "", "dim")
    return Text.assemble(text, shown, overflow="fold")
