"""Where and how fast the networks run: device, precision, memory layout, compilation.

Everything here is a matter of speed; `engine.plain: true` switches all of it off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


def choose_device() -> torch.device:
    """The GPU that the scheduler made visible, else the CPU; torchrun says which of several."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("cpu")


def memory(device: torch.device) -> int:
    """Bytes that the device has, used or not."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    import psutil

    return psutil.virtual_memory().total


def prepare(device: torch.device, plain: bool) -> None:
    """Settings of the whole process."""
    if device.type == "cpu":
        # Small tensors: a second thread costs more than it brings, and trainings run side by side.
        torch.set_num_threads(int(os.environ.get("SEMISEG_THREADS", "1")))
    else:
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = not plain  # crops have one size, so the search pays once
        torch.backends.cudnn.allow_tf32 = not plain
        torch.set_float32_matmul_precision("highest" if plain else "high")


def seed_device(device: torch.device, seed: int) -> None:
    """torch.manual_seed for the one device that computes; for all of them it costs a CPU step a millisecond."""
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class Speed:
    """The speed options of one training, resolved for its device."""

    def __init__(self, settings: dict[str, Any], device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        plain = settings["plain"]
        wanted = settings["precision"]
        bf16 = wanted == "bf16" or (wanted == "auto" and on_gpu and torch.cuda.is_bf16_supported())
        self.device, self.plain = device, plain
        self.bf16 = bf16 and not plain
        self.fused = not plain
        self.channels_last = not plain  # a fifth of a step's time on CPUs too
        self.compiles = settings["compile"] and on_gpu and not plain

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def place(self, network: nn.Module) -> nn.Module:
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        return network.to(self.device, memory_format=layout)

    def arranged(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def compiled(self, function: Callable[..., Any], say: Callable[[str], None]) -> Callable[..., Any]:
        return _WithFallback(function, self, say) if self.compiles else function


class _WithFallback:
    """A compiled function that becomes the plain one, with all others of its training, when a compilation fails."""

    def __init__(self, function: Callable[..., Any], speed: Speed, say: Callable[[str], None]) -> None:
        self.plain, self.speed, self.say = function, speed, say
        self.fast = torch.compile(function, dynamic=False)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if not self.speed.compiles:
            return self.plain(*arguments, **options)
        try:
            return self.fast(*arguments, **options)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            result = self.plain(*arguments, **options)  # raises too when it was not the compiler's fault
            self.speed.compiles = False
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
            self.say(f"torch.compile is not used here, the networks run eagerly ({reason})")
            return result


def describe() -> dict[str, Any]:
    """Hardware as the record shows it."""
    import platform

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "device": "cuda" if gpu else "cpu",
        "gpu": gpu,
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "host": platform.node(),
    }


def cpu_name() -> str:
    import platform

    if sys.platform.startswith("linux"):
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
