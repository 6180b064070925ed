"""Batch normalisation whose statistics are those of the global batch, on GPUs and on CPUs.

torch.nn.SyncBatchNorm has no CPU version, and its conversion loses the activation that timm puts into the layer.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from semiseg.base.errors import UserError
from semiseg.hardware.distributed import gather, world


def synchronise(network: nn.Module) -> nn.Module:
    """With several processes, replace every batch normalisation by one with statistics over all processes."""
    if world() > 1:
        for name, module in network.named_modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = _shared(module, name)
    return network


def _shared(module: _BatchNorm, name: str) -> type[_BatchNorm]:
    from timm.layers import BatchNormAct2d

    kind = type(module)
    if kind.forward not in (_BatchNorm.forward, BatchNormAct2d.forward):
        raise UserError(
            f"{name} is a {kind.__name__}, whose statistics cannot be shared among processes; train with recipe.gpus: 1"
        )
    return _class(kind)


@cache
def _class(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    """A subclass with the same activation and names of weights, but with statistics over all processes."""
    return type(kind.__name__, (_Shared, kind), {})


class _Shared:
    """A mix-in for classes of batch normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)
        self.num_batches_tracked.add_(1)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return self.act(self.drop(y)) if hasattr(self, "act") else y


class _Normalise(torch.autograd.Function):
    """Keeps only the input for the backward pass, as torch's batch normalisation does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        variance, mean = torch.var_mean(_wide(x), _all_but_channels(x), correction=0)
        count = mean.new_tensor([x.numel() / len(mean)])
        # Variances are combined around the common mean: a mean of squares would lose digits.
        own = gather(torch.cat([mean, variance, count])[None])
        means, variances, counts = own.split([len(mean), len(mean), 1], 1)
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, inverse, total)
        y = (_wide(x) - _per_channel(mean, x)) * _per_channel(inverse * weight, x) + _per_channel(bias, x)
        unbiased = variance * (total / (total - 1))
        ctx.mark_non_differentiable(mean, unbiased)
        return y.to(x.dtype), mean, unbiased

    @staticmethod
    def backward(ctx: Any, slope: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse, total = ctx.saved_tensors
        normal = (_wide(x) - _per_channel(mean, x)) * _per_channel(inverse, x)
        slope, dims = _wide(slope), _all_but_channels(x)
        of_bias, of_weight = slope.sum(dims), (slope * normal).sum(dims)
        summed = torch.stack([of_bias, of_weight])
        dist.all_reduce(summed)
        through_mean, through_variance = summed / total
        inner = slope - _per_channel(through_mean, x) - normal * _per_channel(through_variance, x)
        return (inner * _per_channel(inverse * weight, x)).to(x.dtype), of_weight, of_bias, None


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _all_but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.ndim)]


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *(1 for _ in range(x.ndim - 2)))
