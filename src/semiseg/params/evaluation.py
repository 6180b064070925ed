"""The block `evaluation` of a suite: when and how networks are scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from semiseg.base.strict import Strict
from semiseg.params.sides import sides


class Protocol(Strict):
    """How an image is turned into a label map; stored with every result."""

    name: Literal["whole", "sliding", "centre_crop", "padded"] = "whole"
    size: sides(1) | None = Field(None, description="size of the window, the crop or the padded image")
    stride: float = Field(2 / 3, gt=0, le=1, description="sliding: step as a share of the window")
    border: Literal["truncate", "shift"] = Field(
        "truncate", description="sliding: a window that crosses the border is cut (truncate) or moved inside (shift)"
    )
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1.0,), min_length=1, description="scales of the image whose predictions are averaged"
    )
    flip: bool = Field(False, description="average with the prediction for the mirrored image")

    @model_validator(mode="after")
    def _sized(self) -> Protocol:
        if self.name != "whole" and self.size is None:
            raise ValueError(f"protocol {self.name} needs size")
        return self


class Evaluation(Strict):
    every: int = Field(ge=1, description="iterations from one evaluation to the next")
    evaluated_on: Literal["val", "test"] = Field("val", description="set whose scores the tables show")
    selected_on: Literal["val"] | None = Field(
        "val", description="set that selects the evaluation `best`; null: no selection"
    )
    lastk: int = Field(3, ge=1, description="number of last evaluations that `lastk` averages")
    protocol: Protocol = Protocol()
    batch: int = Field(1, ge=1, description="images in an evaluation batch")
    diagnostics: int = Field(
        64, ge=0, description="unlabelled images whose hidden masks measure the quality of the pseudo-labels"
    )
    pictures: int = Field(8, ge=0, description="images whose predictions are stored for the report")
