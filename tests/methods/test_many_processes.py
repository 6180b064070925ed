"""The number of processes does not change results: two threads simulate two processes with half a batch each."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from semiseg.feed.draws import Draws
from semiseg.methods import Batch
from tests.methods import loop_reference as reference
from tests.methods.conftest import CLASSES, StubStep
from tests.methods.test_pseudo_labels import CASES

WORLD = 2


class Meeting:
    """Each thread passes a tensor and gets the tensors of all threads."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(WORLD, timeout=60)
        self.brought = [None] * WORLD

    def __call__(self, rank, tensor):
        self.brought[rank] = tensor.detach()
        self.barrier.wait()
        everything = list(self.brought)
        self.barrier.wait()
        return everything


class OneOfTwo(StubStep):
    def __init__(self, rank: int, meeting: Meeting, discriminator: nn.Module) -> None:
        super().__init__(auxiliary=discriminator, draws=Draws(11, 5, range(20 + 2 * rank, 22 + 2 * rank)))
        self.rank, self.meeting, self.rows = rank, meeting, slice(2 * rank, 2 * rank + 2)

    @property
    def labelled(self):
        step = copy.copy(self)
        step.draws, step.rows = Draws(11, 5, [10 + self.rank]), slice(self.rank, self.rank + 1)
        return step

    def gather(self, rows):
        return torch.cat(self.meeting(self.rank, rows))

    def global_mean(self, total, count):
        return WORLD * total / sum(self.meeting(self.rank, count)).clamp(min=1)

    def supervised(self, output, label):
        values = nn.functional.cross_entropy(output.logits, label, ignore_index=255, reduction="sum")
        return self.global_mean(values, (label != 255).sum())


MORE = [("scl", {"ramp_up": 0, "boundary_relaxation": True}), ("supervised", {"strong": True, "cutmix_probability": 1})]


@pytest.mark.parametrize(("name", "options"), [*CASES, *MORE])
def test_two_processes_compute_what_one_does(batch, make, name, options):
    discriminator = nn.Conv2d(CLASSES, 1, 3, padding=1)
    whole = reference.values(make(name, **options).losses(batch, StubStep(auxiliary=discriminator)))
    meeting = Meeting()
    steps = [OneOfTwo(rank, meeting, discriminator) for rank in range(WORLD)]

    def one(rank):
        labelled, unlabelled = slice(rank, rank + 1), slice(2 * rank, 2 * rank + 2)
        of_unlabelled = (x[unlabelled] for x in (batch.unlabelled, batch.valid, batch.given))
        half = Batch(batch.image[labelled], batch.label[labelled], *of_unlabelled)
        return reference.values(make(name, **options).losses(half, steps[rank]))

    with ThreadPoolExecutor(WORLD) as processes:
        halves = list(processes.map(one, range(WORLD)))
    mean = {key: sum(half[key] for half in halves) / WORLD for key in whole}
    assert mean == pytest.approx(whole, rel=1e-5, abs=1e-7)
