"""A model card beside an exported network: Markdown with the front matter that model hubs read from README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from semiseg.base.files import read_json
from semiseg.datasets.get.data_terms import terms_of
from semiseg.report import names, statistics
from semiseg.runs import units
from semiseg.runs.evaluations import Evaluations
from semiseg.scoring.metrics.miou import Miou

KIND = {
    "library_name": "onnx",
    "pipeline_tag": "image-segmentation",
    "license": "other",
    "license_name": "terms-of-the-data",
}


def write(path: Path, run: Path, network: str, config: dict[str, Any], model: str) -> None:
    """`model`: the name of the file that the card describes."""
    path.write_text(text(run, network, config, model))


def is_card(path: Path) -> bool:
    """Whether `write` made this file, for this or another network."""
    found = path.read_text(errors="replace") if path.is_file() else ""
    front, _, body = found.partition("\n---\n")
    kind = {f"{key}: {value}" for key, value in KIND.items()}
    return front.startswith("---\n") and kind <= set(front.splitlines()) and "\n## Provenance\n" in body


def text(run: Path, network: str, config: dict[str, Any], model: str) -> str:
    scores, record = read_json(run / "eval.json"), read_json(run / "record.json")
    found, on = Evaluations.load(run / "evaluations.npz"), scores["evaluated_on"]
    measured = {name: _interval(found, on, name) for name in scores["networks"]}
    dataset, method = config["dataset"], names.label(config["method"]["name"])
    results = [_result(dataset, on, measured[network])] if network in measured else []
    front = {
        **KIND, "metrics": ["mean_iou"],
        "tags": ["semantic-segmentation", "semi-supervised", config["method"]["name"]],
        "model-index": [{"name": Path(model).stem, "results": results}],
    }  # fmt: skip
    rows = [f"| {name} | {_figure(one)} |" for name, one in measured.items()]
    known = any(one.low is not None for one in measured.values())
    images = f"{len(found.images[on])} images{'' if known else ', too few for an interval'}"
    interval = ", with its 95 % interval for other images of the same kind" if known else ""
    split, iterations = config["split"], config["recipe"]["iterations"]
    return "\n".join([
        "---", yaml.safe_dump(front, sort_keys=False).rstrip(), "---", "", f"# {Path(model).stem}", "",
        f"The {network} of {method}, trained for {iterations:,} iterations. It labels each pixel of an image with one "
        f"of {len(found.classes)} classes: {', '.join(found.classes)}.", "",
        "## Data", "",
        f"- data set `{dataset['name']}`, SHA-256 of images and masks `{record['hashes']['data']}`",
        f"- labelled images: family `{split['family']}`, partition `{split['partition']}`, SHA-256 of the sorted list "
        f"`{record['hashes']['split']}`",
        f"- terms of the data: {terms_of(dataset['kind'])}; start weights have terms of their own", "",
        "## Metrics", "",
        f"mIoU in percent on `{on}` ({images}) after the last iteration{interval}. Another seed may differ "
        "by more.", "",
        "| network | mIoU |", "|---|---|", *rows, "",
        "## Intended use", "",
        f"Images like those of `{dataset['name']}`: uint8 RGB of any size; normalisation is inside of the model. Meant "
        "for comparing methods and as a start for labelling.", "",
        "## Limits", "",
        "- It knows no other classes, and labels every pixel also where none of them is shown.",
        "- Its probabilities were not calibrated; on other kinds of images nothing was measured.",
        "- It is one training: the study that it comes from says how far seeds and methods differ.", "",
        "## Provenance", "",
        f"- spec `{record['spec_sha256']}`, code at commit `{(record.get('git') or {}).get('commit') or 'unknown'}`",
        f"- `{record.get('command', '')}`", "",
    ])  # fmt: skip


def _interval(found: Evaluations, on: str, network: str) -> statistics.Interval:
    """Of the last evaluation: the test images, or the groups that they belong to, are drawn again."""
    matrices = found.confusion(on, network, len(found.iterations) - 1)
    table, unit_of = Miou.table(matrices), units.of_images(len(matrices), found.groups.get(on))
    value, number = Miou.value(matrices), int(unit_of.max()) + 1
    if number < statistics.FEW_UNITS:
        return statistics.alone(value)
    drawn = statistics.resampled(lambda weights: Miou.score(weights, table), unit_of)
    return statistics.over_images([value], np.array([[drawn.var(ddof=1)]]), number)


def _figure(one: statistics.Interval) -> str:
    limits = "" if one.low is None else f" [{max(0.0, one.low):.1f}, {min(100.0, one.high):.1f}]"
    return f"{one.estimate:.1f}{limits}"


def _result(dataset: dict[str, Any], on: str, one: statistics.Interval) -> dict[str, Any]:
    metric = {"type": "mean_iou", "name": "mIoU", "value": round(one.estimate, 2)}
    return {
        "task": {"type": "image-segmentation", "name": "Semantic segmentation"},
        "dataset": {"type": dataset["kind"], "name": dataset["name"], "split": on},
        "metrics": [metric],
    }
