"""semiseg predict RUN IMAGES… --out DIR"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from semiseg.base.errors import UserError

SHOWN = 20  # failures that are printed; predictions.json lists all of them


class Incomplete(UserError):
    """Some images could not be predicted."""

    exit_code = 1


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="folder of a finished run")
    parser.add_argument("images", metavar="IMAGES", type=Path, nargs="+", help="image files, or folders of them")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the predictions are written")
    parser.add_argument(
        "--network",
        choices=("student", "teacher", "second"),
        help="network that predicts; default: the one that the method reports; second: for methods that train two",
    )
    parser.add_argument(
        "--confidence", action="store_true", help="also write a map of the probability of each pixel's class"
    )
    parser.add_argument(
        "--batch", metavar="N", type=_count, default=1, help="number of images of equal size in a batch; default 1"
    )
    parser.add_argument(
        "--gallery", action="store_true", help="also write an HTML page of all predictions, DIR/gallery/index.html"
    )
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, found {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> None:
    from semiseg.inference.image_finder import find

    sources = find(options.images, options.out)  # before torch, whose import takes seconds
    from semiseg.base.progress import progress
    from semiseg.datasets.first_look.other_files import ignored
    from semiseg.hardware.device import choose_device
    from semiseg.inference import predict, trained

    if sentence := ignored([path for path in options.images if path.is_dir()], but=options.out):
        print(sentence)
    device = choose_device()
    loaded = trained.load(options.run_folder, options.network, device)
    if not loaded.own_colours:
        name = loaded.config["dataset"]["name"]
        print(f"colours: those of VOC, because data/{name}/manifest.json with the run's classes is missing")
    predictor = predict.Predictor(loaded, device)
    gallery = None
    if options.gallery:
        from semiseg.inference.gallery import Gallery

        gallery = Gallery(options.out, f"{loaded.label} of {options.run_folder}", loaded.classes, loaded.palette)
    with progress("predicting", len(sources)) as advance:
        failures = predict.predict(predictor, sources, options.out, options.batch, options.confidence, advance, gallery)
    _note(options.out, loaded, sources, failures)
    print(f"{options.out}: index, colour{', overlay and confidence' if options.confidence else ' and overlay'} of "
          f"{len(sources) - len(failures)} images, {loaded.label} of {options.run_folder}")  # fmt: skip
    if gallery is not None:
        print(f"{gallery.write()}: a page of all predictions, the least certain first")
    if failures:
        raise Incomplete(_listed(failures, len(sources), options.out))


def _note(out: Path, loaded: Any, sources: list[Any], failures: dict[str, str]) -> None:
    """Write predictions.json: the meaning of the values, and the run that predicted."""
    from semiseg.base.files import write_json

    names = zip(loaded.classes, loaded.palette, strict=True)
    write_json(
        out / "predictions.json",
        {
            "run": str(loaded.run),
            "spec_sha256": loaded.spec_sha256,
            "network": loaded.label,
            "protocol": loaded.config["evaluation"]["protocol"],
            "classes": [{"index": k, "name": name, "colour": list(colour)} for k, (name, colour) in enumerate(names)],
            "images": {one.name: str(one.path) for one in sources if str(one.path) not in failures},
            "failures": failures,
        },
    )


def _listed(failures: dict[str, str], count: int, out: Path) -> str:
    lines = [f"{len(failures)} of {count} images have no prediction:"]
    lines += [f"  {reason}" for reason in list(failures.values())[:SHOWN]]
    if len(failures) > SHOWN:
        lines.append(f"  and {len(failures) - SHOWN} more, in {out / 'predictions.json'}")
    return "\n".join(lines)
