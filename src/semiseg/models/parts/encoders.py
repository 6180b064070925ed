"""Pre-trainable encoders of segmentation_models_pytorch and timm, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from semiseg.base.errors import UserError
from semiseg.base.explain import nearest
from semiseg.models.network_config import TINY_VIT


class Encoder(nn.Module):
    """The feature maps of `body` at the chosen levels (level i has stride 2^i, unless dilated).

    The body's copy of the image, and empty maps for missing levels, are left out. If the decoder needs it, the input is
    padded at the bottom and right, with the mean colour, to a multiple of `multiple`.
    """

    def __init__(self, body: nn.Module, levels: Sequence[int], multiple: int = 1) -> None:
        super().__init__()
        self.body = body
        self.levels = [level for level in levels if body.out_channels[level] > 0]
        self.channels = [body.out_channels[level] for level in self.levels]
        self.multiple = multiple

    def forward(self, x: Tensor) -> list[Tensor]:
        height, width = x.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        features = self.body(F.pad(x, padding) if any(padding) else x)
        return [features[level] for level in self.levels]


def make_body(name: str, output_stride: int = 32) -> nn.Module:
    """An encoder with random weights; `name` as segmentation_models_pytorch spells it (`tu-…` for timm's)."""
    from segmentation_models_pytorch.encoders import get_encoder

    check_name(name)
    try:
        return get_encoder(name, weights=None, output_stride=output_stride)
    except (ValueError, NotImplementedError, TypeError, AssertionError, RuntimeError) as error:
        raise UserError(f"encoder {name} cannot be built with output stride {output_stride}: {error}") from error


def check_name(name: str) -> None:
    """Raise UserError for a name that neither library knows, `tiny_vit` excepted."""
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    if name == TINY_VIT:
        return
    if name.startswith("tu-"):
        if not timm.is_model(name.removeprefix("tu-")):
            known = [f"tu-{model}" for model in timm.list_models()]
            raise UserError(f"network.encoder: timm has no model for {name!r}{_close(name, known)}")
    elif name not in get_encoder_names():
        known = get_encoder_names() + [f"tu-{model}" for model in timm.list_models()]
        raise UserError(f"network.encoder: segmentation_models_pytorch has no encoder {name!r}{_close(name, known)}")


def _close(name: str, known: list[str]) -> str:
    """The nearest name; a list of hundreds of names would not help."""
    hint = nearest(name, known)
    return hint if "did you mean" in hint else "; timm's names take the prefix 'tu-'"


def freeze_affine(module: nn.Module) -> None:
    """Keep weight and bias of batch normalisation; its statistics still follow the data (as in AdvSemiSeg's code)."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.requires_grad_(False)
