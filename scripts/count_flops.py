"""Count the arithmetic of networks once, for `semiseg plan`.

    python scripts/count_flops.py [--add ARCHITECTURE ENCODER OUTPUT_STRIDE]

Counted by PyTorch's own FlopCounterMode in the forward pass of one image, 21 classes; multiplications and additions
count separately. The table holds GFLOPs per megapixel, which for convolutions hardly depends on the image's size.
"""

from __future__ import annotations

import argparse
import csv
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode

from semiseg.base.errors import UserError
from semiseg.cluster.estimate import TABLE
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig

COLUMNS = ("architecture", "encoder", "output_stride", "head", "gflops_per_megapixel", "million_parameters")
CLASSES = 21
SIZES = {"small": (64, 64)}
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
ENCODERS = (*RESNETS, "mit_b2", "mit_b4", "tu-convnext_tiny", "tu-mobilenetv3_large_100")
LIBRARY = ("unet", "fpn", "upernet", "segformer")
DEFAULT = [("small", "", 16)]
DEFAULT += [("deeplab_v2", encoder, 8) for encoder in ("resnet50", "resnet101")]
DEFAULT += [("deeplab_v3plus", encoder, stride) for encoder in RESNETS for stride in (8, 16)]
DEFAULT += [(architecture, encoder, 16) for architecture in LIBRARY for encoder in ENCODERS]


def count(architecture: str, encoder: str, stride: int, head: str) -> dict[str, object]:
    height, width = SIZES.get(architecture, (256, 256))
    config = NetworkConfig(architecture=architecture, encoder=encoder, output_stride=stride)
    network = networks.build(config, CLASSES, head).eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, height, width))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    values = (
        architecture,
        encoder.removeprefix("tu-"),
        stride,
        head,
        f"{counter.get_total_flops() / 1e9 / (height * width / 1e6):.1f}",
        f"{parameters / 1e6:.2f}",
    )
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--add", nargs=3, metavar=("ARCHITECTURE", "ENCODER", "STRIDE"))
    added = parser.parse_args().add
    rows = []
    if added:
        rows = [*csv.DictReader(TABLE.open())]
    torch.set_num_threads(1)
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
