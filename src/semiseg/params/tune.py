"""The block `tune` of a suite."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from semiseg.base.strict import Strict


class Tune(Strict):
    """Every method gets the same number of trials, judged on val only; the row `tuned` has the best trial's setting.

    The first trial is the default setting. The others are drawn from the ranges that each method's file declares.
    """

    at: str = Field(description="partition of the trials and of the rows `tuned`")
    trials: int = Field(8, ge=2, le=256, description="trials of each method, including the default setting")
    methods: tuple[str, ...] | None = Field(
        None, min_length=1, description="methods to tune; null: all that the suite runs at that partition"
    )
    iterations: int | None = Field(None, ge=1, description="iterations of a trial; null: those of the suite")
    seed: int = Field(0, ge=0, description="seed of the settings that are drawn and of the trials' trainings")
    dataset: str | None = Field(
        None,
        description="data set of the trials, if the suite's own val set must not select; null: the suite's data set",
    )
    family: str | None = Field(None, description="family of the trials' list; null: the suite's first family")
    trials_at: str | None = Field(
        None, description="partition of the trials, if their data set has other partitions; null: `at`"
    )

    @field_validator("at", "trials_at", mode="before")
    @classmethod
    def _name(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value
