"""The stored evaluations of a suite in one compact file beside records.jsonl.

Tables and plots are made from this file and records.jsonl alone, so a clone can make them again without data, run
folders or training. For each finished run, the reported set and every network, it holds the per-image confusion
matrices of the last and of the selected evaluation, and what other metrics need of the last evaluation. It also holds
the diagnostics of pseudo-labels, and the losses at a few points. Equal content gives equal bytes.

Three things keep the file small. Of a confusion matrix only the wrong pixels are stored; the number of pixels of each
true class is stored once, because it is the same for all runs. Histograms of confidence are summed over the images that
are drawn together, and over random sets of images where a test set has more than `HISTOGRAMS` of those. Counts are
written byte by byte (`byte_planes`).
"""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.runs import byte_planes, training_log, units
from semiseg.runs.confusion_parts import whole, wrong_and_truth
from semiseg.runs.evaluations import Evaluations, Sparse, smallest

AFFECTS_RESULTS = False

FORMAT = 3
NAME = "evaluations.npz"
EXTRAS = ("boundary", "confidence")
SQUARE = ("confusion", "boundary")  # confusion matrices
HISTOGRAMS = 25  # the standard error of a calibration error is then known to 14 %
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
    found = {row["run"]: _of_run(suite_dir / row["run"], row) for row in evaluated
             if (suite_dir / row["run"] / "evaluations.npz").exists()}  # fmt: skip
    before = _stored(suite_dir / NAME)
    for run, stored in before.items():
        if run in found:
            _complete(found[run], stored)
    return found | dict(_of_submissions(suite_dir, found, before))


def _of_submissions(
    suite_dir: Path, found: Mapping[str, StoredRun], before: Mapping[str, StoredRun]
) -> Iterator[tuple[str, StoredRun]]:
    """What a light submission leaves to this file, of runs that no table shows, as those that were trained again."""
    for path in sorted((suite_dir / "submissions").glob("*/submission.json")):
        manifest = files.read_json(path)
        for name, one in manifest["runs"].items():
            places = f"runs/{name}", f"collected/{manifest['source']}/{name}"
            kept, known = (
                [runs[place] for place in places if place in runs and runs[place].spec_sha256 == one["spec_sha256"]]
                for runs in (found, before)
            )
            if known and not kept:
                yield places[1], known[0]


def _stored(path: Path) -> dict[str, StoredRun]:
    try:
        return read(path) if path.exists() else {}
    except UserError:  # it is about to be replaced
        return {}


def _complete(kept: StoredRun, stored: StoredRun) -> None:
    """Keep what the study has stored of the same evaluation, where a light submission brought no histograms."""
    if (stored.spec_sha256, stored.images, stored.groups) != (kept.spec_sha256, kept.images, kept.groups):
        return
    for (kind, network, iteration), counts in stored.counts.items():
        place = "confusion", network, iteration
        if kind in EXTRAS and _equal(kept.counts.get(place), stored.counts.get(place)):
            kept.counts.setdefault((kind, network, iteration), counts)


def _equal(one: Any, other: Any) -> bool:
    if one is None or other is None or tuple(one[0]) != tuple(other[0]):
        return False
    return all(np.array_equal(a, b) for a, b in zip(one[1], other[1], strict=True))


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
    truths: list[np.ndarray] = []  # each with the pixels of each true class [N, K]
    described = {}
    joined: dict[str, list[Sparse]] = {}
    for run in sorted(runs):
        kept = runs[run]
        shown = [kept.images, kept.groups]
        if shown not in sets:
            sets.append(shown)
        listed = []
        for (kind, network, iteration), (shape, counts) in sorted(kept.counts.items()):
            truth = None
            if kind in SQUARE:
                wrong, pixels = wrong_and_truth(counts.dense(shape))
                counts, truth = Sparse.of(wrong), _place(truths, pixels)
            joined.setdefault(kind, []).append(counts)
            listed.append([kind, network, iteration, len(counts.filled), shape, truth])
        described[run] = {
            "spec_sha256": kept.spec_sha256, "set": sets.index(shown), "counts": listed,
            "losses": kept.losses, "diagnostics": kept.diagnostics,
        }  # fmt: skip
    joined["truth"] = [Sparse.of(pixels) for pixels in truths]
    header = {"format": FORMAT, "sets": sets, "truths": [pixels.shape for pixels in truths], "runs": described}
    arrays = {"header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)}
    for kind, parts in joined.items():
        for name in Sparse._fields:
            arrays[f"{kind}/{name}"] = smallest(
                np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, np.uint8)])
            )
    files.write_bytes(path, _packed(byte_planes.apart(arrays)))


def _place(truths: list[np.ndarray], pixels: np.ndarray) -> int:
    """Where these pixels stand in the list; new ones are added."""
    for place, known in enumerate(truths):
        if np.array_equal(known, pixels):
            return place
    truths.append(pixels)
    return len(truths) - 1


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
        return _runs(header, byte_planes.together(arrays))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: this study has no stored evaluations; {CANNOT}") from None
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged ({reason}); restore it (`git checkout`); until then {CANNOT}") from error


def _runs(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, StoredRun]:
    next_row: Counter[str] = Counter()
    next_cell: Counter[str] = Counter()

    def take(kind: str, rows: int) -> Sparse:
        """The next counts of a kind; they were joined in the order of the header."""
        row, cell = next_row[kind], next_cell[kind]
        filled = arrays[f"{kind}/filled"][row : row + rows]
        end = cell + int(filled.sum())
        part = Sparse(filled, arrays[f"{kind}/cell"][cell:end], arrays[f"{kind}/count"][cell:end])
        if len(filled) != rows or len(part.cell) != end - cell:
            raise ValueError("the counts end too early")
        next_row[kind], next_cell[kind] = row + rows, end
        return part

    truths = [take("truth", rows).dense([classes]) for rows, classes in header["truths"]]
    runs = {}
    for run, described in header["runs"].items():
        images, groups = header["sets"][described["set"]]
        kept = StoredRun(described["spec_sha256"], images, groups)
        kept.losses = {name: [(i, value) for i, value in points] for name, points in described["losses"].items()}
        kept.diagnostics = described["diagnostics"]
        for kind, network, iteration, rows, shape, truth in described["counts"]:
            counts = take(kind, rows)
            if truth is not None:
                counts = Sparse.of(whole(counts.dense(shape), truths[truth]))
            kept.counts[kind, network, iteration] = tuple(shape), counts
        runs[run] = kept
    return runs
