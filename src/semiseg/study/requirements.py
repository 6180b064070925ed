"""Checks and warnings before a study starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.base.errors import UserError
from semiseg.base.files import sha256_file
from semiseg.datasets import changes
from semiseg.models.network_config import TINY_VIT, NetworkConfig
from semiseg.params.hub_weights import FROM_HUB
from semiseg.study import grid

if TYPE_CHECKING:
    from semiseg.params.schema import Params
    from semiseg.study.plan import Plan
    from semiseg.study.study import Study

LONG = 30 * 86400  # seconds; a longer training is probably a mistake
# Encoder names that need no check: importing the libraries that list all names takes seconds.
COMMON_ENCODERS = frozenset(
    {f"{prefix}resnet{depth}" for prefix in ("", "tu-") for depth in (18, 34, 50, 101)}
    | {"tu-mobilenetv2_100", TINY_VIT}
)


def check_before_start(params: Params, plan: Plan) -> None:
    """Check the options of all other suites, and the encoders of this suite's plan."""
    wanted = plan.suite
    for name in params.suites:
        if name != wanted:
            grid.plan(params, name)
    networks: list[dict[str, Any]] = []
    for run in plan.runs:  # a variant may have another network than the suite
        if run.recipe["network"] not in networks:
            networks.append(run.recipe["network"])
    for network in map(NetworkConfig.model_validate, networks):
        if network.encoder and network.encoder not in COMMON_ENCODERS:
            _check_encoder(network, params.at(f"suites.{wanted}.recipe"))


def lost_start_weights(network: NetworkConfig, suite: str) -> str | None:
    """Why the start weights cannot be used, or None; without this check every training would fail in turn."""
    weights = network.encoder_weights
    if weights == "none":
        return None
    if weights in FROM_HUB:
        if network.encoder_weights_sha256 is not None:
            return None
        return (
            f"suites.{suite}: the hash of {network.encoder}'s start weights is not known, and each spec needs it; "
            f"run `semiseg data weights {suite}` to fetch them and record their hash"
        )
    cure = "docs/datasets.md says how to get it, and how to use the library's weights instead"
    where = f"suites.{suite}.recipe.network.encoder_weights"
    if not Path(weights).is_file():
        return f"{where}: there is no file {weights}; {cure}"
    if sha256_file(weights) != network.encoder_weights_sha256:
        return f"{where}: {weights} has another SHA-256 than encoder_weights_sha256; {cure}"
    return None


def hints(study: Study, done: Collection[Path], costs: Mapping[Path, Any]) -> list[str]:
    """Warnings of `semiseg plan`; they are not errors."""
    found = []
    name = study.suite.dataset
    if not study.data[name].fresh() and (changed := changes.since_check(name, study.params.datasets[name])):
        found.append(
            f"the files of {name} have changed since they were prepared: {changed}. The next `snakemake` prepares them "
            f"again, and then trains {len(done)} runs again that are done; to keep these, restore the previous files"
        )
    longest = max((costs[run.path].seconds for run in study.plan.runs if run.path not in done), default=0)
    if longest > LONG:
        found.append(
            f"one training takes {longest / 86400:,.0f} days here: lower suites.{study.name}.recipe.iterations "
            f"({study.suite.recipe.iterations:,}), or choose a smaller network or crop"
        )
    return found


def _check_encoder(network: NetworkConfig, where: str) -> None:
    """Its name, and whether it is a plain vision transformer if the architecture needs one: that is built as shapes."""
    from semiseg.models.architecture import REGISTRY
    from semiseg.models.parts.encoders import check_name

    try:
        check_name(network.encoder)
        if REGISTRY.load(network.architecture).plain_transformers:
            import torch

            with torch.device("meta"):
                REGISTRY.load(network.architecture).encoder(network)
    except UserError as error:
        raise UserError(f"{where}.{error}") from None
