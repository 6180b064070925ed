"""Finished runs in two files that are small enough for git, without weights.

`submission.json` is for readers: it lists the runs, their scores and their environments, and has the hash of the
archive. `runs.tar.xz` holds the runs' files. Numpy files are stored in it uncompressed, so that LZMA can exploit what
they share: image names, cells, and counts. Of a confusion matrix only the wrong pixels are stored, and the pixels of
each true class apart, because all runs share them. Histograms of confidence are the largest part. Of a method's run
only those of the reported network are kept, which tables need.

A light submission is for the repository of the study. It has no histograms, and leaves out the counts of a network
whose evaluations are all in the study's own evaluations.npz.
"""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semiseg import __version__
from semiseg.base.errors import UserError
from semiseg.base.files import read_json, sha256_bytes, sha256_file, write_bytes, write_json, write_npz
from semiseg.runs import confusion_parts, seal, shared_counts
from semiseg.runs.evaluations import Evaluations
from semiseg.runs.run_folder import RunFolder
from semiseg.runs.suite_evaluations import StoredRun

AFFECTS_RESULTS = False

FORMAT = 3
READS = (1, 2, 3)  # in 1, confusion matrices are whole; in 2, light submissions leave out histograms only
MANIFEST, ARCHIVE = "submission.json", "runs.tar.xz"
PICTURES, EVALUATIONS = "predictions.npz", "evaluations.npz"
FILES = ("spec.json", "config.yaml", "record.json", "eval.json", "metrics.jsonl", EVALUATIONS)
MOST_BYTES = 2**32  # limit after unpacking; a larger archive is rejected


def pack(
    folder: Path, source: str, suite_dir: Path, runs: Mapping[str, Path], *, pictures: bool = False, light: bool = False
) -> None:
    """Write the two files; `runs`: name below `runs/` -> folder of the run."""
    stored = shared_counts.of_study(suite_dir) if light else None
    packed = _packed(runs, (*FILES, PICTURES) if pictures else FILES, stored)
    write_bytes(folder / ARCHIVE, packed)
    content = {
        "format": FORMAT,
        "source": source,
        "suite": suite_dir.name,
        "semiseg": __version__,
        "archive": sha256_bytes(packed),
        "made_with": _made_with(runs.values()),
        "runs": {name: _score(path) for name, path in sorted(runs.items())},
    }
    write_json(folder / MANIFEST, seal.sealed(content))


def _packed(
    runs: Mapping[str, Path], files: tuple[str, ...], stored: Mapping[tuple[str, str], StoredRun] | None
) -> bytes:
    """Pack files of one kind next to each other. Dates and owners are constant, so equal runs give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=9) as archive:
        for file in files:
            for name, path in sorted(runs.items()):
                if (path / file).exists():
                    content = _evaluations(path, name, stored) if file == EVALUATIONS else _content(path / file)
                    entry = tarfile.TarInfo(f"{name}/{file}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _content(path: Path) -> bytes:
    return _uncompressed(_arrays(path)) if path.suffix == ".npz" else path.read_bytes()


def _evaluations(folder: Path, name: str, stored: Mapping[tuple[str, str], StoredRun] | None) -> bytes:
    arrays = _without_histograms(_arrays(folder / EVALUATIONS), RunFolder(folder), light=stored is not None)
    if stored is not None:
        arrays = shared_counts.left_out(arrays, stored.get((name, read_json(folder / "eval.json")["spec_sha256"])))
    return _uncompressed(confusion_parts.split(arrays))


def _arrays(file: Path | io.BytesIO) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}


def _uncompressed(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _without_histograms(arrays: dict[str, np.ndarray], run: RunFolder, light: bool) -> dict[str, np.ndarray]:
    """Leave out histograms that no table uses; see `runs.suite_evaluations`."""
    header = json.loads(arrays["header"].tobytes())
    reported = read_json(run / "eval.json")["reported_network"]
    every = run.spec["config"]["method"]["name"] == "supervised"

    def is_needed(kind: str, network: str) -> bool:
        return kind != "confidence" or (not light and (every or network == reported))

    dropped = {tuple(extra[:3]) for extra in header["extras"] if not is_needed(extra[0], extra[2])}
    if not dropped:
        return arrays
    header["extras"] = [extra for extra in header["extras"] if tuple(extra[:3]) not in dropped]
    arrays = {key: value for key, value in arrays.items() if tuple(key.split("/")[:3]) not in dropped}
    return arrays | {"header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)}


def _made_with(folders: Any) -> list[dict[str, Any]]:
    """The distinct environments of the runs; the full environment is in each run's record."""
    found = []
    for path in folders:
        record = read_json(path / "record.json")
        one = {key: record.get(key) for key in ("git", "hardware", "versions")}
        if one not in found:
            found.append(one)
    return found


def _score(path: Path) -> dict[str, Any]:
    """The scores, for readers; tables are computed from the matrices."""
    summary = read_json(path / "eval.json")
    reported = summary["networks"][summary["reported_network"]]
    return {
        "spec_sha256": summary["spec_sha256"],
        "network": summary["reported_network"],
        "miou": reported["last"]["miou"],
    }


def read(folder: Path) -> dict[str, Any]:
    """Read submission.json and check the archive; errors name the damage."""
    if not (folder / MANIFEST).exists():
        raise UserError(f"{folder} is not a submission: it has no {MANIFEST}, which `semiseg submit` writes")
    manifest = read_json(folder / MANIFEST)
    if not seal.holds(manifest):
        raise UserError(f"{folder / MANIFEST} was edited or cut after it was written; ask its source for it again")
    if manifest["format"] not in READS:
        raise UserError(f"{folder} has format {manifest['format']}, this version of semiseg reads {FORMAT}")
    if not (folder / ARCHIVE).exists():
        raise UserError(f"{folder / ARCHIVE} is missing; a submission consists of it and {MANIFEST}")
    if sha256_file(folder / ARCHIVE) != manifest["archive"]:
        raise UserError(
            f"{folder / ARCHIVE} was cut or changed: it is not the archive that {MANIFEST} names; ask its "
            "source for it again"
        )
    return manifest


def unpack(folder: Path, manifest: Mapping[str, Any], place: Path, suite_dir: Path) -> None:
    """Unpack the run folders of the study into `place`; their records name the source. Weights are not included."""
    try:
        for name, content in _members(folder / ARCHIVE, manifest):
            _write(place / name, content)
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder / ARCHIVE} cannot be read ({error}); ask its source for it again") from error
    stored = shared_counts.of_study(suite_dir) if manifest["format"] > 2 else {}
    for name in manifest["runs"]:
        lacking = [file for file in FILES if not (place / name / file).exists()]
        if lacking:
            raise UserError(f"{folder / ARCHIVE} lacks {', '.join(lacking)} of the run {name}; pack it again")
        _complete(place / name / EVALUATIONS, stored.get((name, manifest["runs"][name]["spec_sha256"])), name)
        _mark(RunFolder(place / name), manifest["source"])


def _members(path: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    allowed = {f"{run}/{file}" for run in manifest["runs"] for file in (*FILES, PICTURES)}
    size = 0
    with tarfile.open(path, "r:xz") as archive:
        for entry in archive:
            size += entry.size
            if entry.name not in allowed or ".." in entry.name.split("/") or not entry.isreg() or size > MOST_BYTES:
                raise ValueError(f"{entry.name} does not belong in a submission")
            yield entry.name, archive.extractfile(entry).read()


def _write(path: Path, content: bytes) -> None:
    if path.suffix != ".npz":
        return write_bytes(path, content)
    write_npz(path, **confusion_parts.joined(_arrays(io.BytesIO(content))))


def _complete(path: Path, stored: StoredRun | None, run: str) -> None:
    arrays = _arrays(path)
    whole = shared_counts.put_back(arrays, stored, run)
    if whole is not arrays:
        write_npz(path, **whole)
        Evaluations.load(path).save(path)  # in its own order


def _mark(folder: RunFolder, source: str) -> None:
    """Update the hashes in the record: other versions of zlib compress the same arrays to other bytes."""
    record = folder.record
    here = {name: sha256_file(folder / name) for name in record["products"] if (folder / name).exists()}
    collected = {"source": source, "products": record["products"]}
    write_json(folder / "record.json", record | {"products": here, "collected": collected})
