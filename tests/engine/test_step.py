"""What must not happen within a step: hidden labels are not read, and nothing waits for the device."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from semiseg.feed.store import Store
from semiseg.models import matching
from tests.engine.conftest import METHODS, train_steps


@pytest.fixture
def labels_read(monkeypatch):
    read, label = set(), Store.label

    def spy(self, key):
        read.add(key)
        return label(self, key)

    monkeypatch.setattr(Store, "label", spy)
    return read


@pytest.mark.parametrize("method", METHODS)
def test_no_mask_of_an_unlabelled_image_is_read(method, build, labels_read):
    training = build(method)
    train_steps(training, 4)
    labelled = set(training.loader._labelled.ids)
    assert labels_read == labelled
    assert set(training.loader._unlabelled.ids).isdisjoint(labelled)


def test_the_oracle_reads_them(build, labels_read):
    training = build("fixmatch", {"control": "oracle"})
    train_steps(training, 4)
    assert labels_read & set(training.loader._unlabelled.ids)


READING = ("item", "tolist", "cpu", "nonzero", "__bool__", "__int__", "__float__", "__index__")


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for a GPU: reading a number, and shapes that depend on values."""

    FORBIDDEN = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal", "aten.is_nonzero")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert not str(function).startswith(self.FORBIDDEN), f"{function} waits for the device"
        if str(function).startswith(("aten.index.", "aten.index_put")):
            assert not any(x is not None and x.dtype == torch.bool for x in args[1]), "indexing by a mask waits"
        return function(*args, **(kwargs or {}))


def batches(training, count):
    return list(training.loader.batches(training.iteration, training.iteration + count))


CASES = [*METHODS, "supervised with a mask head", "supervised with clipped gradients"]
# The matching of all images and layers at once; rc2l also matches the student's regions with the teacher's.
COPIES = {"rc2l": 2, "supervised with a mask head": 1}


def built(case, build):
    if case == "supervised with a mask head":
        return build("supervised", {"head": "mask"})
    if case == "supervised with clipped gradients":
        return build(optimiser={"name": "adamw", "lr": 0.003, "clip": 0.01})
    return build(case)


@pytest.mark.parametrize("case", CASES)
def test_nothing_in_a_step_waits_for_the_device(case, build, monkeypatch):
    training = built(case, build)
    given = batches(training, 2)
    calls, to_host = Counter(), matching._to_host

    def counted(name, function):
        return lambda *arguments: (calls.update([name]), function(*arguments))[1]

    for name in READING:
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    monkeypatch.setattr(matching, "_to_host", counted("copy", to_host))
    with NoWaiting():
        for batch in given:
            training.step(batch)
    assert calls.pop("copy", 0) == len(given) * COPIES.get(case, 0)
    assert not calls
    monkeypatch.undo()


def test_the_spies_see_what_they_are_meant_to_see():
    with pytest.raises(AssertionError), NoWaiting():
        torch.ones(3)[torch.tensor([True, False, True])]
    with pytest.raises(AssertionError), NoWaiting():
        bool(torch.ones(()) > 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", CASES)
def test_nothing_in_a_step_waits_for_the_gpu(case, build):
    training = built(case, build)
    given = batches(training, 4)
    for batch in given[:2]:  # compilation and the search for the fastest convolutions do wait
        training.step(batch)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in given[2:]:
            training.step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("method", "wanted", "joint"),
    [
        ("fixmatch", "official", True),
        ("fixmatch", "separate", False),
        ("cps", "official", False),
        ("cps", "joint", True),
    ],
)
def test_the_recipe_decides_whether_images_share_their_statistics(method, wanted, joint, build):
    training = build(method, batch_norm=wanted)
    told, losses = [], training.method.losses
    training.method.losses = lambda batch, step: (told.append(step.joint), losses(batch, step))[1]
    train_steps(training, 1)
    assert told == [joint]
