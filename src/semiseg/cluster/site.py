"""The settings of a cluster: slurm/site.yaml, or environment variables. The rules are the same on all clusters.

`SEMISEG_SLURM_PARTITION=a100` means the same as `partition: a100` in the file, and takes precedence.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from semiseg.base.errors import UserError
from semiseg.base.explain import explain

PATH = Path("slurm/site.yaml")
PREFIX = "SEMISEG_SLURM_"
IMAGE = "semiseg.sif"  # in the root of the repository
MINUTES = {"": 1, "m": 1, "h": 60, "d": 1440}


class Site(BaseModel):
    """Every key is optional; Slurm's defaults apply to missing keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str | None = None
    cpu_partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    gpu_model: str | None = Field(None, pattern=r"^[\w.]+$")
    cpus_per_gpu: int | None = Field(None, ge=1)
    time_factor: float = Field(1.0, gt=0)
    memory_factor: float = Field(1.0, gt=0)
    max_minutes: int | None = Field(None, ge=1)
    max_memory_mib: int | None = Field(None, ge=500)
    warning_seconds: int = Field(120, ge=0)
    group_size: int = Field(16, ge=1)
    jobs: int = Field(100, ge=1)
    jobs_per_second: int = Field(5, ge=1)
    first_poll_seconds: int = Field(40, ge=1)
    requeue: bool = True
    arrays: bool = False
    status: str = Field("squeue", pattern="^(sacct|squeue)$")
    before: str | None = None
    container: str | None = None

    @field_validator("account", "partition", "cpu_partition", "qos", "gpu_model", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value  # accounts and GPU names may look like numbers

    @field_validator("container", mode="before")
    @classmethod
    def _image(cls, value: Any) -> Any:
        """`true` means the image at the path where docs/cluster.md builds it."""
        return {"true": IMAGE, "false": None, "none": None}.get(str(value).lower(), value)

    @field_validator("max_minutes", mode="before")
    @classmethod
    def _minutes(cls, value: Any) -> Any:
        """Minutes from `90`, `24h` or `2d`."""
        found = re.fullmatch(r"(\d+)\s*([mhd]?)", str(value)) if isinstance(value, str) else None
        return int(found[1]) * MINUTES[found[2]] if found else value


def load(path: Path = PATH, environment: Mapping[str, str] | None = None) -> Site:
    """The content of the site file, if it exists; environment variables override it."""
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    if path.exists():
        try:
            values = yaml.safe_load(path.read_text()) or {}
        except yaml.YAMLError as error:
            raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected lines such as `partition: gpu`")
    given = {
        name: environment[PREFIX + name.upper()] for name in Site.model_fields if environment.get(PREFIX + name.upper())
    }
    _validated(given, f"environment variables {PREFIX}…")
    return _validated(values | given, str(path))


def _validated(values: dict[str, Any], source: str) -> Site:
    try:
        return Site.model_validate(values)
    except ValidationError as error:
        raise UserError(explain(error, Site, source)) from None


@functools.cache
def here() -> Site:
    """The site of the current folder, read once per command."""
    return load()
