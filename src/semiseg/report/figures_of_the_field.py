"""The field's published figures as one tidy table: each with its protocol and the source that it was read from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semiseg.base.errors import UserError
from semiseg.splits.families import FAMILIES

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).with_name("published.csv")
DATASETS = {"VOC2012": "voc", "Cityscapes": "cityscapes"}  # as the table calls them -> kind of our data set
# Families whose lists nobody has published: such a figure is shown, and never subtracted from ours.
UNLISTED = {
    "hung": "random draws of Hung et al. 2018, made anew in each run",
    "french": "random draws of French et al. 2020, five seeds",
    "ael": "lists of AEL (Hu et al. 2021)",
    "three": "mean over three lists, of which only one is among the common ones",
}
# column -> allowed values, or None for any text that is not empty
SCHEMA: dict[str, tuple[str, ...] | None] = {
    "method": None,  # as the source calls it
    "dataset": tuple(DATASETS),
    "protocol": None,  # in words
    "split_family": (*FAMILIES, *UNLISTED),
    "split_partition": None,  # as in params.yaml
    "partition": None,  # as the source calls it
    "labelled_images": None,
    "backbone": None,
    "head": None,
    "metric": None,
    "evaluated_on": ("val", "test"),
    "rule": ("best", "last", "unstated"),  # which checkpoint; the field reports the best one as a rule
    "evaluated_network": ("teacher", "unstated"),
    "value": None,  # mIoU in percent
    "source": None,
    "confirmed": ("yes", "no"),  # no: not read at its source
}
# A figure is one measurement: these columns tell it from every other.
KEY = tuple(column for column in SCHEMA if column not in ("value", "source", "confirmed"))


def load(path: Path = FILE) -> pd.DataFrame:
    """All figures; `value` float, `labelled_images` int, the rest text; unconfirmed ones are kept and marked."""
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(table.columns) != list(SCHEMA):
        raise UserError(f"{path} has the columns {', '.join(table.columns)}, expected {', '.join(SCHEMA)}")
    for column, allowed in SCHEMA.items():
        wrong = table[~table[column].isin(allowed)] if allowed else table[table[column].str.strip() == ""]
        if len(wrong):
            line = wrong.index[0]
            expected = f"one of {', '.join(allowed)}" if allowed else "some text"
            raise UserError(f"{path}, line {line + 2}: {column} is {table[column][line]!r}, expected {expected}")
    twice = table[table.duplicated(list(KEY))]
    if len(twice):
        raise UserError(f"{path}, line {twice.index[0] + 2}: {twice['method'].iloc[0]} stands there twice")
    try:
        return table.astype({"value": float, "labelled_images": int})
    except ValueError as error:
        raise UserError(f"{path}: value and labelled_images are numbers ({error})") from error
