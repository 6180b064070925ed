from __future__ import annotations

import numpy as np

from semiseg.runs import suite_evaluations
from semiseg.runs.evaluations import Evaluations, Sparse
from tests.report import studies


def made(folder, **changes):
    methods = {"supervised": (0.0, "student"), "unimatch": (7.0, "student")}
    planned = studies.descriptions(seeds=1, ablations=False, methods=methods, partitions={"12": 12})
    return studies.simulate(folder, planned, images=15, pictures=0, **changes)


def test_the_last_and_the_selected_evaluation_of_both_networks_come_back(tmp_path):
    rows = made(tmp_path)
    stored = suite_evaluations.read(tmp_path / "evaluations.npz")
    assert set(stored) == {row["run"] for row in rows if row["eval"]}
    for row in rows:
        of_run, kept = Evaluations.load(tmp_path / row["run"] / "evaluations.npz"), stored[row["run"]]
        for network, scores in row["eval"]["networks"].items():
            for rule in ("last", "best"):
                iteration = scores[rule]["iteration"]
                expected = of_run.confusion("test", network, of_run.iterations.index(iteration))
                np.testing.assert_array_equal(kept.dense("confusion", network, iteration), expected)
        assert (
            kept.images == of_run.images["test"]
            and kept.losses["ce"]
            and kept.dense("boundary", "student", 600) is None
        )
    assert stored[rows[-1]["run"]].diagnostics[-1]["confident_share"] > 0.5


def test_equal_content_is_equal_bytes_whatever_the_order(tmp_path):
    rows = made(tmp_path)
    stored = suite_evaluations.gather(tmp_path, reversed(rows))
    suite_evaluations.write(tmp_path / "again.npz", stored)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "evaluations.npz").read_bytes()


def test_other_counts_and_groups_come_back(tmp_path):
    rows = made(tmp_path)
    path = tmp_path / rows[0]["run"] / "evaluations.npz"
    evaluations, extra = Evaluations.load(path), np.arange(15 * 6).reshape(15, 3, 2)
    evaluations.add_extra("confidence", 600, "test", "student", extra)
    evaluations.groups = {"test": ["one"] * 10 + [None] * 5}
    evaluations.save(path)
    np.testing.assert_array_equal(Evaluations.load(path).extra("confidence", "test", "student", 600), extra)
    suite_evaluations.write(tmp_path / "other.npz", suite_evaluations.gather(tmp_path, rows))
    kept = suite_evaluations.read(tmp_path / "other.npz")[rows[0]["run"]]
    of_units = [extra[:10].sum(0), *extra[10:]]
    np.testing.assert_array_equal(kept.dense("confidence", "student", 600), of_units, "images of a group together")
    assert kept.groups == ["one"] * 10 + [None] * 5


def test_histograms_that_a_light_submission_leaves_out_are_kept(tmp_path):
    """Of the same evaluation only: of another training they would be wrong."""
    rows = made(tmp_path)
    run = rows[0]["run"]
    path = tmp_path / run / "evaluations.npz"
    light = path.read_bytes()
    evaluations, extra = Evaluations.load(path), np.arange(15 * 6).reshape(15, 3, 2)
    evaluations.add_extra("confidence", 600, "test", "student", extra)
    evaluations.save(path)
    suite_evaluations.write(tmp_path / "evaluations.npz", suite_evaluations.gather(tmp_path, rows))
    whole = suite_evaluations.read(tmp_path / "evaluations.npz")[run].dense("confidence", "student", 600)

    path.write_bytes(light)
    again = suite_evaluations.gather(tmp_path, rows)[run]
    np.testing.assert_array_equal(again.dense("confidence", "student", 600), whole)

    stored = suite_evaluations.read(tmp_path / "evaluations.npz")
    shape, counts = stored[run].counts["confusion", "student", 600]
    stored[run].counts["confusion", "student", 600] = shape, Sparse.of(counts.dense(shape) + 1)
    suite_evaluations.write(tmp_path / "evaluations.npz", stored)
    assert suite_evaluations.gather(tmp_path, rows)[run].dense("confidence", "student", 600) is None


def test_histograms_of_many_images_are_summed_over_random_sets_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(suite_evaluations, "HISTOGRAMS", 5)
    rows = made(tmp_path)
    path = tmp_path / rows[0]["run"] / "evaluations.npz"
    evaluations, extra = Evaluations.load(path), np.eye(15, dtype=np.int64)[:, None]
    evaluations.add_extra("confidence", 600, "test", "student", extra)
    evaluations.save(path)
    kept = suite_evaluations.gather(tmp_path, rows)[rows[0]["run"]].dense("confidence", "student", 600)
    assert kept.shape == (5, 1, 15) and (kept.sum(0) == 1).all(), "every image once"
    members = [tuple(np.flatnonzero(one[0])) for one in kept]
    assert all(len(one) == 3 for one in members) and members != sorted(members), "not neighbours"


def test_what_was_measured_after_a_checkpoint_is_forgotten(tmp_path):
    evaluations = Evaluations(["a"], {}, {"test": ["x"]})
    evaluations.add_extra("confidence", 20, "test", "student", np.ones((1, 2)))
    evaluations.drop_after(20)
    assert evaluations.extra("confidence", "test", "student", 20) is not None
    evaluations.drop_after(10)
    assert evaluations.extra("confidence", "test", "student", 20) is None


def test_a_study_of_the_size_of_a_committed_one_stays_small(tmp_path):
    """A hundred runs over 240 images of seven classes with both networks: below 4 MiB."""
    random = np.random.default_rng(0)
    confusion = np.zeros((240, 7, 7), int)
    shown = random.random((240, 7)) < 0.4
    shown[:, 0] = True
    runs = {}
    for number in range(103):
        kept = suite_evaluations.StoredRun("0" * 64, [f"test_{i:04}" for i in range(240)], None)
        for network in ("student", "teacher"):
            pairs = shown[:, :, None] & shown[:, None, :]
            confusion = np.where(pairs, random.geometric(0.02, (240, 7, 7)), 0)
            confusion += np.where(shown, random.integers(0, 4000, (240, 7)), 0)[:, :, None] * np.eye(7, dtype=int)
            sparse = suite_evaluations.Sparse.of(confusion)
            kept.counts["confusion", network, 900] = (7, 7), sparse
        runs[f"run{number}"] = kept
    suite_evaluations.write(tmp_path / "evaluations.npz", runs)
    assert (tmp_path / "evaluations.npz").stat().st_size < 4 * 2**20
