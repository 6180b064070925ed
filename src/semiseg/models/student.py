"""A network in training: it takes pixels, gives predictions, and applies the speed options of its device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from semiseg import views
from semiseg.hardware.device import Speed, sizes_vary
from semiseg.models.outputs import Output


class Student:
    """A network in training mode that takes pixels; methods that perturb features use its two halves."""

    def __init__(self, network: nn.Module, speed: Speed, say: Callable[[str], None]) -> None:
        self.network, self.speed = network, speed
        self._forward = speed.compiled(network.forward, say)
        self._encode = speed.compiled(network.encode, say)
        self._decode = speed.compiled(network.decode, say)

    def __call__(self, pixels: Tensor) -> Output:
        with self.speed.autocast():
            return self._forward(self._normalised(pixels))

    def encode(self, pixels: Tensor) -> list[Tensor]:
        with self.speed.autocast():
            return self._encode(self._normalised(pixels))

    def decode(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        with self.speed.autocast():
            return self._decode(features, size)

    def owned(self, name: str, *inputs: Tensor) -> Any:
        """Output of a method's module, in the mode of the network."""
        with self.speed.autocast():
            return self.network.owned[name](*inputs)

    def frozen(self, pixels: Tensor) -> Output:
        """The same weights in evaluation mode, without gradient; statistics are not updated."""
        return self._evaluated(self._forward, pixels)

    def eager(self, pixels: Tensor) -> Output:
        """`frozen` without compilation, for images of any size: each new size would be compiled again."""
        with sizes_vary():
            return self._evaluated(self.network.forward, pixels)

    def _evaluated(self, forward: Callable[[Tensor], Output], pixels: Tensor) -> Output:
        training = self.network.training
        if training:
            self.network.eval()
        try:
            with torch.no_grad(), self.speed.autocast():
                return forward(self._normalised(pixels))
        finally:
            if training:
                self.network.train()

    def _normalised(self, pixels: Tensor) -> Tensor:
        return self.speed.arranged(views.normalise(pixels))


class SecondPlayer:
    """The discriminator, with the same speed options; its inputs are maps, not pixels."""

    def __init__(self, network: nn.Module, speed: Speed, say: Callable[[str], None]) -> None:
        self.network, self.speed = network, speed
        self._forward = speed.compiled(network.forward, say)

    def __call__(self, maps: Tensor) -> Tensor:
        with self.speed.autocast():
            return self._forward(self.speed.arranged(maps))

    def eager(self, maps: Tensor) -> Tensor:
        """Without compilation, for maps of any size; see `Student.eager`."""
        with sizes_vary(), self.speed.autocast():
            return self.network(self.speed.arranged(maps))
