from __future__ import annotations

from pathlib import Path

import pytest

from semiseg.base.errors import UserError
from semiseg.report.figures_of_the_field import DATASETS, FILE, SCHEMA, UNLISTED, load
from semiseg.splits.families import check_partition, count_of
from semiseg.splits.lists import known_lists

POOLS = {"VOC2012": 10582, "Cityscapes": 2975}


def test_the_table_follows_its_schema_without_duplicates() -> None:
    table = load()
    assert list(table.columns) == list(SCHEMA)
    assert len(table) > 900
    assert table["value"].between(20, 95).all()
    assert (table["confirmed"] == "no").sum() == 45
    assert not table.drop(columns=["source"]).duplicated().any()


def test_every_family_and_partition_is_known() -> None:
    table = load()
    for _, row in table.drop_duplicates(["dataset", "split_family", "split_partition"]).iterrows():
        if row["split_family"] not in UNLISTED:
            check_partition(row["split_family"], row["split_partition"], DATASETS[row["dataset"]])
    with pytest.raises(UserError):
        check_partition("u2pl", "1/7", "voc")


def test_counts_of_labelled_images_agree_with_the_lists() -> None:
    for _, row in load().iterrows():
        pool = POOLS[row["dataset"]]
        known = known_lists().get((row["split_family"], DATASETS[row["dataset"]], row["split_partition"]))
        if row["split_family"] == "full":
            expected = pool
        elif known:
            expected = known.count
        else:
            expected = count_of(row["split_partition"], pool)
        # Some papers round down.
        assert abs(row["labelled_images"] - expected) <= 1, dict(row)


def test_families_without_lists_are_told_apart_from_ours() -> None:
    assert not set(UNLISTED) & {family for family, _, _ in known_lists()}
    table = load()
    assert set(table["split_family"]) >= set(UNLISTED)
    # What was not read at its source does not pass for confirmed.
    assert (table[table["source"].str.contains("not read")]["confirmed"] == "no").all()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = FILE.read_text()
    assert old in text
    path = tmp_path / "published.csv"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (",hung,", ",hang,", "line 2: split_family is 'hang'"),
        (",yes\n", ",perhaps\n", "line 2: confirmed is 'perhaps'"),
        ("method,", "methods,", "has the columns methods"),
        (",66.0,", ",sixty-six,", "are numbers"),
        (",66.0,", ",,", "line 2: value is ''"),
    ],
)
def test_wrong_tables_are_answered(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(changed(tmp_path, old, new))
    assert sentence in str(caught.value)


def test_a_figure_that_stands_twice_is_noticed(tmp_path: Path) -> None:
    lines = FILE.read_text().splitlines(keepends=True)
    path = tmp_path / "published.csv"
    path.write_text("".join([*lines, lines[7].replace(",yes", ",no")]))
    with pytest.raises(UserError, match=f"line {len(lines) + 1}: .* stands there twice"):
        load(path)
