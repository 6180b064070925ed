"""How the networks run: device, precision, memory layout, compilation.

All of this concerns speed; `engine.plain: true` switches it off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


def choose_device() -> torch.device:
    """The GPU that the scheduler made visible, else the CPU; with several GPUs torchrun assigns one."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("cpu")


def memory(device: torch.device) -> int:
    """Total memory of the device in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    import psutil

    return psutil.virtual_memory().total


def seed_device(device: torch.device, seed: int) -> None:
    """torch.manual_seed for the computing device only; seeding all devices costs a CPU step a millisecond."""
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class Speed:
    """The speed options of one training, resolved for its device."""

    def __init__(self, settings: dict[str, Any], device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        self.device, self.plain = device, settings["plain"]
        self.deterministic = settings.get("deterministic", False)  # older runs lack this key
        wanted = "fp32" if self.plain else settings["precision"]
        if wanted == "auto":
            # Cards that only emulate bf16 (V100, T4) are slower in bf16 than in fp32.
            wanted = "bf16" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "tf32"
        self.bf16 = wanted == "bf16"
        # Operations that stay in fp32 under bf16 (criteria, matching costs) may use TF32.
        self.tf32 = on_gpu and wanted != "fp32" and torch.cuda.is_tf32_supported()
        self.fused = not self.plain
        self.channels_last = not self.plain  # saves a fifth of a step's time, on CPUs too
        self.eager_because = _eager_because(settings, on_gpu)

    @property
    def precision(self) -> str:
        """The precision of matrix products; with `fp32` nothing is rounded to fewer bits."""
        return "bf16" if self.bf16 else "tf32" if self.tf32 else "fp32"

    @property
    def compiles(self) -> bool:
        return self.eager_because is None

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def place(self, network: nn.Module) -> nn.Module:
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        return network.to(self.device, memory_format=layout)

    def arranged(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def compiled(self, function: Callable[..., Any], say: Callable[[str], None]) -> Callable[..., Any]:
        return _WithFallback(function, self, say) if self.compiles else function

    def record(self) -> dict[str, Any]:
        """The options in effect, for record.json."""
        cudnn = torch.backends.cudnn
        of_cudnn = {"benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic, "version": cudnn.version()}
        return {
            "channels_last": self.channels_last,
            "compiled": self.compiles,
            "eager_because": self.eager_because,
            "cudnn": of_cudnn if self.device.type == "cuda" else None,
            "deterministic": self.deterministic or self.device.type == "cpu",
            "precision": self.precision,
            "tf32": self.tf32,
        }


def prepare(speed: Speed) -> None:
    """Apply the settings of the whole process."""
    if speed.device.type == "cpu":
        # For small tensors a second thread costs more than it gains, and trainings run in parallel.
        torch.set_num_threads(int(os.environ.get("SEMISEG_THREADS", "1")))
        return
    torch.cuda.set_device(speed.device)
    cudnn = torch.backends.cudnn
    cudnn.benchmark = not (speed.plain or speed.deterministic)  # all crops have one size, so one search suffices
    cudnn.deterministic = speed.deterministic
    cudnn.allow_tf32 = speed.tf32
    torch.set_float32_matmul_precision("high" if speed.tf32 else "highest")
    if speed.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it before its first product
    torch.use_deterministic_algorithms(speed.deterministic)


@contextmanager
def sizes_vary() -> Iterator[None]:
    """Switch off cuDNN's search for images of many sizes, because it would search again for each size.

    `torch.backends.cudnn.flags` is not used, because it also resets TF32 to its default.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _eager_because(settings: dict[str, Any], on_gpu: bool) -> str | None:
    """Why networks are not compiled; None if they are."""
    if settings["plain"]:
        return "engine.plain is set"
    if not settings["compile"]:
        return "engine.compile is false"
    return None if on_gpu else "networks are compiled on GPUs only"


class _WithFallback:
    """A compiled function; if a compilation fails, this one and all others of the training become plain functions."""

    def __init__(self, function: Callable[..., Any], speed: Speed, say: Callable[[str], None]) -> None:
        import torch._functorch.config

        # By default the backward pass is compiled when it first runs. That is outside of this object and too late for a
        # fallback, because the forward pass has already updated the statistics of batch normalisation.
        torch._functorch.config.force_non_lazy_backward_lowering = True
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
            result = self.plain(*arguments, **options)  # raises the error again if the compiler is not the cause
            reason = _first_line(getattr(error, "inner_exception", error))  # dynamo wraps errors of its backend
            self.speed.eager_because = f"torch.compile failed ({reason})"
            self.say(f"torch.compile is not used here, the networks run eagerly ({reason})")
            return result


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no reason given')}"


def describe() -> dict[str, Any]:
    """The hardware, for the record."""
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
