"""Scores weights that were trained elsewhere, under the protocol of a suite."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from semiseg.base.errors import UserError
from semiseg.base.explain import explain
from semiseg.base.files import sha256_file
from semiseg.datasets import preparing
from semiseg.feed.store import open_store
from semiseg.hardware.device import Speed, choose_device
from semiseg.inference.robustness import draws
from semiseg.models import networks
from semiseg.params.schema import Params
from semiseg.scoring.evaluator import Evaluator
from semiseg.scoring.metrics.miou import Miou
from semiseg.scoring.selection import score

AFFECTS_RESULTS = False

WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which training code stores the weights
# Names of the parts of a model in segmentation_models_pytorch and here.
PARTS = {"encoder.": "encoder.body.", "decoder.": "head.decoder.", "segmentation_head.": "head.segmentation_head."}
M = TypeVar("M", bound=BaseModel)


def scored(
    file: Path,
    params: Params,
    suite_name: str,
    *,
    network: Mapping[str, Any],
    protocol: Mapping[str, Any],
    head: Literal["pixel", "mask"] = "pixel",
    prefix: str = "",
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Score of the weights on the set that the suite reports, with its inputs.

    network, protocol: changes of the suite's settings; prefix: prefix of the keys that belong to the network.
    """
    suite = params.suites[suite_name]
    chosen = _changed(suite.recipe.network, network, "--network")
    judged = _changed(suite.evaluation.protocol, protocol, "--protocol").model_dump(mode="json")
    state = read(file, prefix)
    store = open_store(preparing.ensure_store(suite.dataset, params.datasets[suite.dataset]))
    bare = chosen.model_copy(update={"encoder_weights": "none", "encoder_weights_sha256": None})
    built = networks.build(bare, len(store.classes), head)
    fit(built, state, file)
    speed = Speed(suite.recipe.engine.model_dump(mode="json"), device or choose_device())
    ids = list(store.subsets[suite.evaluation.evaluated_on])
    evaluator = Evaluator(store, judged, suite.evaluation.batch, len(store.classes), speed)
    matrices = evaluator.matrices(speed.place(built).eval(), ids)
    spread = Miou.score(draws([store.group(one) or one for one in ids]), Miou.table(matrices))
    found = score(matrices.sum(0), store.classes, 0)
    return {
        "weights": file.name,
        "weights_sha256": sha256_file(file),
        "network": bare.model_dump(mode="json") | {"head": head},
        "suite": suite_name,
        "dataset": suite.dataset,
        "data_sha256": preparing.data_sha256(suite.dataset, Path("data")),
        "evaluated_on": suite.evaluation.evaluated_on,
        "images": len(ids),
        "protocol": judged,
        "classes": list(store.classes),
        "miou": found["miou"],
        "miou_error": float(np.std(spread, ddof=1)),  # error from the choice of images only
        **{key: found[key] for key in ("pixel_accuracy", "per_class", "absent", "confusion")},
    }


def _changed(settings: M, changes: Mapping[str, Any], option: str) -> M:
    try:
        return type(settings).model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise UserError(explain(error, type(settings), option).splitlines()[0]) from error


def read(file: Path, prefix: str = "") -> dict[str, Tensor]:
    """The file's tensors below the prefix, with the prefix removed; no code in the file is executed."""
    if not file.is_file():
        raise UserError(f"--weights: there is no file {file}")
    state = _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    if all(key.startswith("module.") for key in state):  # of DistributedDataParallel
        state = {key.removeprefix("module."): value for key, value in state.items()}
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not found:
        first = sorted({f"{key.split('.')[0]}." for key in state})
        raise UserError(f"{file} has no key that begins with {prefix!r}; its keys begin with {', '.join(first[:8])}")
    return found


def _safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise UserError(f"{file} is not a safetensors file ({error})") from error


def _pickled(file: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file} is not a file of weights only; save a state dict, `torch.save(model.state_dict(), FILE)`, or a "
            ".safetensors file"
        ) from error
    while isinstance(found, dict) and (inner := next((found[key] for key in WRAPPERS if key in found), None)):
        found = inner
    tensors = (
        {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
        if isinstance(found, dict)
        else {}
    )
    if not tensors:
        raise UserError(f"{file} holds no state dict: neither it nor its {', '.join(WRAPPERS)} maps names to tensors")
    return tensors


def fit(network: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Check that keys and shapes match in both directions, because a partly loaded network has no meaningful score."""
    target = network.state_dict()
    state = {key if key in target else _own_name(key): value for key, value in state.items()}
    counters = {key for key in target if key.endswith("num_batches_tracked")}  # without effect in evaluation
    missing = sorted(target.keys() - state.keys() - counters)
    unknown = sorted(key for key in state.keys() - target.keys() if not key.startswith(("auxiliary.", "owned.")))
    unlike = [
        f"{key} is {_shape(state[key])} instead of {_shape(target[key])}"
        for key in sorted(target.keys() & state.keys())
        if state[key].shape != target[key].shape
    ]
    problems = [f"{len(missing)} keys are missing ({', '.join(missing[:3])} …)"] if missing else []
    problems += [f"{len(unknown)} are unknown ({', '.join(unknown[:3])} …)"] if unknown else []
    problems += [f"{len(unlike)} have another shape ({unlike[0]})"] if unlike else []
    if problems:
        raise UserError(
            f"{file} does not fit the network: {'; '.join(problems)}; name the network that it was trained as with "
            "--network, and the keys that belong to it with --prefix"
        )
    network.load_state_dict({key: state[key] for key in target.keys() & state.keys()}, strict=False)


def _own_name(key: str) -> str:
    theirs = next((part for part in PARTS if key.startswith(part)), None)
    return key if theirs is None else PARTS[theirs] + key.removeprefix(theirs)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
