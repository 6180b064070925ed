"""Before anything starts, params.yaml is valid as a whole: also in suites that nobody asked for today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg import grid
from semiseg.errors import UserError

if TYPE_CHECKING:
    from semiseg.schema import Params

# Names that are known to exist: importing the libraries that know all of them takes seconds.
COMMON_ENCODERS = frozenset(
    {f"{prefix}resnet{depth}" for prefix in ("", "tu-") for depth in (18, 34, 50, 101)} | {"tu-mobilenetv2_100"}
)


def check_before_start(params: Params, wanted: str, source: str = "params.yaml") -> None:
    """Options and combinations of the suites beside the wanted one, which is planned already, and its encoder."""
    for name in params.suites:
        if name != wanted:
            grid.plan(params, name, source)
    encoder = params.suites[wanted].recipe.network.encoder
    if encoder and encoder not in COMMON_ENCODERS:
        _check_encoder(encoder, f"{source}: suites.{wanted}.recipe")


def _check_encoder(name: str, where: str) -> None:
    from semiseg.models.encoders import check_name

    try:
        check_name(name)
    except UserError as error:
        raise UserError(f"{where}.{error}") from None
