"""Write docs/methods: a page for each method, from its file, the published figures and the committed results."""

from __future__ import annotations

import csv
import functools
import subprocess
from collections import defaultdict
from pathlib import Path

from params_reference import options_table

from semiseg import methods
from semiseg.report import names
from semiseg.report.html.method_pages import Described, describe
from semiseg.report.tables import published

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/methods"
WRITTEN = "Written by `scripts/method_pages.py` from `src/semiseg/methods/`, the published figures and `results/`.\n"
SHARED = {
    "joint": "joint: labelled and unlabelled images share a forward pass of the student, and its batch statistics",
    "separate": "separate: labelled images have a forward pass of their own",
}


def pages() -> dict[str, str]:
    """File name -> text."""
    found = {f"{name}.md": page(describe(name)) for name in names.in_order()}
    return found | {"README.md": index()}


def index() -> str:
    lines = ["# Methods\n", WRITTEN, "| method | paper of | fidelity | batch norm |", "|---|---|---|---|"]
    for name in names.in_order():
        kind = methods.load(name)
        year = kind.year or ""
        lines.append(f"| [{names.title(name)}]({name}.md) | {year} | {kind.fidelity or '–'} | {kind.batch_norm} |")
    return "\n".join([*lines, ""])


def page(one: Described) -> str:
    parts = [f"# {one.title} (`{one.name}`)\n", WRITTEN, f"{one.summary}\n", *_facts(one)]
    parts += ["## Formula\n", f"```text\n{one.text}\n```\n", "## Options\n", *options_table(one.name)]
    parts += _official(one.name) + _ours(one.name)
    parts += ["## Known to go wrong\n", *(f"- {sentence}" for sentence in one.known_to_go_wrong), ""]
    return "\n".join(parts)


def _facts(one: Described) -> list[str]:
    kind = methods.load(one.name)
    method = kind(kind.Options(), methods.Setting(iterations=1, crop=(64, 64), batch=2))
    passes, times = method.passes, f" in each of {kind.networks} networks" if kind.networks > 1 else ""
    whose = "free choice" if one.fidelity == "our reading" else "official"
    needs = [f"{key.replace('_', ' ')} (`{run.method}`)" for key, run in kind.needs(kind.Options()).items()]
    rows = {
        "reference": one.reference or "none: the baseline",
        "fidelity": one.fidelity or "–",
        "batch norm": f"{SHARED[one.batch_norm]} ({whose}; `recipe.batch_norm` replaces it)",
        "reports": f"the {method.reports}",
        "images that pass in a step": f"labelled x {passes.labelled:g} and unlabelled x {passes.unlabelled:g} with "
        f"gradient, unlabelled x {passes.without_gradient:g} without{times}",
        "runs that it needs": ", ".join(needs) or "none",
    }
    return ["| | |", "|---|---|", *(f"| {key} | {text} |" for key, text in rows.items()), ""]


def _official(name: str) -> list[str]:
    """Figures from the method's own authors: a row for each set-up, by number of labelled images."""
    rows: dict[tuple[str, ...], list[tuple[int, str]]] = defaultdict(list)
    for figure in published.figures():
        row = figure.row
        if figure.method == name and not published.SECONDHAND.search(row["method"]):
            mark = "" if figure.confirmed else "*"
            key = tuple(str(row[column]) for column in ("method", "protocol", "backbone", "head", "source"))
            rows[key].append((row["labelled_images"], f"{row['labelled_images']}: {figure.value:g}{mark}"))
    if not rows:
        return []
    head = ["## Official results\n", "mIoU in percent by number of labelled images; * was not read at its source.\n"]
    head += ["| as | lists | encoder | head | mIoU | source |", "|---|---|---|---|---|---|"]
    lines = [
        f"| {method} | {lists} | {encoder} | {network} | {', '.join(text for _, text in sorted(found))} | {source} |"
        for (method, lists, encoder, network, source), found in rows.items()
    ]
    return [*head, *lines, ""]


def _ours(name: str) -> list[str]:
    """Finished cells of the committed studies, with what one run took."""
    lines = []
    for path in _committed("results/*/tables/comparison.csv"):
        seconds = {_place(row): row["wall_seconds"] for row in _rows(path.with_name("cost.csv"))}
        for row in _rows(path):
            if row["method"] == name and row["state"] == "done" and "control" not in row["variant"]:
                lines.append(_line(row, seconds.get(_place(row), "")))
    if not lines:
        return []
    head = "| suite | labelled | variant | network | seeds | mIoU | against supervised | seconds |"
    return ["## Our results\n", head, "|---|---|---|---|---|---|---|---|", *lines, ""]


@functools.cache
def _committed(pattern: str) -> list[Path]:
    """Not what somebody has tried beside them."""
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(ROOT / line for line in listed.stdout.splitlines())


def _line(row: dict[str, str], seconds: str) -> str:
    spread = f" ± {float(row['miou_last_sd']):.1f}" if row["miou_last_sd"] else ""
    delta = row["delta_vs_supervised"] and f"{float(row['delta_vs_supervised']):+.1f}"
    took = seconds and f"{float(seconds):.0f}"
    cells = (row["suite"], row["labelled"], row["variant"], row["network"], row["seeds"])
    return f"| {' | '.join(cells)} | {float(row['miou_last_mean']):.1f}{spread} | {delta} | {took} |"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def _place(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[key] for key in ("split_family", "partition", "method", "variant", "head"))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, text in pages().items():
        (FOLDER / file).write_text(text)
