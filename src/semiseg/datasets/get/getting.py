"""Bring a data set to data/<name>."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from semiseg.base.errors import UserError
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.get.download import Patience
from semiseg.datasets.kind import kind_of

Say = Callable[[str], None]


def get(
    name: str,
    config: DatasetConfig,
    root: Path = Path("data"),
    say: Say = print,
    sources: Path | None = None,
    patience: Patience | None = None,
) -> None:
    """Bring the data set to data/<name>: download, verify, unpack, convert. Finished parts are skipped."""
    kind = kind_of(config)
    if config.data_root is None:
        kind.get(name, config, root, say, sources=sources, patience=patience)
    elif not config.data_root.expanduser().is_dir():
        raise UserError(f"data_root of {name}, {config.data_root}, does not exist")
    kind.complete(name, config, root, say)
