"""`bench losses`: cost of each method's losses, forward and backward, as a function of the image size.

Fixed tensors replace the network's outputs and the strong views, which `bench loader` measures. The remaining cost is
that of the method itself, including AdvSemiSeg's discriminator, which is part of its loss. Further rows compare ways to
sum over pairs of pixels (SCL: drawn, in closed form, one by one), and regions with pixels (RC2L).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg import methods, views
from semiseg.bench.peak_memory import peak_mib
from semiseg.bench.timing import alternate, result, row
from semiseg.engine.step import Step
from semiseg.engine.supervision import make_criterion
from semiseg.feed.draws import Draws
from semiseg.hardware.distributed import global_mean
from semiseg.methods import Batch, Channels, Setting, rc2l, scl
from semiseg.models.outputs import Output, Regions
from semiseg.params.recipe import Criterion

SIZES = {"cpu": (64, 128, 256), "cuda": (128, 256, 512)}
BATCH, CLASSES, WIDTH, QUERIES, STRIDE = 2, 21, 64, 16, 4
DRAWN = 256
MOST_MIB = 2048  # larger cases are named and left out


def run(seconds: float = 2, device: str = "cpu", sizes: tuple[int, ...] = ()) -> dict[str, Any]:
    """Milliseconds per step of BATCH labelled and BATCH unlabelled images; each row is measured for `seconds`."""
    if torch.device(device).type == "cpu":
        torch.set_num_threads(1)
    rows = []
    for size in sizes or SIZES[torch.device(device).type]:
        cases = {name: _method(name, size, device) for name in methods.names()}
        for name, function in (cases | _pairs(size, device) | _contrasts(size, device)).items():
            rows.append(_row(f"{size}x{size}", name, function, seconds, device))
    return result("losses", rows, device)


def _row(case: str, name: str, function: Callable[[], Tensor] | None, seconds: float, device: str) -> dict[str, Any]:
    if function is None:
        return {"case": case, "what": f"{name}: more than {MOST_MIB} MiB"}

    def both() -> None:
        function().backward()

    [times] = alternate([both], seconds, device, least=3)
    return row(case, name, times, 1, peak_memory_mib=float(f"{peak_mib(both, device):.4g}"))


# ---------------------------------------------------------------- methods without a network


class Given:
    """A network with given outputs; only their gradients, and the method's modules, are computed."""

    def __init__(self, size: int, mask_head: bool, device: str, modules: dict[str, nn.Module]) -> None:
        self.size, self.mask_head, self.device, self.modules = size, mask_head, device, modules
        self.outputs: dict[int, Output] = {}  # outputs by number of images

    def __call__(self, pixels: Tensor) -> Output:
        if len(pixels) not in self.outputs:
            self.outputs[len(pixels)] = self._make(len(pixels))
        return self.outputs[len(pixels)]

    def _make(self, images: int) -> Output:
        generator, coarse = torch.Generator().manual_seed(images), self.size // STRIDE

        def leaf(*shape: int) -> Tensor:
            return torch.randn(images, *shape, generator=generator).to(self.device).requires_grad_()

        regions, features = None, leaf(WIDTH, coarse, coarse)
        if self.mask_head:
            classes, masks = leaf(QUERIES, CLASSES + 1), leaf(QUERIES, coarse, coarse)
            regions = Regions(classes, masks, leaf(QUERIES, WIDTH), features)
        return Output(leaf(CLASSES, self.size, self.size), features, None, regions)

    def owned(self, name: str, *inputs: Tensor) -> Any:
        return self.modules[name](*inputs)

    def encode(self, pixels: Tensor) -> list[Tensor]:
        return [self(pixels).features]

    def decode(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        return self(features[0])

    def frozen(self, pixels: Tensor) -> Output:
        given = self(pixels)
        return Output(given.logits.detach(), given.features.detach(), None, given.regions)


def _method(name: str, size: int, device: str) -> Callable[[], Tensor]:
    kind = methods.load(name)
    setting = Setting(iterations=100, crop=(size, size), batch=BATCH, background=0, classes=CLASSES)
    method = kind(kind.Options(), setting)
    modules = {name: module.to(device) for name, module in method.owned(Channels((WIDTH,), WIDTH)).items()}
    student, teacher = (Given(size, method.head == "mask", device, modules) for _ in range(2))
    discriminator = method.auxiliary()
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, BATCH, 3, size, size), generator=generator).float().to(device)
    label = torch.randint(0, CLASSES, (BATCH, size, size), generator=generator).to(device)
    valid = torch.ones(BATCH, size, size, dtype=torch.bool, device=device)
    batch = Batch(images[0], label, images[1], valid, given=label)
    step = Step(
        iteration=99,
        iterations=100,
        students=[student, student],
        teacher=teacher,
        auxiliary=discriminator and discriminator.to(device),
        buffers={name: value.to(device) for name, value in method.buffers().items()},
        criterion=make_criterion(Criterion().model_dump()),
        draws=Draws(0, 0, range(BATCH)),
        rows=slice(0, BATCH),
        control=lambda logits: logits,
    )

    def losses() -> Tensor:
        with mock.patch.object(views, "photometric", _same), mock.patch.object(views, "rand_augment", _same):
            found = method.losses(batch, step)
            return sum((found | method.auxiliary_losses(batch, step)).values())

    return losses


def _same(pixels: Tensor, *arguments: Any, **options: Any) -> Tensor:
    return pixels


# ---------------------------------------------------------------- choices within a method


def _pairs(size: int, device: str) -> dict[str, Callable[[], Tensor] | None]:
    """SCL's structured consistency of whole images: [B,HW,C] probabilities of student and teacher."""
    count = size * size
    student = torch.randn(BATCH, count, CLASSES, device=device).softmax(2).requires_grad_()
    teacher = torch.randn(BATCH, count, CLASSES, device=device).softmax(2)
    at = torch.randint(0, count, (BATCH, DRAWN, 1), device=device)
    all_of_them = torch.ones(BATCH, count, dtype=torch.bool, device=device)

    some = [x.detach().take_along_dim(at, 1) for x in (student, teacher)]
    some[0].requires_grad_()

    def drawn() -> Tensor:
        return scl.drawn_pairs(*some, all_of_them[:, :DRAWN]).mean()

    def with_the_draw() -> Tensor:  # the gradient is a map of the image's size that is zero almost everywhere
        chosen = (x.take_along_dim(at, 1) for x in (student, teacher))
        return scl.drawn_pairs(*chosen, all_of_them[:, :DRAWN]).mean()

    def formed() -> Tensor:
        return scl.drawn_pairs(student, teacher, all_of_them).mean()

    tables_mib = 5 * 4 * BATCH * count**2 / 2**20
    return {
        f"SCL pairs: of {DRAWN} pixels": drawn,
        f"SCL pairs: of {DRAWN} pixels, and taking them from the map": with_the_draw,
        "SCL pairs: all, in closed form": lambda: scl.all_pairs(student, teacher, all_of_them).mean(),
        "SCL pairs: all, formed": formed if tables_mib <= MOST_MIB else None,
    }


def _contrasts(size: int, device: str) -> dict[str, Callable[[], Tensor] | None]:
    """InfoNCE between student's and teacher's features: of regions as in RC2L, or of every pixel of the same map."""
    side = size // STRIDE
    pixels, masks = (torch.randn(BATCH, n, side, side, device=device).requires_grad_() for n in (WIDTH, QUERIES))
    their_pixels, their_masks = torch.randn_like(pixels), torch.rand(BATCH, CLASSES, side, side, device=device)
    queries = torch.arange(CLASSES, device=device).remainder(QUERIES).expand(BATCH, -1)

    def regions() -> Tensor:
        likeness = rc2l.cosine(rc2l.pooled(pixels, masks.sigmoid()), rc2l.pooled(their_pixels, their_masks))
        values = rc2l.contrast(likeness, queries, 0.1)
        return global_mean(values.sum(), values.new_full((), values.numel()))

    def every_pixel() -> Tensor:
        mine, theirs = (F.normalize(x.flatten(2).transpose(1, 2), dim=2) for x in (pixels, their_pixels))
        likeness = mine @ theirs.transpose(1, 2) / 0.1
        return -likeness.log_softmax(2).diagonal(dim1=1, dim2=2).mean()

    table_mib = 4 * 4 * BATCH * side**4 / 2**20
    return {
        "RC2L contrast: regions": regions,
        "RC2L contrast: every pixel": every_pixel if table_mib <= MOST_MIB else None,
    }
