"""The block `tune` of a suite."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from semiseg.base.strict import Strict


class Tune(Strict):
    """Every method gets the same number of trials, judged on val alone; the best one's setting fills the row `tuned`.

    The first trial is the default setting. The ranges of the others stand in the methods' files.
    """

    at: str = Field(description="the partition of the trials, and of the rows `tuned`")
    trials: int = Field(8, ge=2, le=256, description="of each method, the default setting among them")
    methods: tuple[str, ...] | None = Field(None, min_length=1, description="null: all of the suite at that partition")
    iterations: int | None = Field(None, ge=1, description="of a trial; null: the suite's")
    seed: int = Field(0, ge=0, description="of the sequence of settings and of the trials' trainings")
    dataset: str | None = Field(
        None, description="of the trials, where the suite's own val is not for choosing; null: the suite's"
    )
    family: str | None = Field(None, description="of the trials' list; null: the suite's first")
    trials_at: str | None = Field(None, description="partition of the trials, where another data set has other ones")

    @field_validator("at", "trials_at", mode="before")
    @classmethod
    def _name(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value
