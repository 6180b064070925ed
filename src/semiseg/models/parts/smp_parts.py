"""Splits an architecture of segmentation_models_pytorch into encoder and decoder."""

from __future__ import annotations

from torch import Tensor, nn

from semiseg.base.errors import UserError
from semiseg.models.outputs import Output
from semiseg.models.parts.encoders import Encoder, check_name


class SmpHead(nn.Module):
    """Decoder and segmentation head of a library model; padding is cut off again."""

    def __init__(self, decoder: nn.Module, segmentation_head: nn.Module, levels: list[int], multiple: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.segmentation_head = segmentation_head
        self.levels = levels
        self.multiple = multiple

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Output:
        height, width = size
        decoded = self.decoder(self._with_placeholders(features, size))
        logits = self.segmentation_head(decoded).float()
        return Output(logits[..., :height, :width], decoded)

    def _with_placeholders(self, features: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The list of maps for the decoder; maps without channels replace the image and missing levels."""
        height, width = (-(-length // self.multiple) * self.multiple for length in size)
        batch = features[0].shape[0]
        found = dict(zip(self.levels, features, strict=True))
        return [
            found[level] if level in found else features[0].new_empty(batch, 0, height >> level, width >> level)
            for level in range(self.levels[-1] + 1)
        ]


def make_parts(architecture: str, encoder: str, output_stride: int, classes: int) -> tuple[Encoder, SmpHead]:
    """Encoder and head with random weights. Only DeepLabV3 and PAN (at 16) accept an output stride."""
    import segmentation_models_pytorch as smp

    check_name(encoder)
    strided = {"encoder_output_stride": output_stride} if architecture in ("deeplabv3", "pan") else {}
    try:
        model = smp.create_model(architecture, encoder, encoder_weights=None, classes=classes, **strided)
    except (ValueError, NotImplementedError, TypeError, AssertionError, RuntimeError) as error:
        raise UserError(f"network: {architecture} cannot be built with encoder {encoder}: {error}") from error
    multiple = model.encoder.output_stride if model.requires_divisible_input_shape else 1
    body = Encoder(model.encoder, range(1, len(model.encoder.out_channels)), multiple)
    return body, SmpHead(model.decoder, model.segmentation_head, body.levels, multiple)
