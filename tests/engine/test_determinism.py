"""Which operations of a step are on torch's list of nondeterministic ones; docs/engine.md has the same table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from semiseg.base.errors import UserError
from semiseg.engine.launch import _translated
from tests.engine.conftest import METHODS, train_steps

PAGE = Path(__file__).resolve().parents[2] / "docs/engine.md"

# The documentation of torch.use_deterministic_algorithms for CUDA tensors, as names of aten.
BECOMES_DETERMINISTIC = {
    "convolution", "convolution_backward", "cumsum", "embedding_dense_backward", "index_add", "index_add_",
    "index_copy", "index_copy_", "index_put", "index_put_", "_index_put_impl_", "index_select_backward", "put_",
    "repeat_interleave",
    "replication_pad2d_backward", "scatter_add", "scatter_add_",
}  # fmt: skip
# torch.nn.functional.interpolate takes a sum of index_puts instead while algorithms have to be deterministic, but not
# with `antialias=True`.
DECOMPOSED = {"upsample_bilinear2d_backward", "upsample_bicubic2d_backward", "upsample_linear1d_backward"}
RAISES = {
    "_adaptive_avg_pool2d_backward", "_upsample_bicubic2d_aa_backward", "_upsample_bilinear2d_aa_backward",
    "adaptive_max_pool2d_backward", "fractional_max_pool2d_backward", "grid_sampler_2d_backward", "histc",
    "max_unpool2d", "median", "reflection_pad2d_backward", "scatter_reduce", "scatter_reduce_",
}  # fmt: skip
NONE_REDUCTION = 0
WITH_A_SOURCE = "src"  # the overload of `scatter` that takes a tensor; the one that takes a number is not listed


class Listed(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        if name in BECOMES_DETERMINISTIC | DECOMPOSED | RAISES:
            self.found.add(name)
        if name.startswith("nll_loss") and name.endswith("forward") and args[3] != NONE_REDUCTION:
            self.found.add(name)  # without a reduction a GPU has nothing to add up
        if name in ("scatter", "scatter_") and function._schema.overload_name == WITH_A_SOURCE:
            self.found.add(name)
        return function(*args, **(kwargs or {}))


DEEPLAB = {"architecture": "deeplab_v3plus", "encoder": "resnet18", "auxiliary_head": True}
DPT = {"architecture": "dpt", "encoder": "tiny_vit"}  # made for images of 64 pixels
CASES = {f"{method}, small": (method, {}) for method in METHODS} | {
    "supervised, DeepLabV3+": ("supervised", {"network": DEEPLAB}),
    "supervised, DeepLab-v2": ("supervised", {"network": {"architecture": "deeplab_v2", "encoder": "resnet18"}}),
    "supervised, DPT": ("supervised", {"network": DPT, "crop": 64}),
    "supervised, OHEM": ("supervised", {"criterion": {"name": "ohem", "min_kept": 100}}),
    "supervised, boundary relaxation": ("supervised", {"criterion": {"name": "boundary_relaxed"}}),
}


def documented() -> set[str]:
    table = PAGE.read_text().split("## Determinism")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


def test_the_table_is_what_the_steps_call(build):
    found = {}
    for number, (case, (method, recipe)) in enumerate(CASES.items()):
        training = build(method, name=str(number), **recipe)
        with Listed() as listed:
            train_steps(training, 1)
        found[case] = listed.found
    everything = set.union(*found.values())
    assert everything == documented(), found
    assert not {case for case in found if found[case] & RAISES}, "with engine.deterministic these end with an error"


def test_a_transformer_resizes_its_position_embeddings_at_another_crop(build):
    training = build("supervised", network=DPT, crop=96)
    with Listed() as listed:
        train_steps(training, 1)
    [refused] = listed.found & RAISES
    assert f"`{refused}`" in PAGE.read_text(), "it ends the training with engine.deterministic"


def test_an_operation_that_cannot_be_deterministic_is_named():
    error = RuntimeError("histc_cuda does not have a deterministic implementation, but you set …")
    told = _translated(error, Path("run"))
    assert isinstance(told, UserError)
    assert "histc_cuda" in str(told) and "recipe.engine.deterministic" in str(told)


def test_a_gradient_of_gather_is_seen():
    """Its backward pass is a scatter_add."""
    values = torch.rand(3, 4, requires_grad=True)
    with Listed() as listed:
        values.gather(1, torch.zeros(3, 2, dtype=torch.int64)).sum().backward()
    assert listed.found & {"scatter_add", "scatter_add_"}


@pytest.mark.parametrize(("source", "found"), [(torch.ones(2), {"scatter_"}), (1.0, set())])
def test_a_scatter_is_listed_with_a_tensor_as_its_source(source, found):
    with Listed() as listed:
        torch.zeros(3).scatter_(0, torch.tensor([0, 0]), source)
    assert listed.found == found
