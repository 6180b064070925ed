"""Counts that a light submission leaves to the stored evaluations of its study, which git holds beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_bytes
from semiseg.runs.evaluations import Sparse, smallest
from semiseg.runs.suite_evaluations import NAME, StoredRun, read

AFFECTS_RESULTS = False

NO_NAME = re.compile(r"^(runs|collected/[^/]+)/")
DIGEST = "digest"  # of all arrays before some were left out

Arrays = dict[str, np.ndarray]  # of an evaluations.npz


def of_study(suite_dir: Path) -> dict[tuple[str, str], StoredRun]:
    """The study's stored runs by name (below runs/ or collected/SOURCE/) and spec; none without the file."""
    if not (suite_dir / NAME).exists():
        return {}
    found = read(suite_dir / NAME)
    return {(NO_NAME.sub("", run, count=1), stored.spec_sha256): stored for run, stored in found.items()}


def left_out(arrays: Arrays, stored: StoredRun | None) -> Arrays:
    """The arrays without those that the study stores."""
    kept = dict(arrays)
    for theirs in _of_study(arrays, stored):
        if all(np.array_equal(arrays[key], values) for key, values in theirs.items()):
            kept = {key: values for key, values in kept.items() if key not in theirs}
    return kept | {DIGEST: _digest(arrays)} if len(kept) < len(arrays) else arrays


def put_back(arrays: Arrays, stored: StoredRun | None, run: str) -> Arrays:
    """The inverse of `left_out`."""
    if DIGEST not in arrays:
        return arrays
    whole = {key: values for key, values in arrays.items() if key != DIGEST}
    for theirs in _of_study(arrays, stored):
        whole = theirs | whole
    if not np.array_equal(_digest(whole), arrays[DIGEST]):
        raise UserError(
            f"{NAME} of the study does not hold what the light submission of {run} leaves to it; restore that file "
            "(`git checkout`), or ask for a submission that was packed without --light"
        )
    return whole


def _digest(arrays: Arrays) -> np.ndarray:
    """The hash of the file itself depends on the version of zlib."""
    found = sha256_bytes(b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays)))
    return np.frombuffer(bytes.fromhex(found), dtype=np.uint8)


def _of_study(arrays: Arrays, stored: StoredRun | None) -> Iterator[Arrays]:
    """For each network and kind of counts, what the study stores, if it stores all of their evaluations."""
    header = json.loads(arrays["header"].tobytes())
    wanted = [("confusion", *scored, f"{scored[0]}/{scored[1]}") for scored in header["scored"]]
    wanted += [(*extra[:3], [extra[3]], "/".join(extra[:3])) for extra in header["extras"]]
    for kind, name, network, iterations, place in wanted:
        if stored and header["images"][name] == stored.images:
            yield {f"{place}/{key}": values for key, values in _joined(stored, kind, network, iterations).items()}


def _joined(stored: StoredRun, kind: str, network: str, iterations: Sequence[int]) -> Arrays:
    found = [stored.counts[kind, network, one][1] for one in iterations if (kind, network, one) in stored.counts]
    if len(found) < len(iterations) or not found:
        return {}
    return {field: smallest(np.concatenate([getattr(part, field) for part in found])) for field in Sparse._fields}
