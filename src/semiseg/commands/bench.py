"""semiseg bench loader|step|evaluation|losses: JSON on standard output, a table for people on standard error.

semiseg bench gpu: everything that this project claims or plans for GPUs, in a folder for the card.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

MODULES = {
    "loader": "loader_speed",
    "step": "step_speed",
    "evaluation": "evaluation_speed",
    "losses": "loss_speed",
}


def define(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name, summary, seconds in (
        ("loader", "reading, cropping, resizing, flipping and strong views, compared with the usual PIL pipeline", 20),
        ("step", "a training step: time, data, arithmetic, memory; fast options compared with engine.plain", 30),
        ("evaluation", "from label maps to mIoU, compared with one histogram per image", 10),
        ("losses", "time and memory of every method's losses for several image sizes", 2),
    ):
        aliases = ["eval"] if name == "evaluation" else []
        kind = kinds.add_parser(name, aliases=aliases, help=summary, description=summary)
        kind.add_argument(
            "--seconds", type=float, default=seconds, help="seconds for each comparison (default %(default)g)"
        )
        kind.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is a GPU")
        kind.add_argument("--out", type=Path, help="folder for a CSV file named after benchmark and hardware")
        if name == "step":
            _define_step(kind)
        kind.set_defaults(run=run, benchmark=name)
    summary = "all figures of a GPU, a few minutes at a time, into a folder named by the card"
    _define_gpu(kinds.add_parser("gpu", help=summary, description=summary))


def _define_step(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--method", nargs="+", default=["unimatch"], help="default: unimatch")
    parser.add_argument("--network", default="small", help="small, deeplab_v2, deeplab_v3plus, … (default %(default)s)")
    parser.add_argument("--encoder", default="", help="such as tu-resnet101.tv_in1k; not used by the small network")
    parser.add_argument(
        "--output-stride", type=int, default=16, choices=(8, 16), help="output stride of DeepLab (default 16)"
    )
    parser.add_argument("--crop", type=int, default=64, help="side of the square crops in pixels (default 64)")
    parser.add_argument(
        "--batch", type=int, default=8, help="number of labelled images, and of unlabelled ones (default 8)"
    )
    parser.add_argument("--workers", type=int, default=0, help="reading threads (default 0: read in the main thread)")


def _define_gpu(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=9, help="most that this call takes (default %(default)g)")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="default: %(default)s")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PART", help="names or patterns, such as 'step-*'")
    parser.add_argument("--again", action="store_true", help="measure parts again that were measured before")
    parser.set_defaults(run=gpu)


def gpu(options: argparse.Namespace) -> None:
    import sys
    import tempfile
    import time
    from fnmatch import fnmatch

    from semiseg.base.errors import UserError

    end = time.monotonic() + 60 * options.minutes
    from semiseg.bench import gpu_parts, gpu_session

    def say(message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    parts = gpu_parts.parts()
    chosen = [part.name for part in parts if any(fnmatch(part.name, pattern) for pattern in options.only)]
    if not chosen:
        raise UserError(f"--only: no part has such a name; the parts are {', '.join(part.name for part in parts)}")
    sitting = gpu_session.Sitting(options.out, gpu_session.card_of(gpu_parts.card), parts, end, say)
    with tempfile.TemporaryDirectory() as images:
        skipped = sitting.run(Path(images).resolve(), chosen, options.again)
    if skipped:
        say(f"{len(skipped)} parts are left; repeat the command to continue with them")
    print(sitting.folder / "README.md")


def run(options: argparse.Namespace) -> None:
    import json
    import os
    import sys

    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from semiseg.bench import timing

    outcome = _measure(options, _device(options.device))
    print(timing.table(outcome), file=sys.stderr)
    print(json.dumps(outcome, indent=1))
    if options.out:
        print(f"written: {timing.write_csv(outcome, options.out)}", file=sys.stderr)


def _device(wanted: str | None) -> str:
    import torch

    from semiseg.base.errors import UserError

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; omit --device, or use cpu")
    return wanted or ("cuda" if torch.cuda.is_available() else "cpu")


def _measure(options: argparse.Namespace, device: str) -> dict[str, Any]:
    from importlib import import_module

    benchmark = import_module(f"semiseg.bench.{MODULES[options.benchmark]}")
    if options.benchmark != "step":
        return benchmark.run(options.seconds, device)
    network = {"architecture": options.network, "encoder": options.encoder}
    if options.network in ("deeplab_v2", "deeplab_v3plus"):
        network["output_stride"] = options.output_stride
    settings = (network, options.crop, options.batch, options.seconds, options.workers)
    outcomes = [benchmark.run(method, *settings) for method in options.method]
    return outcomes[0] | {"rows": [row for outcome in outcomes for row in outcome["rows"]]}
