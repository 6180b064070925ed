"""Plain vision transformers with a DPT head (Ranftl et al. 2021), as UniMatch V2 combines them.

Facts from LiheYoung/UniMatch-V2@f6afb4d: four layers at equal distances, each through the encoder's last LayerNorm; a
head without batch normalisation whose widths follow the encoder's (`model_configs`: 48, 96, 192, 384 and 64 for ViT-S,
96, 192, 384, 768 and 128 for ViT-B); every interpolation with corners aligned. Two differences: V2 resizes images to
multiples of the patch, while here they are padded; V2's coarsest fusion has one more unit, which is never used.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from semiseg.base.errors import UserError
from semiseg.models.network_config import TINY_VIT
from semiseg.models.outputs import Output
from semiseg.models.parts.deeplab_heads import upsample
from semiseg.models.parts.encoders import check_name


class ViTEncoder(nn.Module):
    """Four feature maps of a transformer, all of the patches' stride, the deepest last.

    An image is padded at the bottom and right, with the mean colour, to a multiple of the patch. timm interpolates
    learned position embeddings to the image's grid; DINOv3 computes rotary embeddings for each grid.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.patch = body.patch_embed.patch_size[0]
        depth = len(body.blocks)
        self.layers = [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
        self.channels = [body.embed_dim] * 4

    def forward(self, x: Tensor) -> list[Tensor]:
        height, width = x.shape[-2:]
        padding = (0, -width % self.patch, 0, -height % self.patch)
        x = F.pad(x, padding) if any(padding) else x
        return self.body.forward_intermediates(x, indices=self.layers, norm=True, intermediates_only=True)


def make_vit(name: str) -> nn.Module:
    """A transformer with random weights: `tiny_vit`, or `tu-` and a timm name."""
    import timm
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    if name == TINY_VIT:  # for images of 64 pixels on one CPU thread
        return VisionTransformer(
            img_size=64, patch_size=8, embed_dim=16, depth=4, num_heads=2, mlp_ratio=2, num_classes=0, global_pool="",
            dynamic_img_size=True,
        )  # fmt: skip
    check_name(name)
    try:
        body = timm.create_model(name.removeprefix("tu-"), num_classes=0, global_pool="", dynamic_img_size=True)
    except (AssertionError, RuntimeError, TypeError) as error:
        raise UserError(f"network: dpt cannot be built with encoder {name}: {error}") from error
    if not isinstance(body, VisionTransformer | Eva):
        raise UserError(f"network: dpt needs a plain vision transformer, and {name} is a {type(body).__name__}")
    return body


class DPTHead(nn.Module):
    """Four maps at strides from a quarter of the patch to twice the patch, fused from coarse to fine."""

    def __init__(self, channels: int, patch: int, classes: int) -> None:
        super().__init__()
        self.patch = patch
        widths = [max(channels // share, 8) for share in (8, 4, 2, 1)]
        width = max(channels // 6, 8)
        self.project = nn.ModuleList(nn.Conv2d(channels, one, 1) for one in widths)
        self.resize = nn.ModuleList([
            nn.ConvTranspose2d(widths[0], widths[0], 4, stride=4),
            nn.ConvTranspose2d(widths[1], widths[1], 2, stride=2),
            nn.Identity(),
            nn.Conv2d(widths[3], widths[3], 3, stride=2, padding=1),
        ])  # fmt: skip
        self.lateral = nn.ModuleList(nn.Conv2d(one, width, 3, padding=1, bias=False) for one in widths)
        self.fuse = nn.ModuleList(Fusion(width, coarsest=level == 3) for level in range(4))
        self.smooth = nn.Conv2d(width, width, 3, padding=1)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        parts = zip(features, self.project, self.resize, self.lateral, strict=True)
        maps = [lateral(resize(project(feature))) for feature, project, resize, lateral in parts]
        fused = None
        for level in (3, 2, 1, 0):
            finer = maps[level - 1].shape[-2:] if level else [2 * side for side in maps[0].shape[-2:]]
            fused = self.fuse[level](maps[level], fused, finer)
        decoded = F.relu(self.smooth(fused))
        padded = [self.patch * side for side in features[0].shape[-2:]]
        logits = upsample(self.classifier(decoded).float(), padded)
        return Output(logits[..., : size[0], : size[1]], decoded)


class Fusion(nn.Module):
    """Add the map of the coarser levels to the map of one level, refine the sum, and resize it to the next level."""

    def __init__(self, width: int, coarsest: bool) -> None:
        super().__init__()
        self.own = nn.Identity() if coarsest else ResidualUnit(width)
        self.refine = ResidualUnit(width)
        self.output = nn.Conv2d(width, width, 1)

    def forward(self, own: Tensor, coarser: Tensor | None, size: Sequence[int]) -> Tensor:
        x = self.own(own) if coarser is None else self.own(own) + coarser
        return self.output(upsample(self.refine(x), size))


class ResidualUnit(nn.Module):
    """Two convolutions, each after an activation, beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))
