"""Bipartite matching for a whole batch with one copy from the device."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def match(cost: Tensor, present: Tensor) -> Tensor:
    """For each of K problems, the cheapest one-to-one assignment of columns to rows (the Hungarian method).

    `cost` is [K, N, M]; columns with `present` [K, M] False take no part. Returns the row of each column, int64 [K, M]
    on the device of `cost`; -1 where the column is absent, or where there are fewer rows than columns.
    """
    # A NaN would stop the solver; finite costs let it pass, and the loss itself then shows that training diverged.
    finite = torch.nan_to_num(cost.detach().float(), nan=1e6, posinf=1e6, neginf=-1e6)
    table = torch.cat([finite, present[:, None].float()], dim=1)
    rows = torch.from_numpy(_solve(_to_host(table).numpy()))
    if cost.device.type == "cpu":
        return rows
    return rows.pin_memory().to(cost.device, non_blocking=True)


def _solve(table: np.ndarray) -> np.ndarray:
    """`table` is [K, N + 1, M]: the costs, and in the last row which columns are present."""
    rows = np.full((table.shape[0], table.shape[2]), -1, dtype=np.int64)
    for found, problem in zip(rows, table, strict=True):
        columns = np.flatnonzero(problem[-1])
        chosen, order = linear_sum_assignment(problem[:-1, columns])
        found[columns[order]] = chosen
    return rows


def _to_host(table: Tensor) -> Tensor:
    """The one place where the host waits for the device: an explicit wait, which synchronisation checks let pass."""
    if table.device.type == "cpu":
        return table
    host = torch.empty_like(table, device="cpu", pin_memory=True)
    host.copy_(table, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()
    copied.synchronize()
    return host
