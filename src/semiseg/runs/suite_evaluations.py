"""The stored evaluations of a suite in one compact file beside records.jsonl.

Tables and plots are made from this file and records.jsonl alone, so a clone can make them again without data, run
folders or training. For each finished run, the reported set and every network, it holds the per-image confusion
matrices of the last and of the selected evaluation, and what other metrics need of the last evaluation. It also holds
the diagnostics of pseudo-labels, and the losses at a few points. Equal content gives equal bytes.

Histograms of confidence would take four fifths of the file if they were stored for each image. They are summed over the
images that are drawn together, and over random sets of images where a test set has more than `HISTOGRAMS` of those.
"""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.runs import training_log, units
from semiseg.runs.evaluations import Evaluations, Sparse, smallest

AFFECTS_RESULTS = False

FORMAT = 2
NAME = "evaluations.npz"
EXTRAS = ("boundary", "confidence")
HISTOGRAMS = 100  # the standard error of a calibration error is then known to 7 %
CANNOT = "the existing tables and plots can be read, but not made again or verified"


@dataclass(eq=False)
class StoredRun:
    """The stored part of one run. Keys of `counts`: (kind, network, iteration); kind: "confusion" or one of EXTRAS."""

    spec_sha256: str
    images: list[str]
    groups: list[str | None] | None
    counts: dict[tuple[str, str, int], tuple[tuple[int, ...], Sparse]] = field(default_factory=dict)
    losses: dict[str, list[training_log.Point]] = field(default_factory=dict)
    diagnostics: list[dict[str, Any]] = field(default_factory=list)

    def dense(self, kind: str, network: str, iteration: int) -> np.ndarray | None:
        """int64 [N, ...], for "confidence" [units, ...]; None if it is not stored."""
        found = self.counts.get((kind, network, iteration))
        return found[1].dense(found[0]) if found else None


def gather(suite_dir: Path, rows: Iterable[Mapping[str, Any]]) -> dict[str, StoredRun]:
    """Run -> its stored part, for the evaluated rows of records.jsonl whose folders exist."""
    evaluated = (row for row in rows if row["run"] and row["eval"])
    return {row["run"]: _of_run(suite_dir / row["run"], row) for row in evaluated
            if (suite_dir / row["run"] / "evaluations.npz").exists()}  # fmt: skip


def _of_run(folder: Path, row: Mapping[str, Any]) -> StoredRun:
    """Histograms of confidence are large: methods keep those of the reported network only, baselines those of both."""
    summary = row["eval"]
    found, name = Evaluations.load(folder / "evaluations.npz"), summary["evaluated_on"]
    kept = StoredRun(summary["spec_sha256"], found.images[name], found.groups.get(name))
    last = found.iterations[-1]
    drawn_with = units.merged(units.of_images(len(kept.images), kept.groups, row.get("block")), HISTOGRAMS)
    for network, scores in summary["networks"].items():
        wanted = {last, scores["best"]["iteration"] if scores["best"] else last}
        for iteration in sorted(wanted):
            matrices = found.confusion(name, network, found.iterations.index(iteration))
            kept.counts["confusion", network, iteration] = matrices.shape[1:], Sparse.of(matrices)
        reported = network == summary["reported_network"] or row["method"] == "supervised"
        for kind in EXTRAS if reported else EXTRAS[:1]:
            values = found.extra(kind, name, network, last)
            if values is not None:
                if kind == "confidence":
                    values = _summed(values, drawn_with)
                kept.counts[kind, network, last] = values.shape[1:], Sparse.of(values)
    kept.losses = {loss: [(i, _short(value)) for i, value in points]
                   for loss, points in training_log.losses(folder).items()}  # fmt: skip
    kept.diagnostics = [_rounded(line) for line in training_log.lines(folder, "diagnostics")]
    return kept


def _summed(values: np.ndarray, unit_of: np.ndarray) -> np.ndarray:
    summed = np.zeros((int(unit_of.max()) + 1, *values.shape[1:]), dtype=np.int64)
    np.add.at(summed, unit_of, values)
    return summed


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items() if key != "kind"}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return _short(value) if isinstance(value, float) else value


def _short(value: float) -> float:
    return float(format(value, ".5g"))


def write(path: Path, runs: Mapping[str, StoredRun]) -> None:
    """Write one header and the joined counts of all runs; thousands of small arrays would take more space."""
    sets: list[Any] = []
    described = {}
    joined: dict[str, list[Sparse]] = {}
    for run in sorted(runs):
        kept = runs[run]
        shown = [kept.images, kept.groups]
        if shown not in sets:
            sets.append(shown)
        listed = [[*key, len(counts.filled), shape] for key, (shape, counts) in sorted(kept.counts.items())]
        for key in sorted(kept.counts):
            joined.setdefault(key[0], []).append(kept.counts[key][1])
        described[run] = {
            "spec_sha256": kept.spec_sha256, "set": sets.index(shown), "counts": listed,
            "losses": kept.losses, "diagnostics": kept.diagnostics,
        }  # fmt: skip
    header = {"format": FORMAT, "sets": sets, "runs": described}
    arrays = {"header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)}
    for kind, parts in joined.items():
        for name in Sparse._fields:
            arrays[f"{kind}/{name}"] = smallest(np.concatenate([getattr(part, name) for part in parts]))
    files.write_bytes(path, _packed(arrays))


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write an .npz with LZMA, which halves the size. Dates are constant."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(content, arrays[name], allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_LZMA)
    return buffer.getvalue()


def read(path: Path) -> dict[str, StoredRun]:
    """Read the runs; an error says what can still be shown."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT:
            raise UserError(f"{path} has format {header['format']}, this version of semiseg reads {FORMAT}; {CANNOT}")
        return _runs(header, arrays)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: this study has no stored evaluations; {CANNOT}") from None
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged ({reason}); restore it (`git checkout`); until then {CANNOT}") from error


def _runs(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, StoredRun]:
    row, cell = dict.fromkeys(EXTRAS, 0) | {"confusion": 0}, dict.fromkeys(EXTRAS, 0) | {"confusion": 0}
    runs = {}
    for run, described in header["runs"].items():  # in the order of the joined counts
        images, groups = header["sets"][described["set"]]
        kept = StoredRun(described["spec_sha256"], images, groups)
        kept.losses = {name: [(i, value) for i, value in points] for name, points in described["losses"].items()}
        kept.diagnostics = described["diagnostics"]
        for kind, network, iteration, rows, shape in described["counts"]:
            filled = arrays[f"{kind}/filled"][row[kind] : row[kind] + rows]
            cells = slice(cell[kind], cell[kind] + int(filled.sum()))
            part = Sparse(filled, arrays[f"{kind}/cell"][cells], arrays[f"{kind}/count"][cells])
            if len(filled) != rows or len(part.cell) != cells.stop - cells.start:
                raise ValueError(f"the counts of {run} end too early")
            kept.counts[kind, network, iteration] = tuple(shape), part
            row[kind], cell[kind] = row[kind] + rows, cells.stop
        runs[run] = kept
    return runs
