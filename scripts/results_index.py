"""Write the index of the published studies into results/README.md, between its two markers, and results/ranks.svg.

A study counts as published if git holds its files, or would hold them after `git add results`.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from semiseg.report.plots import ranks
from semiseg.report.rebuild import read_rows

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "results/README.md"
BEGIN, END = "<!-- studies: written by scripts/results_index.py -->", "<!-- end of studies -->"


def studies(root: Path = ROOT) -> list[Path]:
    """Folders of the published studies."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "results/*/records.jsonl"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted({(root / name).parent for name in listed.split("\0") if name and (root / name).exists()})


def index(folders: list[Path]) -> str:
    head = ["| study | data set | labels | finished runs | answer |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(_line, folders)])


def _line(folder: Path) -> str:
    runs = [row for row in read_rows(folder) if row["run"]]
    done = [row for row in runs if row["state"] == "done"]
    labels = sorted({row["labelled"] for row in done if row["partition"] != "full"})
    cells = [
        f"[{folder.name}]({folder.name}/README.md)", runs[0]["dataset"], ", ".join(map(str, labels)) or "all",
        f"{len(done)} of {len(runs)}", _answer(folder),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _answer(folder: Path) -> str:
    found = re.search(r"^\*\*Answer\.\*\* (.*)$", (folder / "README.md").read_text(), re.MULTILINE)
    return found[1] if found else "no method can be compared yet"


def ranked(folders: list[Path]) -> tuple[str, bytes | None]:
    """What the studies say together: a text, and the plot of ranks if there are data sets enough."""
    found = ranks.over_sets(ranks.read(folders))
    if isinstance(found, str):
        return found, None
    shown = f"![{found.alt}]({ranks.NAME}.svg)"
    return f"{found.sentence}\n\n{shown}\n\n{found.caption}", ranks.draw(found)["svg"]


def page(text: str, folders: list[Path]) -> str:
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{index(folders)}\n\n{ranked(folders)[0]}\n{END}{rest.split(END)[1]}"


def write(place: Path, folders: list[Path]) -> None:
    """The index, and the plot beside it; one that cannot be drawn any more is removed."""
    place.write_text(page(place.read_text(), folders))
    plot, content = place.with_name(f"{ranks.NAME}.svg"), ranked(folders)[1]
    if content is None:
        plot.unlink(missing_ok=True)
    else:
        plot.write_bytes(content)


if __name__ == "__main__":
    write(PAGE, studies())
