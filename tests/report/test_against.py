from __future__ import annotations

import pytest

from semiseg.base.errors import UserError
from semiseg.report import against
from tests.report import studies


def study(folder, gain, methods=("supervised", "unimatch"), family="stratified:0"):
    """A study whose UniMatch has the given gain; its supervised runs are the same in every study."""
    chosen = {"supervised": (0.0, "student"), "unimatch": (gain, "student")}
    before, studies.METHODS["unimatch"] = studies.METHODS["unimatch"], chosen["unimatch"]
    try:
        planned = studies.descriptions(
            seeds=4,
            ablations=False,
            partitions={"12": 12},
            families=(family,),
            methods={name: chosen[name] for name in methods},
        )
        return studies.simulate(folder, planned, images=40, pictures=0)
    finally:
        studies.METHODS["unimatch"] = before


def test_only_what_changed_is_said_to_have_changed(tmp_path):
    study(tmp_path / "before", 4.0)
    rows = study(tmp_path / "after", 40.0)
    table = against.build("after", tmp_path / "after", rows, tmp_path / "before", dataset=studies.DATASET)
    by_method = {row["method"]: row for row in table.rows}
    assert by_method["unimatch"]["changed"] == "yes" and by_method["unimatch"]["ci_low"] > 0
    same = by_method["supervised"]
    assert same["changed"] == "no" and same["difference"] == 0 and same["before_mean"] == same["after_mean"]
    assert "Against another study" in (tmp_path / "after" / "against" / "index.html").read_text()
    assert (tmp_path / "after" / "against" / "against.csv").exists()


def test_new_cells_and_other_lists_are_not_subtracted(tmp_path):
    study(tmp_path / "before", 4.0, methods=("supervised",))
    rows = study(tmp_path / "after", 4.0)
    table = against.build("after", tmp_path / "after", rows, tmp_path / "before", dataset=studies.DATASET)
    unimatch = next(row for row in table.rows if row["method"] == "unimatch")
    assert unimatch["reason"] == "not in the other study" and unimatch["difference"] is None
    moved = [row | {"split_sha256": "f" * 64} for row in rows]
    table = against.build("after", tmp_path / "after", moved, tmp_path / "before", dataset=studies.DATASET)
    supervised = next(row for row in table.rows if row["method"] == "supervised")
    assert supervised["reason"] == "other labelled images" and supervised["difference"] is None


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(UserError, match="records.jsonl does not exist"):
        against.build("after", tmp_path, study(tmp_path / "after", 4.0), tmp_path / "none", dataset=studies.DATASET)
