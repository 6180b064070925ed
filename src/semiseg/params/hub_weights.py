"""Hashes of start weights from the hub: a run's spec holds the hash of the tensors beside their name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semiseg.base.files import peek_json, write_json

FROM_HUB = ("hub", "imagenet")
FILE = Path("data/weights/hub.json")  # encoder -> SHA-256 of its tensors; `semiseg data weights` writes it


def record(encoder: str, sha256: str) -> None:
    write_json(FILE, (peek_json(FILE) or {}) | {encoder: sha256})


def fill_in(suites: dict[str, Any], folder: Path) -> None:
    """Give every network that starts from the hub's weights their recorded hash, unless params.yaml gives one."""
    recorded = peek_json(folder / FILE) or {}
    for suite in suites.values() if recorded else ():
        recipe = suite.get("recipe") if isinstance(suite, dict) else None
        network = recipe.get("network") if isinstance(recipe, dict) else None
        if not isinstance(network, dict) or network.get("encoder_weights") not in FROM_HUB:
            continue
        if network.get("encoder_weights_sha256") is None and network.get("encoder") in recorded:
            recipe["network"] = network | {"encoder_weights_sha256": recorded[network["encoder"]]}
