"""Bipartite matching for a whole batch with one copy from the device."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def match(cost: Tensor, present: Tensor) -> Tensor:
    """Solve K assignment problems: the cheapest one-to-one assignment of columns to rows (Hungarian method).

    `cost` is [K, N, M]; columns with `present` [K, M] False are left out. Returns the row of each column, int64 [K, M]
    on the device of `cost`; -1 if the column is absent or no row is left.
    """
    # A NaN would stop the solver. With finite costs the solver goes on, and the loss itself shows the divergence.
    finite = torch.nan_to_num(cost.detach().float(), nan=1e6, posinf=1e6, neginf=-1e6)
    table = torch.cat([finite, present[:, None].float()], dim=1)
    rows = torch.from_numpy(_solve(_to_host(table).numpy()))
    if cost.device.type == "cpu":
        return rows
    return rows.pin_memory().to(cost.device, non_blocking=True)


def _solve(table: np.ndarray) -> np.ndarray:
    """`table` [K, N + 1, M] holds the costs; its last row marks the columns that are present."""
    rows = np.full((table.shape[0], table.shape[2]), -1, dtype=np.int64)
    for found, problem in zip(rows, table, strict=True):
        columns = np.flatnonzero(problem[-1])
        chosen, order = linear_sum_assignment(problem[:-1, columns])
        found[columns[order]] = chosen
    return rows


def _to_host(table: Tensor) -> Tensor:
    """The only place where the host waits for the device; the wait is explicit, so torch's sync check permits it."""
    if table.device.type == "cpu":
        return table
    host = torch.empty_like(table, device="cpu", pin_memory=True)
    host.copy_(table, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()
    copied.synchronize()
    return host
