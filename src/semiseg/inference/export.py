"""A trained network as ONNX: any image size, normalisation inside, compared with PyTorch before the file appears."""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semiseg import views
from semiseg.base.errors import UserError
from semiseg.base.files import atomic
from semiseg.inference.trained import Trained
from semiseg.inference.writing import writing

AFFECTS_RESULTS = False

OPSET = 18  # the first that resizes with antialiasing
TRACED = (1, 97, 129)  # batch, height, width: no multiples of a stride, so that padding is part of the graph
CHECKED = (TRACED, (2, 160, 96))
TOLERANCE = 1e-3  # largest difference of a probability: float32 sums in another order


class Deployed(nn.Module):
    """uint8 [B,3,H,W] RGB to the probabilities [B,C,H,W] and the most probable class [B,H,W] (uint8)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = self.network(views.normalise(image.float())).logits.float().softmax(1)
        return probabilities, probabilities.argmax(1).to(torch.uint8)


class Attention(nn.Module):
    """The computation of nn.MultiheadAttention, with lengths that stay variable in a trace."""

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = source.num_heads
        for name, weight, bias in zip(
            ("query", "key", "value"), source.in_proj_weight.chunk(3), source.in_proj_bias.chunk(3), strict=True
        ):
            layer = nn.Linear(*weight.T.shape)
            layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
            setattr(self, name, layer)
        self.output = source.out_proj

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **_: Any) -> tuple[Tensor, None]:
        q, k, v = (self._by_head(x) for x in (self.query(query), self.key(key), self.value(value)))
        weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(3)
        return self.output((weights @ v).transpose(1, 2).flatten(2)), None

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, x.shape[2] // self.heads)).transpose(1, 2)


def export(trained: Trained, path: Path) -> list[tuple[tuple[int, int, int], float]]:
    """Write the file; return the sizes that were compared with the largest differences of a probability."""
    _needed()
    model = Deployed(trained.network.cpu()).eval()
    images = [_image(size) for size in CHECKED]
    try:
        with torch.inference_mode():
            expected = [model(torch.from_numpy(image))[0].numpy() for image in images]
    except RuntimeError as error:  # an architecture that needs larger images than the comparison uses
        raise _refused(trained, error) from error
    _replace_attention(model)
    with writing(path, "--onnx"), atomic(path) as temporary:
        _write(model, temporary, trained)
        _describe(temporary, trained)
        found = _run(temporary, images)
        for a, b in zip(found, expected, strict=True):
            if a[0].shape != b.shape:  # some architectures round a size that is not a multiple of their stride
                raise _refused(trained, f"for {_size(b)} pixels its probabilities are {_size(a[0])}")
        differences = [float(abs(a[0] - b).max()) for a, b in zip(found, expected, strict=True)]
        labels = all(np.array_equal(a[0].argmax(1), a[1]) for a in found)
        if max(differences) > TOLERANCE or not labels:
            raise UserError(
                f"{trained.run}: ONNX Runtime computes other probabilities than PyTorch (by {max(differences):.2g}); "
                "nothing was written"
            )
    return list(zip(CHECKED, differences, strict=True))


def _needed() -> None:
    for name in ("onnx", "onnxruntime"):
        try:
            __import__(name)
        except ImportError as error:
            raise UserError(f"the export needs {name}; install it with `pip install 'semiseg[export]'`") from error


def _image(size: tuple[int, int, int]) -> np.ndarray:
    batch, height, width = size
    return np.random.default_rng(0).integers(0, 256, (batch, 3, height, width), dtype=np.uint8)


def _replace_attention(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MultiheadAttention):
                setattr(parent, name, Attention(child))


def _resize_bicubic(graph: Any, x: Any, size: Any, align_corners: Any, scales: Any) -> Any:
    """`interpolate(mode="bicubic", antialias=True)` for ONNX, which PyTorch's exporter does not support.

    timm uses it to interpolate position embeddings; the coefficient equals that of PyTorch's kernel.
    """
    from torch.onnx import symbolic_helper

    def constant(values: list[int], dtype: torch.dtype) -> Any:
        return graph.op("Constant", value_t=torch.tensor(values, dtype=dtype))

    sides = [symbolic_helper._unsqueeze_helper(graph, side, [0]) for side in symbolic_helper._unpack_list(size)]
    rows = graph.op("Slice", graph.op("Shape", x), constant([0], torch.int64), constant([2], torch.int64))
    sizes = graph.op("Concat", rows, *sides, axis_i=0)
    nothing = constant([], torch.float32)
    return graph.op(
        "Resize", x, nothing, nothing, sizes, mode_s="cubic", cubic_coeff_a_f=-0.5, antialias_i=1, exclude_outside_i=1,
        coordinate_transformation_mode_s="half_pixel",
    )  # fmt: skip


def _write(model: nn.Module, path: Path, trained: Trained) -> None:
    sides = {0: "batch", 2: "height", 3: "width"}
    axes = {"image": sides, "probabilities": sides, "label": {0: "batch", 1: "height", 2: "width"}}
    try:
        with warnings.catch_warnings(), _silent(), torch.no_grad():
            torch.onnx.register_custom_op_symbolic("aten::_upsample_bicubic2d_aa", _resize_bicubic, OPSET)
            warnings.simplefilter("ignore")  # tracing warns about constant sizes; `export` compares the results
            # The tracing exporter; the dynamo exporter takes minutes per network and needs another package.
            torch.onnx.export(
                model, (torch.from_numpy(_image(TRACED)),), str(path), dynamo=False, opset_version=OPSET,
                input_names=["image"], output_names=["probabilities", "label"], dynamic_axes=axes,
            )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise _refused(trained, error) from error


def _refused(trained: Trained, reason: object) -> UserError:
    architecture = trained.config["recipe"]["network"]["architecture"]
    line = str(reason).strip().splitlines()[0][:200]
    return UserError(f"{trained.run}: {architecture} cannot be exported to ONNX ({line})")


def _size(probabilities: np.ndarray) -> str:
    return f"{probabilities.shape[3]}x{probabilities.shape[2]}"


@contextmanager
def _silent() -> Iterator[None]:
    """Silence the standard output, to which PyTorch's C++ code prints the whole graph on an error."""
    sys.stdout.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def _describe(path: Path, trained: Trained) -> None:
    """Store the meaning of the numbers in the file."""
    import onnx

    model = onnx.load(path)
    meaning = {
        "classes": json.dumps(trained.classes),
        "palette": json.dumps(trained.palette),
        "network": trained.label,
        "spec_sha256": trained.spec_sha256,
        "input": "uint8 RGB, 0..255",
    }
    onnx.helper.set_model_props(model, meaning)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _run(path: Path, images: list[np.ndarray]) -> list[list[np.ndarray]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # the exception has the reason
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        return [session.run(None, {"image": image}) for image in images]
    except Exception as error:  # onnxruntime's exceptions have no common class
        reason = str(error).strip().splitlines()[0][:200]
        raise UserError(f"ONNX Runtime does not run the exported network ({reason}); nothing was written") from error
