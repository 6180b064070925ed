"""semiseg export RUN --onnx FILE"""

from __future__ import annotations

import argparse
from pathlib import Path

from semiseg.base.errors import UserError


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="folder of a finished run")
    parser.add_argument("--onnx", metavar="FILE", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--network",
        choices=("student", "teacher", "second"),
        help="network to export; default: the one that the method reports; second: for methods that train two",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    if options.onnx.suffix != ".onnx":
        raise UserError(f"--onnx {options.onnx}: the name of the file must end in .onnx, as in network.onnx")
    import torch

    from semiseg.inference import export, trained
    from semiseg.report import model_card

    card = options.onnx.with_suffix(".md")
    if card.exists() and not model_card.is_card(card):
        raise UserError(f"{card} is no model card, and the card would replace it; choose another --onnx")
    loaded = trained.load(options.run_folder, options.network, torch.device("cpu"))
    compared = export.export(loaded, options.onnx)
    size = options.onnx.stat().st_size / 1e6
    print(f"wrote {options.onnx} ({size:.1f} MB), the {loaded.label} of {options.run_folder}: "
          "image (uint8 RGB, batch x 3 x height x width) to probabilities and label")  # fmt: skip
    for (batch, height, width), difference in compared:
        print(f"  {batch} x {width}x{height} pixels: probabilities differ from PyTorch's by at most {difference:.1e}")
    model_card.write(card, options.run_folder, loaded.label, loaded.config, options.onnx.name)
    print(f"wrote {card}, the model card; a model hub reads it under the name README.md")
