"""Writes the readable files of a card's folder: a page in Markdown and a CSV file for each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.base.files import write_text
from semiseg.bench.timing import csv_text

if TYPE_CHECKING:
    from semiseg.bench.gpu_session import Part


@dataclass(frozen=True)
class Section:
    title: str
    text: str
    columns: Mapping[str, str]  # key of a row: heading


STEP = {
    "method": "Method", "crop": "Crop", "batch": "Batch", "what": "Way", "n": "n", "median_ms": "ms per step",
    "quartile_low_ms": "25 %", "quartile_high_ms": "75 %", "ms_per_unlabelled_image": "ms per unlabelled image",
    "times_as_fast": "Times as fast", "share_waiting_for_data": "Waiting for data", "tflop_per_step": "TFLOP per step",
    "share_of_matmul": "Share of the ceiling", "peak_gpu_memory_mib": "Peak MiB", "precision": "Precision",
}  # fmt: skip
SECTIONS = {
    "ceiling": Section(
        "Ceiling",
        "Products of two 8192 x 8192 matrices. The shares below refer to these figures.",
        {"precision": "Precision", "tflop_per_second": "TFLOP/s"},
    ),
    "step": Section(
        "Training steps, eager",
        "A step with all speed options but compilation (eager), and with `engine.plain`: DeepLabV3+ with ResNet-101 at "
        "output stride 16, as many unlabelled as labelled images, the batch halved until it fits. Variants take turns.",
        STEP,
    ),
    "compiled": Section(
        "Training steps, compiled",
        "The same step compiled and eager; “Times as fast” is the gain after compilation.",
        STEP | {"compiled": "Compiled", "eager_because": "Why not"},
    ),
    "waiting": Section(
        "Waiting for the GPU",
        "A step with the small network under torch's sync debug mode, for each method that needs no other runs.",
        {"method": "Method", "waits": "Waits"},
    ),
    "determinism": Section(
        "Determinism",
        "DeepLabV3+ with ResNet-18, crop 321: the same training twice, with weights compared bit by bit, and the time "
        "of a step.",
        {"method": "Method", "deterministic": "`deterministic`", "same_bits": "Same bits", "steps": "Steps",
         "median_ms": "ms per step", "times_as_long": "Times as long"},
    ),
    "threshold": Section(
        "The threshold of OHEM",
        "The 200,000-th smallest of the probabilities of 8 crops, by the way that is taken on GPUs (topk) and by the "
        "one that is taken on CPUs.",
        {"case": "Crop", "what": "Way", "n": "n", "median_ms": "ms", "quartile_low_ms": "25 %",
         "quartile_high_ms": "75 %"},
    ),
    "evaluation": Section(
        "Evaluation",
        "Whole images, read from the store, through ResNet-101 to confusion matrices.",
        {"case": "Image", "what": "What", "n": "n", "median_ms": "ms per image", "quartile_low_ms": "25 %",
         "quartile_high_ms": "75 %", "precision": "Precision"},
    ),
    "precision": Section(
        "bf16 beside fp32",
        "One cell of the suite `pocket`, three seeds each; mIoU on test after the last iteration.",
        {"method": "Method", "precision": "Asked", "in_effect": "In effect", "seed": "Seed", "miou": "mIoU",
         "seconds": "Seconds"},
    ),
}  # fmt: skip


def write(folder: Path, card: Mapping[str, Any], parts: Sequence[Part], kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Write README.md and the CSV files from all measurements so far; remove the files of empty tables."""
    text = [f"# {card['gpu']}\n", _made_with(card, kept)]
    for group, section in SECTIONS.items():
        rows = [row for part in parts if part.group == group for row in kept.get(part.name, {}).get("rows", ())]
        path = folder / f"{group}.csv"
        if rows:
            write_text(path, csv_text(rows))
            text.append(f"## {section.title}\n\n{section.text}\n\n{_table(section.columns, rows)}")
        else:
            path.unlink(missing_ok=True)
    text += _missing(parts, kept)
    write_text(folder / "README.md", "\n".join(text))


def _made_with(card: Mapping[str, Any], kept: Mapping[str, Mapping[str, Any]]) -> str:
    commits = sorted({_commit(one["card"]) for one in kept.values()})
    return (
        f"{card['memory_gib']} GiB, compute capability {card['capability']}, driver {card['driver']}, torch "
        f"{card['torch']}, CUDA {card['cuda']}, cuDNN {card['cudnn']}, {card['cores']} cores of {card['cpu']}.\n"
        f"Made by `semiseg bench gpu` at {', '.join(commits) or 'no commit yet'}; `parts/` has every part as JSON.\n"
    )


def _commit(card: Mapping[str, Any]) -> str:
    known = f"commit {card['commit'][:10]}" if card["commit"] else "an unknown commit"
    return known + (" with uncommitted changes" if card["changed"] else "")


def _missing(parts: Sequence[Part], kept: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for part in parts:
        if part.name not in kept:
            lines.append(f"- {part.name}: not measured yet\n")
        elif kept[part.name]["failed"]:
            lines.append(f"- {part.name}: {kept[part.name]['failed']}\n")
    return ["## Not measured\n\nRepeat the command to measure these parts.\n\n" + "".join(lines)] if lines else []


def _table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str:
    shown = {key: heading for key, heading in columns.items() if any(row.get(key) is not None for row in rows)}
    lines = ["| " + " | ".join(shown.values()) + " |", "|" + "---|" * len(shown)]
    lines += ["| " + " | ".join(_cell(row.get(key)) for key in shown) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
