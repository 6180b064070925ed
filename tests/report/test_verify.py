from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from semiseg.base.errors import UserError
from semiseg.cli import main
from semiseg.report import rebuild, verify
from semiseg.report.tables import published
from semiseg.runs import collect, suite_evaluations
from tests.report import studies


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A study as git has it: records, stored evaluations, tables and plots, and no run folder."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("clone") / "pocket"
    methods = {"supervised": (0.0, "student"), "cutmix_seg": (9.0, "teacher")}
    planned = studies.descriptions(seeds=2, ablations=False, methods=methods, partitions={"12": 12, "24": 24})
    rows = studies.simulate(made, planned, images=12, pictures=0)
    rebuild.rebuild(made, rows)
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("runs", "*.tex", "*.json", "*.png", "comparison.md"))
    return folder


@pytest.fixture
def clone(committed, tmp_path):
    return Path(shutil.copytree(committed, tmp_path / "pocket"))


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_a_committed_study_is_made_again_from_two_files(committed, capsys):
    main(["report", "verify", str(committed)])
    compared = len([path for name in rebuild.FOLDERS for path in (committed / name).iterdir()]) + 1
    assert f"{compared} files equal those" in capsys.readouterr().out and compared >= 25


@pytest.fixture
def without_plots(monkeypatch):
    """Drawing takes seconds and is compared like any file."""
    monkeypatch.setattr(rebuild, "FOLDERS", ("tables",))
    monkeypatch.setattr(rebuild.plots, "build", lambda *_: None)
    monkeypatch.setattr(rebuild.study_readme, "build", lambda *_: None)
    monkeypatch.setattr(verify.study_readme, "NAME", "no page")


def test_an_edited_cell_is_named(clone, capsys, without_plots):
    table = clone / "tables/comparison.csv"
    figure = next(row for row in table.read_text().splitlines() if "cutmix_seg" in row).split(",")[17]
    edit(table, f",{figure},", ",99.9,")
    with pytest.raises(SystemExit) as stop:
        main(["report", "verify", str(clone)])
    said = capsys.readouterr().out
    assert stop.value.code == 1 and ": 1 difference from" in said
    assert "tables/comparison.csv, line" in said and "cutmix_seg default 12" in said
    assert f"miou_last_mean: it says '99.9', the records '{figure}'" in said


def test_other_edits_are_named_too(clone, without_plots):
    edit(clone / "tables/leaders.md", "Leading groups", "Following groups")
    (clone / "tables/pairs.csv").unlink()
    (clone / "tables/mine.csv").write_text("a,b")
    _, found = verify.verify(clone)
    assert found == [
        "tables/leaders.md differs from line 1", "tables/mine.csv cannot be made from the records",
        "tables/pairs.csv is missing; it can be made",
    ]  # fmt: skip


@pytest.mark.parametrize("change", [
    lambda text: text[:-1] + b",99\n",
    lambda text: text.replace(b"\n", b"\r\n"),
    lambda text: text + b"\n",
    lambda text: b'"suite"' + text[5:],
], ids=["a field more", "Windows line ends", "a blank line", "a quotation mark"])  # fmt: skip
def test_a_table_whose_cells_are_equal_is_compared_by_its_bytes(clone, without_plots, change):
    table = clone / "tables/comparison.csv"
    assert table.read_bytes().startswith(b"suite,")
    table.write_bytes(change(table.read_bytes()))
    _, [found] = verify.verify(clone)
    assert found.startswith("tables/comparison.csv differs from line ")


def test_the_page_is_compared_too(clone, capsys):
    edit(clone / "README.md", "**Answer.**", "**My answer.**")
    with pytest.raises(SystemExit) as stop:
        main(["report", "verify", str(clone)])
    said = capsys.readouterr().out
    assert stop.value.code == 1 and "README.md differs from line" in said and ": 1 difference from" in said


def test_an_edited_score_does_not_fit_its_matrices(clone, without_plots):
    """Whoever edits records.jsonl and makes the tables anew still has the hash of each evaluation against him."""
    rows = collect.read(clone / "records.jsonl")
    changed = next(row for row in rows if row["state"] == "done")
    changed["eval"]["networks"]["student"]["last"]["miou"] += 5
    collect.write(clone / "records.jsonl", rows)
    rebuild.rebuild(clone, rows)
    assert verify.verify(clone)[1] == [
        f"{changed['run']}: the scores in records.jsonl are not those of its stored confusion matrices"
    ]


def test_edited_matrices_do_not_fit_the_scores(clone, without_plots):
    stored = suite_evaluations.read(clone / "evaluations.npz")
    name = sorted(stored)[0]
    kept = next(kept for key, (_, kept) in stored[name].counts.items() if key[0] == "confusion")
    kept.count[0] += 1
    suite_evaluations.write(clone / "evaluations.npz", stored)
    assert any(name in sentence and "not those of its stored" in sentence for sentence in verify.verify(clone)[1])


def test_a_run_that_is_not_stored_is_named(clone, without_plots):
    stored = suite_evaluations.read(clone / "evaluations.npz")
    name = sorted(stored)[0]
    suite_evaluations.write(clone / "evaluations.npz", {run: kept for run, kept in stored.items() if run != name})
    assert f"{name}: its evaluation is not stored" in verify.verify(clone)[1]


def damage_missing(path):
    path.unlink()


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:2000])


def damage_version(path):
    with np.load(path) as found:
        arrays = {key: found[key] for key in found.files}
    header = json.loads(arrays["header"].tobytes()) | {"format": 99}
    np.savez(path, **arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)})


@pytest.mark.parametrize(
    ("damage", "words"),
    [(damage_missing, "is missing"), (damage_cut, "is damaged"), (damage_version, "has format 99, this version")],
)
def test_stored_evaluations_that_cannot_be_read_are_a_sentence(clone, damage, words, capsys):
    damage(clone / "evaluations.npz")
    with pytest.raises(SystemExit) as stop:
        main(["report", "verify", str(clone)])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and words in said and "evaluations.npz" in said
    assert "the existing tables and plots can be read" in said and said.count("\n") == 1


def test_a_folder_that_is_no_study(tmp_path):
    with pytest.raises(UserError, match="records.jsonl is missing; name the folder of a study"):
        verify.verify(tmp_path)
    for damaged in ("{", "{}\n", "[]\n"):
        (tmp_path / "records.jsonl").write_text(damaged)
        with pytest.raises(UserError, match="records.jsonl is damaged"):
            verify.verify(tmp_path)


def test_the_committed_studies_are_what_their_records_give(monkeypatch):
    """Of those that have stored evaluations; older ones cannot be made again."""
    monkeypatch.setattr(published, "stored", lambda: published.load().to_dict("records"))  # all published figures
    folders = sorted(path.parent for path in Path(__file__).parents[2].glob("results/*/evaluations.npz"))
    assert {folder.name: differs for folder in folders if (differs := verify.verify(folder)[1])} == {}
