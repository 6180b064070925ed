"""Slices of a network's outputs."""

from __future__ import annotations

import pytest
import torch

from semiseg.models.outputs import Output, Regions


def make_output(batch: int) -> Output:
    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape)

    regions = Regions(tensor(5, 4), tensor(5, 6, 6), tensor(5, 8), tensor(8, 6, 6), [(tensor(5, 4), tensor(5, 6, 6))])
    return Output(tensor(3, 12, 12), tensor(8, 6, 6), tensor(3, 12, 12), regions)


def tensors(output: Output) -> list[torch.Tensor]:
    r = output.regions
    maps = [output.logits, output.features, output.auxiliary]
    return maps + [r.class_logits, r.mask_logits, r.embeddings, r.pixels, *r.deep[0]]


def test_split_gives_consecutive_rows_of_every_field() -> None:
    output = make_output(5)
    parts = output.split([2, 3])
    for first, second, whole in zip(tensors(parts[0]), tensors(parts[1]), tensors(output), strict=True):
        assert torch.equal(first, whole[:2])
        assert torch.equal(second, whole[2:])


def test_slice_keeps_what_is_absent_absent() -> None:
    sliced = Output(torch.randn(4, 3, 8, 8), torch.randn(4, 8, 2, 2))[1:3]
    assert sliced.logits.shape[0] == 2
    assert sliced.auxiliary is None and sliced.regions is None


def test_split_has_to_add_up() -> None:
    with pytest.raises(ValueError, match="do not add up to the batch of 5"):
        make_output(5).split([2, 2])
