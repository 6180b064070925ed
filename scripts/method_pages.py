"""Write docs/methods: one page per method, from its file, the published figures and the committed results."""

from __future__ import annotations

import csv
import functools
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from params_reference import options_table

from semiseg import methods
from semiseg.cluster import estimate
from semiseg.params import loading
from semiseg.report import names
from semiseg.report.html.formulas import markdown
from semiseg.report.html.method_pages import Described, describe
from semiseg.report.tables import published

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/methods"
WRITTEN = "Written by `scripts/method_pages.py` from `src/semiseg/methods/`, the published figures and `results/`.\n"
COST = "seconds of a GPU or CPU"
SHARED = {
    "joint": "joint: labelled and unlabelled images share a forward pass of the student, and its batch statistics",
    "separate": "separate: labelled images have a forward pass of their own",
}


def pages(wanted: Collection[str] | None = None) -> dict[str, str]:
    """File name -> text, for these methods, by default all."""
    listed = [name for name in names.in_order() if wanted is None or name in wanted]
    found = {f"{name}.md": page(describe(name)) for name in listed}
    return found | {"README.md": index(listed)}


def index(listed: Iterable[str]) -> str:
    lines = ["# Methods\n", WRITTEN, "| method | paper of | fidelity | batch norm |", "|---|---|---|---|"]
    for name in listed:
        kind = methods.load(name)
        year = kind.year or ""
        variants = _with_unlabelled(kind)
        shared = kind.batch_norm + (f" (variant {variants})" if variants else "")
        lines.append(f"| [{names.title(name)}]({name}.md) | {year} | {kind.fidelity or '–'} | {shared} |")
    return "\n".join([*lines, ""])


def page(one: Described) -> str:
    parts = [f"# {one.title} (`{one.name}`)\n", WRITTEN, f"{markdown(one.summary)}\n", *_facts(one)]
    parts += ["## Formula\n", f"{markdown(one.text)}\n", "## Options\n", *options_table(one.name)]
    parts += _official(one.name) + _ours(one.name)
    parts += ["## Known to go wrong\n", *(f"- {markdown(sentence)}" for sentence in one.known_to_go_wrong), ""]
    return "\n".join(parts)


def _facts(one: Described) -> list[str]:
    kind = methods.load(one.name)
    method = kind(kind.Options(), methods.Setting(iterations=1, crop=(64, 64), batch=2))
    passes, times = method.passes, f" in each of {kind.networks} networks" if kind.networks > 1 else ""
    needed = _needed(one.name, kind.Options())
    rows = {
        "reference": one.reference or "none: the baseline",
        "fidelity": one.fidelity or "–",
        "batch norm": _batch_norm(one, kind),
        "reports": f"the {method.reports}",
        "images that pass in a step": f"{_images(passes.labelled, passes.unlabelled)} with gradient, "
        f"{_images(passes.labelled_without_gradient, passes.without_gradient)} without{times}"
        + (" (a pass of the decoder alone counts 0.3)" if passes.unlabelled % 1 else ""),
        "runs that it needs": ", ".join(f"{words} (`{name}`)" for words, name, _ in needed) or "none",
        "arithmetic": _arithmetic(one.name, method.head, needed),
    }
    return ["| | |", "|---|---|", *(f"| {key} | {text} |" for key, text in rows.items()), ""]


def _images(labelled: float, unlabelled: float) -> str:
    known = {"labelled": labelled, "unlabelled": unlabelled}
    return " and ".join(f"{name} x {times:g}" for name, times in known.items() if times) or "none"


def _batch_norm(one: Described, kind: type[methods.Method]) -> str:
    if variants := _with_unlabelled(kind):
        return f"only the variant {variants} sees unlabelled images; it is {SHARED[one.batch_norm]}"
    whose = "free choice" if one.fidelity == "our reading" else "official"
    return f"{SHARED[one.batch_norm]} ({whose}; `recipe.batch_norm` replaces it)"


def _with_unlabelled(kind: type[methods.Method]) -> str:
    """Variants of the baseline that see unlabelled images; empty for all other methods, which always see them."""
    if kind.needs_unlabelled(kind.Options()):
        return ""
    return ", ".join(
        f"`{name}`" for name, options in kind.variant_names.items() if kind.needs_unlabelled(kind.Options(**options))
    )


def _needed(name: str, options: Any) -> list[tuple[str, str, Any]]:
    """Name, method and options of all needed runs: first the direct ones, then the runs that these need."""
    found = []
    for key, run in methods.load(name).needs(options).items():
        of_run = methods.load(run.method).Options.model_validate(dict(run.options))
        found += [(key.replace("_", " "), run.method, of_run), *_needed(run.method, of_run)]
    return found


def _arithmetic(name: str, head: str, needed: Sequence[tuple[str, str, Any]]) -> str:
    """The cost of a step with as many labelled as unlabelled images, as in the demo's recipe."""
    options = methods.load("supervised").Options.model_validate({"head": head})
    own, baseline = _step_gflops(name, methods.load(name).Options()), _step_gflops("supervised", options)
    text = f"a step takes {own / baseline:.1f} times that of `supervised`" + (" with a mask head" * (head == "mask"))
    if needed:
        whole = own + sum(_step_gflops(one, options) for _, one, options in needed)
        text += f", {whole / baseline:.1f} times with one of each run that it needs"
    return f"{text} (passes of the segmentation network `small`, as `semiseg plan` counts them)"


@functools.cache
def _recipe() -> dict[str, Any]:
    return loading.load(ROOT / "params.yaml", local=False).suites["pocket"].recipe.model_dump(mode="json")


def _step_gflops(name: str, options: Any) -> float:
    return estimate.step_gflops({
        "dataset": {"kind": "pocket"},
        "split": {"partition": None},
        "method": {"name": name, "options": options.model_dump(mode="json")},
        "recipe": _recipe(),
    })  # fmt: skip


def _official(name: str) -> list[str]:
    """One row per set-up, by number of labelled images; re-runs by others than the named source are left out."""
    rows: dict[tuple[str, ...], list[tuple[int, str, str]]] = defaultdict(list)
    for figure in published.figures():
        row = figure.row
        if figure.method == name and not published.SECONDHAND.search(row["method"]):
            value = f"{figure.value:g}{'' if figure.confirmed else '*'}"
            key = tuple(str(row[column]) for column in ("method", "protocol", "backbone", "head", "rule", "source"))
            rows[key].append((row["labelled_images"], str(row["partition"]), value))
    if not rows:
        return []
    head = [
        "## Published results\n",
        "mIoU in percent by number of labelled images; * was not read at the source, which may be another paper. The",
        "checkpoint is that of the last or of the best epoch, where the source says so.\n",
    ]
    head += ["| as | lists | encoder | head | checkpoint | mIoU | source |", "|---|---|---|---|---|---|---|"]
    lines = [
        f"| {' | '.join([*setup, rule.replace('unstated', '–'), _by_labels(found), source])} |"
        for (*setup, rule, source), found in rows.items()
    ]
    return [*head, *lines, ""]


def _by_labels(found: list[tuple[int, str, str]]) -> str:
    """Where one number of labels has several figures, the partition tells them apart."""
    numbers = [labelled for labelled, _, _ in found]
    return ", ".join(
        f"{labelled if numbers.count(labelled) == 1 else partition}: {value}"
        for labelled, partition, value in sorted(found)
    )


def _ours(name: str) -> list[str]:
    """Finished cells of the committed studies, over lists where there are several, with what one run took."""
    lines = []
    for path in _committed("results/*/tables/comparison.csv"):
        seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for row in _rows(path.with_name("cost.csv")):
            # Wall-clock seconds would depend on other work of the machine.
            if took := float(row["gpu_seconds"] or 0) or float(row["cpu_seconds"] or 0):
                seconds[_place(row)].append(took)
        over_lists = path.with_name("comparison_over_lists.csv")
        for row in _rows(over_lists if over_lists.exists() else path):
            if row["method"] == name and row["miou_last_mean"] and "control" not in row["variant"]:
                lines.append(_line(row, seconds.get(_place(row), [])))
    if not lines:
        return []
    columns = ("suite", "labelled", "variant", "network", "runs", "mIoU", "baseline", "against supervised", COST)
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    about = "The baseline is the supervised network of the same kind and head, over the same lists and seeds."
    return [
        "## Our results\n",
        " ".join([about, *_overridden(name)]) + "\n",
        *head,
        *lines,
        "",
    ]


def _overridden(name: str) -> list[str]:
    """Sentences on the options that the committed studies change for all variants of a method."""
    suites = loading.load(ROOT / "params.yaml", local=False).suites
    studies = [path.parent.parent.name for path in _committed("results/*/tables/comparison.csv")]
    changed = {
        study: {key: value for entry in suites[study].methods.get(name, ()) for key, value in entry.options.items()}
        for study in studies
    }
    return [
        f"`{study}` sets {names.joined([f'`{key}: {value}`' for key, value in options.items()])}."
        for study, options in changed.items()
        if options
    ]


@functools.cache
def _committed(pattern: str) -> list[Path]:
    """Whether git holds the file; other files may be experiments."""
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(ROOT / line for line in listed.stdout.splitlines())


def _line(row: dict[str, str], seconds: list[float]) -> str:
    spread = f" ± {float(row['miou_last_sd']):.1f}" if row["miou_last_sd"] else ""
    delta = row["delta_vs_supervised"] and f"{float(row['delta_vs_supervised']):+.1f}"
    if delta and row["delta_ci_low"]:
        delta += f" [{float(row['delta_ci_low']):+.1f}, {float(row['delta_ci_high']):+.1f}]"
    took = f"{sum(seconds) / len(seconds):.0f}" if seconds else ""
    cells = (row["suite"], row["labelled"], row["variant"], row["network"], row["seeds"])
    baseline = row["baseline_miou_last_mean"] and f"{float(row['baseline_miou_last_mean']):.1f}"
    return f"| {' | '.join(cells)} | {float(row['miou_last_mean']):.1f}{spread} | {baseline} | {delta} | {took} |"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def _place(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[key] for key in ("partition", "method", "variant", "head"))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, text in pages().items():
        (FOLDER / file).write_text(text)
