"""Count the activations of networks once, for the GPU memory that `semiseg plan` shows.

    python scripts/count_memory.py [ARCHITECTURE ENCODER OUTPUT_STRIDE HEAD]

The script runs one step of the supervised method on a simulated GPU (semiseg/bench/pretended_gpu.py), with 21 classes
in bf16. It counts the bytes of all living tensors at the peak without gradients, per pixel of the images. Without
arguments it counts the networks of the shipped suites; with arguments it adds one row. ENCODER is '' for `small`.
"""

from __future__ import annotations

import csv
import sys

from semiseg.bench.pretended_gpu import Alive, PretendedTraining, pretend
from semiseg.cluster.gpu_memory import COLUMNS, TABLE

NETWORKS = [
    ("small", "", "16", "pixel"),
    ("small", "", "16", "mask"),
    ("fpn", "tu-mobilenetv2_100", "16", "pixel"),
    ("deeplab_v3plus", "tu-mobilenetv2_100", "16", "pixel"),
    ("deeplab_v3plus", "resnet50", "16", "pixel"),
    ("deeplab_v3plus", "resnet101", "16", "pixel"),
    ("deeplab_v3plus", "resnet101", "16", "mask"),
    ("deeplab_v2", "resnet101", "8", "pixel"),
    ("dpt", "tu-vit_small_patch14_dinov2", "16", "pixel"),
    ("dpt", "tu-vit_base_patch14_dinov2", "16", "pixel"),
]
CROP, IMAGES = 518, 4  # a multiple of the patches, and large enough that gradients are a small part


def count(architecture: str, encoder: str, stride: str, head: str) -> float:
    network = {"architecture": architecture, "encoder": encoder, "output_stride": int(stride)}
    batch = {"labelled": IMAGES, "unlabelled": IMAGES}
    training = PretendedTraining("supervised", {"head": head}, network=network, crop=CROP, batch=batch)
    with Alive() as alive:
        training.steps()
    return (alive.most - 4 * training.state.parameters) / (IMAGES * CROP**2)


def main() -> None:
    rows = list(csv.reader(TABLE.open()))[1:] if sys.argv[1:] else []
    with pretend():
        for one in [tuple(sys.argv[1:])] if sys.argv[1:] else NETWORKS:
            rows.append([one[0], one[1].removeprefix("tu-"), *one[2:], f"{count(*one):.0f}"])
            print(*rows[-1], flush=True)
    with TABLE.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
