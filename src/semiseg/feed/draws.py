"""Random numbers that depend only on (seed, stream, iteration, sample).

A counter-based generator (Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) has no
state, so the number of workers or processes, the order of calls and a resume cannot change a draw.
numpy's Philox needs one object per key and counter. Here the ten rounds run once over the counters of the whole
batch, which takes about 0.1 ms on a slow core, almost independently of the batch size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], dtype=np.uint64)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(counters: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10 of uint32 [4, N] counters: uint32 [4, N] of random bits."""
    return _rounds(counters, _key_schedule(key))


def _key_schedule(key: tuple[int, int]) -> np.ndarray:
    # Row 0 of each round belongs to the words (1, 2), row 1 to (3, 0); see _rounds.
    rounds = [[(word + i * weyl) & 0xFFFFFFFF for word, weyl in zip(key, _WEYL, strict=True)] for i in range(_ROUNDS)]
    return np.array(rounds, dtype=np.uint32)[:, :, None]


def _rounds(counters: np.ndarray, schedule: np.ndarray) -> np.ndarray:
    # Words 0 and 2 are multiplied in one call, then words 1 and 3 are mixed in. A view gives the two halves of the
    # 64-bit products, and two buffers take turns. That is three numpy calls per round; the calls dominate the cost.
    left, right = counters[0::2], counters[1::2]
    products = [np.empty((2, counters.shape[1]), dtype="<u8") for _ in range(2)]
    halves = [product.view("<u4").reshape(2, -1, 2)[::-1] for product in products]
    views = [(product, half[:, :, 1], half[:, :, 0]) for product, half in zip(products, halves, strict=True)]
    for i, key in enumerate(schedule):
        product, high, low = views[i % 2]
        np.multiply(left, _MULTIPLIERS, out=product)
        left = high ^ right
        left ^= key
        right = low
    return np.stack((left[0], right[0], left[1], right[1]))


@lru_cache(maxsize=1024)
def _schedule_of(seed: int, stream: str) -> np.ndarray:
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return _key_schedule((int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")))


class Draws:
    """The draws of some samples at one iteration.

    `samples` are the samples' global positions in the run (not in this process's part of the batch), so that a row
    is the same in every process. `part` is the number of the part if the batch is processed in parts: each part has
    separate shared draws.
    """

    def __init__(self, seed: int, iteration: int, samples: Sequence[int] = (), part: int = 0) -> None:
        self.seed = int(seed)
        self.iteration, self.part = int(iteration), int(part)
        self.samples = np.asarray(samples, dtype=np.int64).reshape(-1)

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, rows: slice | Sequence[int] | np.ndarray) -> Draws:
        """The same draws, but only these rows of the batch."""
        return Draws(self.seed, self.iteration, self.samples[rows], self.part)

    def uniform(self, stream: str, n: int = 1, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """float64 [B, n] in [low, high)."""
        return low + (high - low) * self._uniform(stream, n, self.samples, shared=False)

    def shared(self, stream: str, n: int = 1) -> np.ndarray:
        """float64 [n] in [0, 1), one draw for the whole batch (or its part): the same on every process."""
        return self._uniform(stream, n, np.array([self.part], np.int64), shared=True)[0]

    def permutation(self, stream: str, n: int) -> np.ndarray:
        """A permutation of range(n) as int64, shared by the whole batch."""
        return np.argsort(self.shared(stream, n), kind="stable")

    def _uniform(self, stream: str, n: int, samples: np.ndarray, *, shared: bool) -> np.ndarray:
        blocks = -(-n // 2)  # one block of 128 bits gives two doubles of 53 bits
        counters = np.empty((4, len(samples), blocks), dtype=np.uint32)
        counters[0] = np.arange(blocks)
        counters[1] = (samples & 0xFFFFFFFF)[:, None]
        counters[2] = self.iteration & 0xFFFFFFFF
        # Draws of the whole batch must differ from those of sample 0. The higher bits of a position are kept.
        counters[3] = ((samples >> 32) << 1 | int(shared))[:, None]
        words = _rounds(counters.reshape(4, -1), _schedule_of(self.seed, stream)).T
        bits = np.ascontiguousarray(words).view("<u8") >> 11
        return (bits * 2.0**-53).reshape(len(samples), 2 * blocks)[:, :n]
