"""Memory that tensors ask for again and again stays with the process.

As it comes, glibc gives every large tensor back to the kernel when it is freed; the next one of the same size gets
pages that the kernel has to find and to zero anew. Trainings on CPUs, and evaluations still more, feel that.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Parameters of mallopt(3), as in malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEPT = 2**31 - 1  # bytes at the heap's end that are not given back: as many as mallopt can say
PAD = 2**26  # bytes by which the heap grows at a time


def keep() -> None:
    """Call it before torch is imported. What is computed stays the same, bit for bit; other systems are left alone."""
    if sys.platform != "linux":
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # PyTorch asks for huge pages, where the kernel gives a choice
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl has not
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_TOP_PAD, PAD)
