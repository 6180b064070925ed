"""Draw docs/pictures/live-view.svg: the terminal view of a running study.

cd CLONE; snakemake --profile local all     # in one terminal
python scripts/live_view.py --running 2     # in another: waits for this number of running trainings, then draws
"""

from __future__ import annotations

import argparse
import io
import re
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from semiseg.base.files import write_text
from semiseg.cluster.picture import picture
from semiseg.cluster.run_states import Watch
from semiseg.cluster.time_left import TimeLeft
from semiseg.study.study import Study

OUT = Path(__file__).resolve().parents[1] / "docs/pictures/live-view.svg"
WIDTH = 118
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.S)  # the picture must not download fonts; the reader's font suffices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", help="default: the suite that params.yaml names")
    parser.add_argument("--running", type=int, default=2)
    parser.add_argument("--finished", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10, help="the longest wait")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    study = Study.load(options.suite)
    watch, left = Watch(study), TimeLeft(study)
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        states = watch.look()
        seconds = left.seconds(states)
        known = sum(one.state == "running" and one.miou is not None for one in states)
        done = sum(one.state == "finished" for one in states)
        if known >= options.running and done >= options.finished:
            write_text(options.out, drawn(picture(study.name, states, seconds)))
            print(f"{options.out}: {done} finished, {known} running")
            return
        time.sleep(1)
    raise SystemExit(f"{study.name} did not reach the requested state within {options.minutes:g} minutes")


def drawn(shown: object) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(shown)
    # A constant id, so that equal pictures have equal bytes.
    svg = console.export_svg(title="snakemake --profile local all", theme=MONOKAI, unique_id="live-view")
    return FONTS.sub("", svg)


if __name__ == "__main__":
    main()
