from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from semiseg.report import statistics
from semiseg.runs import units
from semiseg.scoring.metrics.miou import Miou
from semiseg.scoring.selection import mean_iou

CLASSES, IMAGES, PIXELS = 4, 100, 256


def study(random: np.random.Generator, seeds: int, seed_sd: float, images: int = IMAGES) -> np.ndarray:
    """Tables of mIoU [2, seeds, images, 3K] of two methods on the same images.

    The logit of a class's hit rate is a sum of effects of the class in the image, of the method there, of the seed,
    and of the seed there.
    """
    pixels = np.round(random.dirichlet(np.full(CLASSES, 0.7), size=images) * PIXELS)
    image = random.normal(0, 0.8, (images, CLASSES))
    method = np.stack([np.zeros_like(image), random.normal(0.15, 0.4, image.shape)])[:, None]
    seed = random.normal(0, seed_sd, (2, seeds, 1, 1)) + random.normal(0, 0.3, (2, seeds, images, CLASSES))
    hit = np.round(pixels / (1 + np.exp(-(0.8 + image + method + seed))))
    predicted = hit + np.roll(pixels - hit, 1, axis=-1)
    return np.concatenate([hit, np.broadcast_to(pixels, hit.shape), predicted], axis=-1)


def difference(studied: np.ndarray) -> np.ndarray:
    every = np.ones((1, studied.shape[2]))
    scores = np.array([[Miou.score(every, seed)[0] for seed in method] for method in studied])
    return scores[1] - scores[0]


def resampled(table: np.ndarray, resamples: int, unit_of: np.ndarray | None = None) -> np.ndarray:
    unit_of = np.arange(len(table)) if unit_of is None else unit_of
    return statistics.resampled(lambda weights: Miou.score(weights, table), unit_of, resamples)


SEVERAL = [pytest.param(seeds, 0.03, marks=pytest.mark.slow) for seeds in (3, 5)]


@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), *SEVERAL])
def test_intervals_cover_what_they_claim(seeds, seed_sd):
    """95 % +- 2 over 1,000 simulated studies; a single seed speaks for its images only."""
    random = np.random.default_rng([7, seeds])
    truth = np.mean([difference(study(random, 20, seed_sd, images=2000)).mean() for _ in range(25)])
    covered = 0
    for _ in range(1000):
        studied = study(random, seeds, seed_sd)
        drawn = np.array([
            resampled(studied[1, s], 200) - resampled(studied[0, s], 200)
            for s in range(seeds)
        ])  # fmt: skip
        interval = statistics.over_all(difference(studied), np.atleast_2d(np.cov(drawn)), IMAGES)
        covered += interval.low <= truth <= interval.high
    assert interval.covers == ("images" if seeds == 1 else "seeds+images")
    assert 930 <= covered <= 970


def test_percentile_bootstrap_over_few_seeds_would_not():
    """Why seeds go with Student's t: the figures that the module's docstring gives."""
    random = np.random.default_rng(3)
    for seeds, promised in ((3, 0.95), (5, 0.95)):
        values = random.normal(size=(2000, seeds))
        means = values[:, random.integers(0, seeds, (400, seeds))].mean(-1)
        low, high = np.percentile(means, [2.5, 97.5], axis=1)
        assert ((low <= 0) & (high >= 0)).mean() < promised - 0.08
        intervals = [statistics.over_seeds(row) for row in values]
        assert np.mean([i.low <= 0 <= i.high for i in intervals]) == pytest.approx(promised, abs=0.02)


def test_bootstrap_equals_a_slow_loop():
    random = np.random.default_rng(1)
    confusion = random.integers(0, 50, (30, 3, 3)) * (random.random((30, 3, 3)) < 0.3)
    fast = resampled(Miou.table(confusion), 600)
    for counts, value in zip(statistics.draws(30, 600, 0), fast, strict=True):
        drawn = [image for image, times in enumerate(counts) for _ in range(times)]
        assert len(drawn) == 30
        assert value == pytest.approx(mean_iou(sum(confusion[image] for image in drawn)))


def test_draws_are_those_of_a_bootstrap():
    counts = statistics.draws(50, 4000, 0)
    assert (counts.sum(1) == 50).all()
    np.testing.assert_allclose(counts.mean(0), 1, atol=0.08)
    np.testing.assert_allclose(counts.var(0), 1 - 1 / 50, atol=0.12)


def test_ten_thousand_resamples_of_voc_take_seconds():
    confusion = np.random.default_rng(0).integers(0, 3000, (1449, 21, 21))
    statistics.draws.cache_clear()
    start = time.process_time()
    drawn = resampled(Miou.table(confusion), 10_000)
    assert len(drawn) == 10_000 and time.process_time() - start < 5


def test_blocks_as_long_as_neighbours_are_alike_give_the_error_of_independent_images():
    """Frames of one drive, ten in a row the same: neither single frames nor the whole drive tell how sure a mean is."""
    random = np.random.default_rng(5)
    scenes = study(random, 1, 0.0, images=40)[:, 0]
    frames, drives = np.repeat(scenes, 10, axis=1), [str(i // 200) for i in range(400)]

    def error(tables, unit_of=None):
        ours, theirs = (resampled(one, 4000, unit_of) for one in tables)
        return np.std(ours - theirs)

    single = error(scenes)
    assert error(frames) < single / 2
    assert error(frames, units.of_images(400, drives, 10)) == pytest.approx(single, rel=0.05)


def test_dependent_images_widen_the_interval():
    """Twenty copies of each image are no more images than before."""
    random = np.random.default_rng(4)
    single = study(random, 1, 0.0, images=20)[:, 0]
    copied = np.repeat(single, 20, axis=1)
    groups = [str(i // 20) for i in range(400)]
    errors = [
        np.std(resampled(tables[1], 10_000, unit_of) - resampled(tables[0], 10_000, unit_of))
        for tables, unit_of in ((single, None), (copied, None), (copied, units.of_images(400, groups)))
    ]
    assert errors[1] < errors[0] / 3
    assert errors[2] == pytest.approx(errors[0], rel=0.03)


def test_seeds_are_the_paired_t_test():
    ours, theirs = np.array([50.2, 51.0, 49.1, 50.5]), np.array([49.0, 50.1, 48.9, 49.2])
    interval = statistics.over_seeds(ours - theirs)
    expected = stats.ttest_rel(ours, theirs)
    assert interval.p == pytest.approx(expected.pvalue)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert interval.covers == "seeds" and interval.n == 4
    assert statistics.over_seeds([1.0]) is None


def test_shared_image_error_is_added_to_that_of_the_seeds():
    random = np.random.default_rng(5)
    shared, values = random.normal(0, 2.0, 10_000), [1.0, 1.1, 0.9]
    seeds = statistics.over_seeds(values)
    both = statistics.over_all(values, np.cov(np.stack([shared] * 3)), units=1000)
    assert both.error**2 == pytest.approx(seeds.error**2 + 4.0, rel=0.05)
    assert both.df > 900, "nearly all of the variance has many degrees of freedom"
    own = statistics.over_all(values, np.cov(random.normal(0, 2.0, (3, 10_000))), units=1000)
    assert own.error == pytest.approx(seeds.error, rel=0.5), "what is each seed's own is in their spread already"


def test_one_training_has_an_interval_of_its_images_and_no_p_value():
    single = statistics.over_all([2.0], np.array([[0.01]]), 50)
    assert single.covers == "images" and single.low > 0 and single.significant and single.p is None
    nothing = statistics.alone(2.0)
    assert (nothing.low, nothing.high, nothing.p, nothing.covers, nothing.significant) == (
        None,
        None,
        None,
        None,
        False,
    )


def test_lists_are_a_level_of_their_own():
    """Nine trainings on three lists, which differ by more than seeds do: not nine but three observations."""
    values, drawn = [5.0, 5.1, 4.9, 2.0, 2.1, 1.9, 8.0, 8.1, 7.9], list(product(range(3), range(3)))
    interval = statistics.over_trainings(values, drawn)
    expected = stats.ttest_1samp([5.0, 2.0, 8.0], 0)
    assert interval.covers == "seeds+lists" and interval.df == 2
    assert interval.p == pytest.approx(expected.pvalue) and interval.low == pytest.approx(
        expected.confidence_interval().low
    )
    assert statistics.over_trainings(values, [(0, seed) for seed in range(9)]).half < interval.half / 2
    assert statistics.over_trainings([1.0, 2.0, 3.0], [(0, 0), (1, 0), (2, 0)]).covers == "lists"
    assert statistics.over_trainings([1.0, 2.0, 3.0], [(0, 0), (1, 1), (2, 2)]).covers == "seeds+lists"
    agreeing = statistics.over_trainings([1.0, 3.0, 3.0, 1.0], [(0, 0), (0, 1), (1, 0), (1, 1)])
    assert agreeing.half == pytest.approx(statistics.over_seeds([1.0, 3.0, 3.0, 1.0]).half), "luck narrows nothing"


@pytest.mark.parametrize("list_sd", [0.0, 1.0])
def test_intervals_over_lists_cover_what_they_claim(list_sd):
    """Three lists of three seeds, 2,000 times; over trainings alone a spread of lists would be missed."""
    random = np.random.default_rng([11, int(list_sd)])
    drawn, images = list(product(range(3), range(3))), 400
    covered, naive = 0, 0
    for _ in range(2000):
        shared = random.normal(0, 0.3)
        values = random.normal(0, list_sd, 3).repeat(3) + random.normal(0, 0.5, 9) + shared
        covariance = np.full((9, 9), 0.3**2) + np.eye(9) * 0.1
        interval = statistics.over_all(values, covariance, images, drawn)
        naive_one = statistics.over_all(values, covariance, images)
        covered += interval.low <= 0 <= interval.high
        naive += naive_one.low <= 0 <= naive_one.high
    assert covered / 2000 > 0.93 and interval.covers == "seeds+lists+images"
    assert naive / 2000 < 0.85 or list_sd == 0


@pytest.mark.parametrize(("trainings", "seed_sd"), [(3, 3.5), (3, 8.0), (5, 4.5)])
def test_small_p_values_are_as_rare_as_they_say(trainings, seed_sd):
    """Corrected comparisons need small p values; the sum of the variances alone gives them several times too often."""
    random = np.random.default_rng([13, trainings, int(seed_sd)])
    small, naive, studies = 0, 0, 20_000
    for _ in range(studies):
        interval = statistics.over_all(
            random.normal(0, seed_sd, trainings) + random.normal(), np.ones((trainings, trainings)), 1000
        )
        small += interval.p < 0.001
        naive += replace(interval, narrower=None).p < 0.001
        assert interval.significant == (interval.p < 0.05)
    assert 0.0003 < small / studies < 0.0016 < naive / studies


def test_only_the_part_that_lists_have_in_common_is_added_for_the_images():
    """What the seeds of one list share is in the spread of the lists already."""
    within = np.kron(np.eye(2), np.full((2, 2), 4.0))
    values, drawn = [1.0, 1.2, 0.8, 1.0], [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    alone = statistics.over_trainings(values, drawn)
    assert statistics.over_all(values, within, 100, drawn).half == pytest.approx(alone.half)
    assert statistics.over_all(values, within + 1.0, 100, drawn).half > alone.half


def test_the_leading_group_is_all_that_cannot_be_told_from_the_top():
    p = {("a", "b"): 0.2, ("a", "c"): 0.01, ("a", "d"): None}
    assert statistics.leading("abcd", lambda one, other: p[one, other]) == ["a", "b", "d"]


def test_satterthwaite_by_hand():
    assert statistics.satterthwaite([1.0, 1.0], [2, 2]) == pytest.approx(4)
    assert statistics.satterthwaite([1.0, 0.0], [2, 99]) == pytest.approx(2)
    assert statistics.satterthwaite([0.0, 0.0], [2, 99]) == 2


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_equal_networks_differ_by_nothing():
    interval = statistics.over_all([0.0, 0.0], np.zeros((2, 2)), 50)
    assert (interval.low, interval.high, interval.p, interval.significant) == (0, 0, 1, False)


def test_smallest_detectable_difference_has_the_power_it_claims():
    random = np.random.default_rng(6)
    detectable = statistics.Interval(0.0, 1 / np.sqrt(12), 11, "seeds", 12).detectable(0.8)
    found = [statistics.over_seeds(random.normal(detectable, 1, 12)).low > 0 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)
