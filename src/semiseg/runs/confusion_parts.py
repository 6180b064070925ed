"""Confusion matrices as their wrong pixels and the pixels of each true class, which runs on the same images share."""

from __future__ import annotations

import json

import numpy as np

from semiseg.runs.evaluations import Sparse, smallest

AFFECTS_RESULTS = False

TRUTH = "truth"

Arrays = dict[str, np.ndarray]


def wrong_and_truth(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matrices without their diagonals, and the pixels of each true class [N, K]."""
    return matrices * (1 - np.eye(matrices.shape[-1], dtype=np.int64)), matrices.sum(-1)


def whole(wrong: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return wrong + (pixels - wrong.sum(-1))[..., None] * np.eye(wrong.shape[-1], dtype=np.int64)


def split(arrays: Arrays) -> Arrays:
    """The arrays of an evaluations.npz in parts; others are left as they are."""
    found, truths = dict(arrays), {}
    for name, network, classes, evaluations in _scored(arrays):
        wrong, pixels = wrong_and_truth(_matrices(arrays, name, network, classes))
        pixels = pixels.reshape(evaluations, -1, classes)
        truth = truths.setdefault(name, pixels[0])
        if not (pixels == truth).all():
            return arrays
        _put(found, name, network, wrong)
    return found | {f"{TRUTH}/{name}": smallest(truth) for name, truth in truths.items()}


def joined(arrays: Arrays) -> Arrays:
    """The inverse of `split`, to the same bytes."""
    truths = {key.removeprefix(f"{TRUTH}/"): value for key, value in arrays.items() if key.startswith(f"{TRUTH}/")}
    if not truths:
        return arrays
    found = {key: value for key, value in arrays.items() if not key.startswith(f"{TRUTH}/")}
    for name, network, classes, evaluations in _scored(arrays):
        pixels = np.tile(truths[name].astype(np.int64), (evaluations, 1))
        _put(found, name, network, whole(_matrices(arrays, name, network, classes), pixels))
    return found


def _scored(arrays: Arrays) -> list[tuple[str, str, int, int]]:
    """Set, network, number of classes, number of evaluations, where the counts are there."""
    if "header" not in arrays:
        return []
    header = json.loads(arrays["header"].tobytes())
    classes = len(header["classes"])
    return [
        (name, network, classes, len(iterations))
        for name, network, iterations in header["scored"]
        if iterations and f"{name}/{network}/count" in arrays
    ]


def _matrices(arrays: Arrays, name: str, network: str, classes: int) -> np.ndarray:
    return Sparse(*(arrays[f"{name}/{network}/{field}"] for field in Sparse._fields)).dense([classes, classes])


def _put(arrays: Arrays, name: str, network: str, matrices: np.ndarray) -> None:
    for field, values in Sparse.of(matrices)._asdict().items():
        arrays[f"{name}/{network}/{field}"] = smallest(values)
