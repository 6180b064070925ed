"""A stub of the engine's Step: tiny deterministic networks, and a record of what went through `targets`."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.feed.draws import Draws
from semiseg.methods import Batch, Channels, Setting, load
from semiseg.models.outputs import Output, Regions

CLASSES, SIZE, LABELLED, UNLABELLED = 4, 32, 2, 4


class StubNetwork(nn.Module):
    """Two feature maps and a decoder without batch norm: an image's output does not depend on the rest of the batch."""

    def __init__(self, seed: int, sharpness: float = 6.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.fine = nn.Conv2d(3, 5, 3, padding=1)
            self.coarse = nn.Conv2d(5, 6, 3, padding=1, stride=2)
            self.head = nn.Conv2d(11, CLASSES, 1)
            self.queries = nn.Parameter(torch.randn(6, 11))
            self.classify = nn.Linear(11, CLASSES + 1)
        self.sharpness = sharpness

    def encode(self, pixels):
        fine = torch.tanh(self.fine((pixels.to(self.fine.weight.dtype) - 128) / 64))
        return [fine, torch.tanh(self.coarse(fine))]

    def decode(self, features, size):
        fine, coarse = features
        joined = torch.cat([fine, nn.functional.interpolate(coarse, size=fine.shape[-2:], mode="nearest")], 1)
        logits = self.sharpness * self.head(joined)
        rows = len(joined)
        pixels = nn.functional.avg_pool2d(joined, 2)
        # The queries look at the image, so that regions differ between images.
        embeddings = self.queries + pixels.mean((2, 3))[:, None]
        masks = torch.einsum("bnd,bdhw->bnhw", embeddings, pixels)
        regions = Regions(self.classify(embeddings), masks, embeddings, pixels)
        return Output(logits.view(rows, CLASSES, *size), joined, None, regions)

    def forward(self, pixels):
        return self.decode(self.encode(pixels), pixels.shape[-2:])

    def exact(self, pixels) -> np.ndarray:
        """Logits in float64, for the references."""
        with torch.no_grad():
            return copy.deepcopy(self).double()(pixels.double()).logits.numpy()


class NoGradient:
    """A network that gives predictions only."""

    def __init__(self, network: StubNetwork) -> None:
        self.network, self.exact = network, network.exact

    def __call__(self, pixels):
        with torch.no_grad():
            return self.network(pixels)


def owned_modules(method, seed: int) -> nn.ModuleDict:
    """The method's modules on the stub's features; in evaluation mode, so that images do not depend on each other."""
    modules = nn.ModuleDict(method.owned(Channels((5, 6), 11)))
    generator = torch.Generator().manual_seed(seed)  # not the global one: threads play processes
    for parameter in modules.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / max(parameter[0].numel(), 1) ** 0.5
    return modules.eval()


class StubStep:
    def __init__(self, **changes) -> None:
        self.iteration, self.iterations = 60, 100
        self.student, self.second = StubNetwork(1), StubNetwork(2)
        self.teacher, self.student_eval = NoGradient(StubNetwork(3)), NoGradient(StubNetwork(4))
        self.auxiliary = None
        self.draws = Draws(11, 5, range(20, 20 + UNLABELLED))
        self.rows = slice(0, UNLABELLED)
        self.joint = True
        self.modules, self.teacher_modules, self.buffers = None, None, None
        self.seen: list[torch.Tensor] = []
        self.replace = lambda logits: logits
        vars(self).update(changes)

    @property
    def labelled(self):
        step = copy.copy(self)
        step.draws, step.rows = Draws(11, 5, range(10, 10 + LABELLED)), slice(0, LABELLED)
        return step

    def equip(self, method):
        """Give the method its modules and buffers.

        Buffers are new for every call of `losses` unless the test keeps them.
        """
        if self.modules is None:
            self.modules, self.teacher_modules = owned_modules(method, 21), owned_modules(method, 22)
        kept, self.buffers = self.buffers, self.buffers or method.buffers()
        return kept

    def owned(self, name, *inputs):
        return self.modules[name](*inputs)

    def teacher_owned(self, name, *inputs):
        return self.teacher_modules[name](*inputs)

    def supervised(self, output, label):
        return nn.functional.cross_entropy(output.logits, label, ignore_index=255)

    def targets(self, logits):
        self.seen.append(logits)
        return self.replace(logits)

    def gather(self, rows):
        return rows.detach()

    def global_mean(self, total, count):
        return total / count.clamp(min=1)


@pytest.fixture
def setting():
    return Setting(iterations=100, crop=(SIZE, SIZE), batch=UNLABELLED, background=0, classes=CLASSES)


@pytest.fixture
def batch():
    """Smooth images with noise; label borders are ignored, and two unlabelled images have padding."""
    random = np.random.default_rng(0)

    def images(count):
        coarse = torch.from_numpy(random.integers(0, 256, (count, 3, 5, 5))).float()
        smooth = nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
        return (smooth + torch.from_numpy(random.normal(0, 12, (count, 3, SIZE, SIZE)))).round().clamp(0, 255).float()

    label = torch.from_numpy(random.integers(0, CLASSES, (LABELLED, 4, 4))).repeat_interleave(8, 1)
    label = label.repeat_interleave(8, 2)
    label[:, 7:9] = 255
    valid = torch.ones(UNLABELLED, SIZE, SIZE, dtype=torch.bool)
    valid[1, 26:] = False
    valid[3, :, 29:] = False
    given = torch.from_numpy(random.integers(0, CLASSES, (UNLABELLED, 4, 4))).repeat_interleave(8, 1)
    given = given.repeat_interleave(8, 2).masked_fill(~valid, 255)
    return Batch(images(LABELLED), label, images(UNLABELLED), valid, given)


@pytest.fixture
def make(setting):
    """A method with these options."""

    def build(name, **options):
        kind = load(name)
        method = kind(kind.Options(**options), setting)
        losses = method.losses

        def equipped(batch, step):
            kept = step.equip(method)
            try:
                return losses(batch, step)
            finally:
                step.buffers = kept

        method.losses = equipped
        return method

    return build


@pytest.fixture
def step():
    return StubStep()
