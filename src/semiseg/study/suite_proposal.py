"""The suites that `semiseg data init` proposes: one to compare methods, one for the final training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from semiseg.datasets.first_look.proposal import Look
from semiseg.models.start_weights import LIGHT, Start

AFFECTS_RESULTS = False

RECOMMENDED = Path(__file__).with_name("recommended.yaml")
SIDE = {"cpu": 128, "gpu": 512}  # margin around the image in the middle, in training and in evaluation
CROP = {"cpu": 96, "gpu": 320}
LONGER = 3  # the final training has this many times the iterations of the trial
STEP = 32  # crops are multiples of the coarsest stride
TRY_SEEDS, FINAL_SEEDS = [0, 1, 2], [0]
RARE = {"class_weights": "balanced", "dice": 0.5}


def recommended() -> list[str]:
    """Methods that did well in the study, the best first."""
    return yaml.safe_load(RECOMMENDED.read_text(encoding="utf-8"))["methods"]


def blocks(look: Look, device: str, start: Start | None) -> dict[str, dict[str, Any]]:
    """The entries of `datasets:` and `suites:`."""
    suites = {f"{look.name}_try": _try(look, device, start), f"{look.name}_final": _final(look, device, start)}
    return {"datasets": {look.name: look.dataset}, "suites": suites}


def _try(look: Look, device: str, start: Start | None) -> dict[str, Any]:
    """Baselines and the recommended methods, short, with a partition at half of the labels."""
    pool = _pool(look)
    methods: dict[str, Any] = {"supervised": {"variants": ["default", "strong"]}}
    if pool < 2 or (_all_labelled(look) and pool < 4):
        partitions = ["full"]  # too few images to withhold any labels
    else:
        partitions = ["1/4", "1/2", "full"] if _all_labelled(look) else ["1/2", "full"]
    if partitions != ["full"] or not _all_labelled(look):
        methods |= {name: {} for name in recommended()}
    return {
        "title": f"{look.name}: which method helps, and whether more labels would",
        "dataset": look.name,
        "splits": {"family": "random:0", "partitions": partitions},
        "seeds": TRY_SEEDS,
        **_how(look, device, start, 1),
        "methods": methods,
    }


def _final(look: Look, device: str, start: Start | None) -> dict[str, Any]:
    chosen = {"supervised": {"variants": ["strong"]}} if _all_labelled(look) else {recommended()[0]: {}}
    return {
        "title": f"{look.name}: the chosen method on all labels",
        "dataset": look.name,
        "splits": {"family": "full", "partitions": ["full"]},
        "seeds": FINAL_SEEDS,
        **_how(look, device, start, LONGER),
        "methods": chosen,
    }


def _how(look: Look, device: str, start: Start | None, longer: int) -> dict[str, Any]:
    """Recipe and evaluation for the device, the size of the images and the number of labels."""
    survey = look.survey
    factor = round(min(1.0, SIDE[device] / survey.median_side), 3)
    crop = max(STEP, min(CROP[device], int(factor * survey.shortest) // STEP * STEP))
    network, optimiser, iterations = _training(device, start)
    if _pool(look) > 60:
        iterations *= 2
    iterations *= longer
    recipe = {
        "network": network,
        "crop": crop,
        "batch": {"labelled": 4, "unlabelled": 4} if device == "cpu" else {"labelled": 8, "unlabelled": 8},
        "iterations": iterations,
        "optimiser": optimiser,
        "augment": {"scale": [round(0.7 * factor, 3), round(1.4 * factor, 3)]},
    }
    if survey.rare:
        recipe["criterion"] = RARE
    evaluation: dict[str, Any] = {"every": -(-iterations // 3), "evaluated_on": "val"}
    if factor < 1:
        evaluation["protocol"] = {"scales": [factor]}
    return {"recipe": recipe, "evaluation": evaluation}


def _training(device: str, start: Start | None) -> tuple[Mapping[str, Any], dict[str, Any], int]:
    """Network, optimiser and iterations.

    There is no warm-up: whoever shortened the training would have to shorten the warm-up too.
    """
    adamw = {"name": "adamw", "weight_decay": 0.01, "schedule": "cosine"}
    if start is None:
        return {"architecture": "small", "width": 24}, {**adamw, "lr": 0.003}, 1000
    if start.architecture == "dpt":  # learning rates of encoder and head as in UniMatch V2
        return start.network(), {**adamw, "lr": 5.0e-6, "head_lr_multiplier": 40}, 3000
    return start.network(), {**adamw, "lr": 5.0e-4, "head_lr_multiplier": 4}, 300 if device == "cpu" else 3000


def missing_weights(device: str) -> str:
    """The benefit of start weights, and how to get them."""
    encoder = LIGHT[1].removeprefix("tu-")
    gain = (
        "with ImageNet weights and 20 labels, supervised training on a CPU reaches 80.8 mIoU on photographs of pets "
        "(results/oxford_pets)"
    )
    save = (
        f"python -c \"import timm; from safetensors.torch import save_file; save_file(timm.create_model('{encoder}', "
        "pretrained=True, num_classes=0).state_dict(), 'weights.safetensors')\""
    )
    return (
        f"no start weights were found, so the suites train from scratch: {gain}. With a network, `{save}` fetches "
        f"them (20 MB) into this machine's cache{'' if device == 'cpu' else ' (a GPU takes larger encoders, too)'}; "
        "then repeat the command, or name the file: `--weights weights.safetensors`"
    )


def _pool(look: Look) -> int:
    """Number of labelled images that remain for training."""
    return look.survey.labelled - max(1, round(look.dataset["val_share"] * look.survey.labelled))


def _all_labelled(look: Look) -> bool:
    return look.survey.labelled == look.survey.images
