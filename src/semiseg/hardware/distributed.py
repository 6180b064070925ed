"""Operations that couple a batch across processes. With one process every function here is the identity.

Gradients are averaged after the backward pass rather than by DistributedDataParallel, whose hooks expect one forward
pass per step: several methods here run encoder and decoder separately or more than once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

ASK_EVERY = 10  # iterations
# The first process writes checkpoints, evaluations and weights while all others wait; the disk may be slow.
PATIENCE = timedelta(hours=1)


def start(device: torch.device) -> None:
    """Connect the processes that torchrun started; a single process needs no connection."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def gather(rows: torch.Tensor) -> torch.Tensor:
    """All processes' rows, in the order of the global batch; without gradient."""
    if world() == 1:
        return rows.detach()
    parts = [torch.empty_like(rows) for _ in range(world())]
    dist.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts)


def global_mean(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """A mean over elements of all processes, scaled so that averaging the gradients afterwards gives its gradient."""
    if world() == 1:
        return total / count.clamp(min=1)
    summed = count.detach().clone().to(total.dtype)
    dist.all_reduce(summed)
    return total * world() / summed.clamp(min=1)


def global_sum(values: torch.Tensor) -> torch.Tensor:
    """A sum over all processes, scaled so that averaging the gradients afterwards gives its gradient."""
    if world() == 1:
        return values
    summed = values.detach().clone()
    dist.all_reduce(summed)
    return values * world() + (summed - values.detach() * world())


def average(values: torch.Tensor) -> torch.Tensor:
    if world() > 1:
        dist.all_reduce(values)
        values = values / world()
    return values


def total(counts: torch.Tensor) -> torch.Tensor:
    """The exact sum of whole numbers over all processes."""
    if world() > 1:
        dist.all_reduce(counts)
    return counts


def smallest(values: torch.Tensor) -> torch.Tensor:
    if world() > 1:
        dist.all_reduce(values, op=dist.ReduceOp.MIN)
    return values


def average_gradients(modules: Iterable[nn.Module]) -> None:
    """Average all gradients of the step in one collective operation."""
    if world() == 1:
        return
    gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
    if gradients:
        flat = average(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        pieces = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [piece.view_as(g) for piece, g in zip(pieces, gradients, strict=True)])


def agree(flag: bool, device: torch.device, iteration: int) -> bool:
    """True in all processes soon after it is true in one, because all must stop at the same iteration.

    It is checked only at intervals, because the host must wait for the answer.
    """
    if world() == 1 or iteration % ASK_EVERY:
        return flag and world() == 1
    value = torch.tensor(float(flag), device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())
