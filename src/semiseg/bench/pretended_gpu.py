"""A step of a training on a GPU that is not there: torch's fake tensors, which have a device, a type and a shape.

Tensors of two devices in one operation, wrong types, and numbers that the host asks for end with torch's own errors.
What only a device can do is replaced: streams, pinned memory, and the copy of the matching's costs to the host.

`pretend` changes torch for the whole process: call it in a process that does nothing else.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch._dynamo  # fake tensors load it, which takes seconds: here once, before children are forked
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from semiseg import methods
from semiseg.engine import owned
from semiseg.engine.meters import Meters
from semiseg.engine.supervision import make_criterion
from semiseg.engine.train import Training
from semiseg.engine.train_state import TrainState
from semiseg.feed.loader import Loaded
from semiseg.hardware.device import Speed
from semiseg.models import matching, networks
from semiseg.params.recipe import Recipe

GPU = torch.device("cuda", 0)
# What C++ takes the GPU for: autograd asks CUDA for its streams, and autocast treats XLA as it treats CUDA.
STAND_IN = torch.device("xla", 0)
META, XLA, KINDS = 14, 9, 24  # places in torch's list of kinds of device (c10/core/DeviceType.h), and its length
CLASSES = 21
OF_ONE_TYPE = {
    "addmm", "baddbmm", "bmm", "convolution", "index_add", "index_copy", "index_put", "lerp", "mm", "scatter",
    "scatter_add", "scatter_reduce",
}  # fmt: skip


def pretend() -> fake_tensor.FakeTensorMode:
    """Fake tensors on `cuda`, with autocast and backward passes."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib/libc10.so"))
    guards = (ctypes.c_void_p * KINDS).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    guards[XLA] = guards[META]  # which does nothing
    fake = fake_tensor.FakeTensor
    dispatch = fake.__torch_dispatch__.__func__

    def dispatched(cls, function, types, args=(), kwargs=None):
        return _as_asked(function, dispatch(cls, function, types, args, kwargs or {}))

    fake.__torch_dispatch__ = classmethod(dispatched)
    fake.is_cuda = property(lambda tensor: tensor.fake_device.type == GPU.type)
    fake.is_cpu = property(lambda tensor: tensor.fake_device.type == "cpu")
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = torch.cuda.is_tf32_supported = lambda *_, **__: True
    torch.from_numpy = _on_the_host(torch.from_numpy)
    networks.build = _on_the_host(networks.build)
    Tensor.pin_memory = lambda tensor: tensor
    matching._to_host = lambda table: SimpleNamespace(numpy=lambda: _costs(table.shape))
    owned.memory = lambda device: 80 * 2**30
    Speed.place = _place
    return _Mode(allow_non_fake_inputs=True)


class _Mode(fake_tensor.FakeTensorMode):
    def __deepcopy__(self, memo):
        return self  # a copied network has tensors of this mode; copies of its weak references would crash

    def dispatch(self, function, types, args=(), kwargs=None):
        # C++ makes new tensors where it believes its inputs to be.
        args = tuple(_meant(one) for one in args)
        kwargs = {key: _meant(one) for key, one in (kwargs or {}).items()}
        _check_types(function, args)
        if function is torch.ops.aten._fused_sgd_.default:  # AdamW's is described in torch, SGD's is not
            return _check_alike(*args[:3])
        return _as_asked(function, super().dispatch(function, types, args, kwargs))


def _meant(argument):
    return GPU if isinstance(argument, torch.device) and argument.type == STAND_IN.type else argument


def _check_types(function, arguments) -> None:
    """What a GPU refuses and torch's descriptions of operations let pass: numbers of two types."""
    if not _wants_one_type(function):
        return
    tensors = [one for one in _pytree.tree_leaves(arguments) if isinstance(one, Tensor)]
    if len(types := {one.dtype for one in tensors if one.is_floating_point()}) > 1:
        raise RuntimeError(f"{function} wants numbers of the same dtype and got {types}")


@cache
def _wants_one_type(function) -> bool:
    return function._schema.name.removeprefix("aten::").removesuffix("_") in OF_ONE_TYPE


def _as_asked(function, found):
    """The device of a tensor, as C++ gets it; Python asks fake tensors themselves."""
    return STAND_IN if function is torch.ops.prim.device.default and found.type == GPU.type else found


def _check_alike(*lists: list[Tensor]) -> None:
    for one in zip(*lists, strict=True):
        if len({(tensor.fake_device, tensor.dtype, tensor.shape) for tensor in one}) > 1:
            raise RuntimeError(f"the optimiser got tensors that differ: {one}")


def _on_the_host(function):
    """What the host draws and builds are real numbers, and it may read them."""

    def real(*arguments):
        with fake_tensor.unset_fake_temporarily():
            return function(*arguments)

    return real


def _costs(shape) -> np.ndarray:
    return np.random.default_rng(0).random(tuple(shape), np.float32)


def _place(speed: Speed, network: nn.Module) -> nn.Module:
    """`Module.to` exchanges tensors, which fake ones do not permit."""
    for part in network.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                moved = parameter.detach().to(speed.device)
                if moved.dim() == 4 and speed.channels_last:
                    moved = moved.contiguous(memory_format=torch.channels_last)
                part._parameters[name] = nn.Parameter(moved, parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(speed.device)
    return network


class Alive(TorchDispatchMode):
    """Bytes of the tensors that operations have made and that are still there, and the most there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {one.untyped_storage()._cdata for one in _pytree.tree_leaves(args) if isinstance(one, Tensor)}
        found = function(*args, **(kwargs or {}))
        for tensor in _pytree.tree_leaves(found):
            if isinstance(tensor, Tensor) and tensor.device.type == GPU.type:
                storage = tensor.untyped_storage()
                if storage._cdata not in given and storage._cdata not in self._sizes:
                    self._sizes[storage._cdata] = storage.nbytes()
                    self.now += storage.nbytes()
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._freed, storage._cdata)
        return found

    def _freed(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


class PretendedTraining(Training):
    """Training's own step on a made batch; nothing is read, and the networks start from random numbers."""

    def __init__(self, method: str, options: dict[str, Any], **recipe: Any) -> None:
        self.recipe = _recipe(recipe)
        options = methods.load(method).Options(**options).model_dump(mode="json")
        dataset = {"name": "made", "kind": "voc"}
        self.config = {"method": {"name": method, "options": options}, "recipe": self.recipe, "dataset": dataset}
        self.seed, self.iteration, self.iterations = 0, 5, self.recipe["iterations"]
        self.device, self.speed = GPU, Speed(self.recipe["engine"], GPU)
        self.method = methods.of_run(self.config, CLASSES)
        self.needed: dict[str, Any] = {}
        self.state = TrainState(self.recipe, self.method, CLASSES, self.seed, self.speed, print)
        self.criterion = make_criterion(self.recipe["criterion"])
        chosen = self.recipe["batch_norm"]
        self.joint = (self.method.batch_norm if chosen == "official" else chosen) == "joint"
        self.meters = Meters(GPU)
        self.loader = SimpleNamespace(hidden_labels=lambda batch: self._labels(len(batch.unlabelled)))

    def steps(self, count: int = 1) -> None:
        for _ in range(count):
            self.step(self._batch())

    def _batch(self) -> Loaded:
        counts, used = self.recipe["batch"], self.method.uses_unlabelled
        labelled, unlabelled = counts["labelled"], counts["unlabelled"] * used
        given = self.method.needs(self.method.options)
        return Loaded(
            iteration=self.iteration,
            image=self._images(labelled),
            label=self._labels(labelled),
            unlabelled=self._images(unlabelled) if used else None,
            valid=self._labels(unlabelled) == 0 if used else None,
            given=self._labels(unlabelled) if used and given else None,
            samples_labelled=np.arange(labelled),
            samples_unlabelled=np.arange(unlabelled),
            ids_unlabelled=tuple(map(str, range(unlabelled))),
        )

    def _images(self, count: int) -> Tensor:
        return torch.zeros(count, *self.recipe["crop"], 3, dtype=torch.uint8, device=GPU).permute(0, 3, 1, 2)

    def _labels(self, count: int) -> Tensor:
        return torch.zeros(count, *self.recipe["crop"], dtype=torch.int64, device=GPU)


def _recipe(changes: dict[str, Any]) -> dict[str, Any]:
    wanted = {
        "crop": 56,  # a multiple of the patches of a vision transformer, and of no large power of 2
        "batch": {"labelled": 2, "unlabelled": 2},
        "iterations": 40,
        "optimiser": {"name": "sgd", "lr": 0.01},
        "engine": {"precision": "bf16", "compile": False},
        "ema": {"decay": 0.9},
    }
    return Recipe.model_validate(wanted | changes).model_dump(mode="json")
