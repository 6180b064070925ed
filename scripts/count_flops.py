"""Count the FLOPs of networks once, for `semiseg plan`.

    python scripts/count_flops.py [--add ARCHITECTURE ENCODER OUTPUT_STRIDE]

PyTorch's FlopCounterMode counts the forward pass of one image with 21 classes; multiplications and additions count
separately. The table holds GFLOPs per megapixel, which for convolutions hardly depend on the image's size. In a plain
vision transformer all patches attend to each other: its figures come from two sizes, and have a part that is
quadratic in the number of pixels.
"""

from __future__ import annotations

import argparse
import csv
import sys

import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from semiseg.base.errors import UserError
from semiseg.cluster.estimate import FIGURES, TABLE
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig

COLUMNS = ("architecture", "encoder", "output_stride", "head", *FIGURES)
CLASSES = 21
SIDES = {"small": 64, "dpt": 448}  # the second size is a multiple of patches of 8, 14 and 16
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
ENCODERS = (*RESNETS, "mit_b2", "mit_b4", "tu-convnext_tiny", "tu-mobilenetv3_large_100")
LIBRARY = ("unet", "fpn", "upernet", "segformer")
DINO = ("patch14_dinov2", "patch16_dinov3")
DEFAULT = [("small", "", 16)]
DEFAULT += [("deeplab_v2", encoder, 8) for encoder in ("resnet50", "resnet101")]
DEFAULT += [("deeplab_v3plus", encoder, stride) for encoder in RESNETS for stride in (8, 16)]
DEFAULT += [(architecture, encoder, 16) for architecture in LIBRARY for encoder in ENCODERS]
DEFAULT += [("dpt", "tiny_vit", 16)]
DEFAULT += [("dpt", f"tu-vit_{size}_{kind}", 16) for kind in DINO for size in ("small", "base")]


def count(architecture: str, encoder: str, stride: int, head: str) -> dict[str, object]:
    config = NetworkConfig(architecture=architecture, encoder=encoder, output_stride=stride)
    device = torch.device("meta" if architecture == "dpt" else "cpu")  # for a transformer shapes suffice
    with device:
        network = networks.build(config, CLASSES, head).eval().requires_grad_(False)
    side = SIDES.get(architecture, 256)
    per_megapixel, growth = forward_gflops(network, side, device) / (side**2 / 1e6), 0.0
    if architecture == "dpt":
        twice = forward_gflops(network, 2 * side, device) / (4 * side**2 / 1e6)
        growth = (twice - per_megapixel) / (3 * side**2 / 1e6)
        per_megapixel -= growth * side**2 / 1e6
    parameters = sum(parameter.numel() for parameter in network.parameters())
    figures = (f"{per_megapixel:.1f}", f"{growth:.1f}", f"{parameters / 1e6:.2f}")
    return dict(zip(COLUMNS, (architecture, encoder.removeprefix("tu-"), stride, head, *figures), strict=True))


def forward_gflops(network: torch.nn.Module, side: int, device: torch.device) -> float:
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side, device=device))
    return counter.get_total_flops() / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--add", nargs=3, metavar=("ARCHITECTURE", "ENCODER", "STRIDE"))
    added = parser.parse_args().add
    rows = []
    if added:
        rows = [*csv.DictReader(TABLE.open())]
    timm.layers.set_fused_attn(False)  # the counter counts matrix products, but not fused attention
    for architecture, encoder, stride in [(*added[:2], int(added[2]))] if added else DEFAULT:
        for head in ("pixel", "mask"):
            if head == "mask" and architecture not in ("small", "deeplab_v3plus"):
                continue
            try:
                rows.append(count(architecture, encoder, stride, head))
                print(*rows[-1].values())
            except (UserError, RuntimeError, ValueError) as error:
                print(f"{architecture} {encoder} {head}: not counted ({error})", file=sys.stderr)
    with TABLE.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
