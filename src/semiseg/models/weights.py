"""Start weights of an encoder, from the hub's cache or from a file with a known hash; missing tensors are an error."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_file

log = logging.getLogger(__name__)


def load(body: nn.Module, encoder: str, weights: str, sha256: str | None) -> str | None:
    """Load the configured start weights into `body`; with `none` the weights stay random.

    Returns the SHA-256 of the file, or of the hub's tensors, because the hub may change the weights of a name.
    """
    if weights == "none":
        return None
    if weights not in ("hub", "imagenet"):
        fit(body, _from_file(Path(weights), sha256), weights)
        return sha256
    state = _from_hub(encoder)
    found = state_sha256(state)
    if sha256 not in (None, found):
        raise UserError(
            f"the hub's weights of {encoder} have SHA-256 {found} (of their tensors), but "
            f"network.encoder_weights_sha256 is {sha256}; the hub has changed them, or the hash is wrong"
        )
    fit(body, state, f"the hub's weights of {encoder}")
    return found


def state_sha256(state: dict[str, Tensor]) -> str:
    """Hash of names, types, shapes and bytes in the order of the names; it does not depend on the file format."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def fit(body: nn.Module, state: dict[str, Tensor], source: str) -> list[str]:
    """Load `state` into `body`: every key of the body must exist with its shape. Returns the unused keys.

    timm writes `stages_0` instead of `stages.0` in models that return features only, so dots equal underscores.
    """
    target = inner(body).state_dict()
    offered = {_spelling(key): key for key in state}
    # Counters of batches have no effect while batch normalisation has a momentum, and older files lack them.
    missing = [k for k in target if _spelling(k) not in offered and not k.endswith("num_batches_tracked")]
    if missing:
        raise UserError(f"{source}: {len(missing)} of the encoder's {len(target)} keys are missing{_some(missing)}")
    pairs = {key: offered[_spelling(key)] for key in target if _spelling(key) in offered}
    unlike = [
        f"{key} {list(state[found].shape)} instead of {list(target[key].shape)}"
        for key, found in pairs.items()
        if state[found].shape != target[key].shape
    ]
    if unlike:
        raise UserError(f"{source}: {len(unlike)} tensors have another shape than the encoder's{_some(unlike)}")
    inner(body).load_state_dict({key: state[found] for key, found in pairs.items()}, strict=False)
    unused = sorted(set(state) - set(pairs.values()))
    if unused:
        log.info("%s: %d keys are not used by the encoder%s", source, len(unused), _some(unused))
    return unused


def inner(body: nn.Module) -> nn.Module:
    """The library model that the weights belong to: segmentation_models_pytorch wraps models of timm."""
    return body.model if type(body).__name__ == "TimmUniversalEncoder" else body


def _spelling(key: str) -> str:
    return key.replace(".", "_")


def _some(names: list[str], shown: int = 5) -> str:
    return ": " + ", ".join(names[:shown]) + (", …" if len(names) > shown else "")


def _from_file(path: Path, sha256: str | None) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(
            f"network.encoder_weights: there is no file {path}; give its path, `hub` for the library's weights, or "
            "`none` to start from scratch (docs/datasets.md)"
        )
    found = sha256_file(path)
    if found != sha256:
        raise UserError(
            f"{path} has SHA-256 {found}, but network.encoder_weights_sha256 is {sha256}; get the right file"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file ({error})") from error


def _from_hub(encoder: str) -> dict[str, Tensor]:
    """Weights from the hub's cache; missing weights are downloaded into it if there is a network."""
    try:
        with _cache_only():
            return _pretrained(encoder)
    except _UNAVAILABLE:
        log.info("the weights of %s are not in the hub's cache: asking the hub", encoder)
    try:
        return _pretrained(encoder)
    except _UNAVAILABLE as error:
        raise UserError(
            f"network.encoder_weights: the weights of {encoder} are not in the hub's cache and cannot be "
            f"fetched ({_first_line(error)}). {_fetch(encoder)}, or give a .safetensors file with "
            "encoder_weights_sha256, or choose `encoder_weights: none` to start from scratch"
        ) from error


_UNAVAILABLE = (OSError, RuntimeError, KeyError, ValueError)  # errors of the two libraries without file or network


def _pretrained(encoder: str) -> dict[str, Tensor]:
    import timm
    from segmentation_models_pytorch.encoders import get_encoder

    if encoder.startswith("tu-"):
        return timm.create_model(encoder.removeprefix("tu-"), pretrained=True, num_classes=0).state_dict()
    return get_encoder(encoder, weights="imagenet").state_dict()


@contextmanager
def _cache_only() -> Iterator[None]:
    """Read cached files offline: a node without a network would otherwise wait a minute of retries for every run."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _fetch(encoder: str) -> str:
    """The command that fills the cache; compute nodes without a network read it from there."""
    if encoder.startswith("tu-"):
        code = f"import timm; timm.create_model('{encoder.removeprefix('tu-')}', pretrained=True)"
    else:
        code = f"import segmentation_models_pytorch as s; s.encoders.get_encoder('{encoder}', weights='imagenet')"
    return f'Run `python -c "{code}"` once on a machine with network and the same HF_HOME'


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
