"""params.yaml: valid content, and messages for invalid content."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from semiseg.base.errors import UserError
from semiseg.models.parts.encoders import check_name
from semiseg.params import loading
from semiseg.study import grid
from semiseg.study.requirements import COMMON_ENCODERS, check_before_start

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture
def written(tmp_path):
    """Write a changed copy of the shipped params.yaml and load it."""

    def load(change=None, text=None, suite=None):
        raw = copy.deepcopy(SHIPPED)
        if change:
            change(raw)
        path = tmp_path / "params.yaml"
        path.write_text(text if text is not None else yaml.safe_dump(raw))
        params = loading.load(path, suite)
        return params, grid.plan(params)

    return load


@pytest.mark.parametrize("suite", SHIPPED["suites"])
def test_every_shipped_suite_plans(suite):
    params = loading.load(ROOT / "params.yaml", suite)
    plan = grid.plan(params)
    assert plan.runs
    assert all(cell.runs or cell.reason for cell in plan.cells)


def test_equal_specs_are_one_run(written):
    params, plan = written()
    variants = [cell for cell in plan.cells if cell.variant == "adv_semi"]
    assert len(variants) >= 2, "the default of T_semi stands in the comparison and in its ablation"
    assert len({run.path for cell in variants for run in cell.runs}) == len(params.suites["pocket"].seeds)


def test_values_that_differ_little_are_two_runs(written):
    vary = {"method": "advsemiseg", "at": "24", "vary": {"t_semi": [0.3000001, 0.3000002]}}
    params, _ = written(lambda raw: raw["suites"]["pocket"]["ablations"].update(fine=vary))
    arms = [cell for cell in grid.plan(params).cells if cell.kind == "fine"]
    assert len({run.path for cell in arms for run in cell.runs}) == 2


def test_variant_names_are_sorted_differences(written):
    def change(raw):
        raw["suites"]["pocket"]["methods"]["advsemiseg"]["variants"] = [{"t_semi": 0.3, "lambda_semi": 0.2}, "adv"]

    _, plan = written(change)
    names = {cell.variant for cell in plan.cells if cell.kind == "comparison" and cell.method == "advsemiseg"}
    assert names == {"lambda_semi=0.2,t_semi=0.3", "adv"}


def test_methods_without_unlabelled_images_do_not_apply_at_full(written):
    def change(raw):
        raw["suites"]["pocket"]["methods"]["fixmatch"]["at"] = ["full"]
        raw["suites"]["pocket"]["methods"]["advsemiseg"]["at"] = ["full"]

    _, plan = written(change)
    at_full = {
        (c.method, c.variant): bool(c.runs) for c in plan.cells if c.kind == "comparison" and c.partition == "full"
    }
    assert not at_full["fixmatch", "default"]
    assert not at_full["advsemiseg", "adv_semi"]
    assert at_full["advsemiseg", "adv"]
    assert at_full["supervised", "default"]


def test_extends_lays_keys_over_the_base(written):
    def change(raw):
        raw["suites"]["longer"] = {
            "extends": "pocket",
            "seeds": [1, 2],
            "recipe": {"iterations": 77},
            "ablations": None,
        }

    params, _ = written(change, suite="longer")
    assert params.suites["longer"].recipe.iterations == 77
    assert params.suites["longer"].recipe.crop == params.suites["pocket"].recipe.crop
    assert params.suites["longer"].seeds == (1, 2)


def _set(path, value):
    def change(raw):
        *parents, last = path.split(".")
        for key in parents:
            raw = raw[key]
        raw[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            _set("suites.pocket.recipe.iteration", 5),
            "suites.pocket.recipe.iteration: unknown key; did you mean 'iterations'",
        ),
        (_set("suites.pocket.recipe.iterations", "many"), "suites.pocket.recipe.iterations"),
        (_set("suites.pocket.recipe.optimiser.lr", -1), "suites.pocket.recipe.optimiser.lr"),
        (_set("suites.pocket.dataset", "pockett"), "did you mean 'pocket'"),
        (_set("suites.pocket.methods.fixmach", {}), "did you mean 'fixmatch'"),
        (_set("suite", "poket"), "did you mean 'pocket'"),
        (_set("suites.pocket.methods.fixmatch", {"at": ["13"]}), "not among the suite's partitions"),
        (_set("suites.pocket.methods.fixmatch", {"options": {"treshold": 0.9}}), "treshold: unknown key"),
        (_set("suites.pocket.recipe.ema", None), "needs a teacher"),
        (_set("suites.pocket.recipe.iterations", "540"), "suites.pocket.recipe.iterations: expected a number"),
        (_set("suites.pocket.recipe.iterations", True), "suites.pocket.recipe.iterations: expected a number"),
        (_set("suites.pocket.recipe.augment.scale", [True, 1.0]), "recipe.augment.scale: expected a number"),
        (_set("suites.pocket.seeds", ["1"]), "suites.pocket.seeds: expected a number"),
        (_set("datasets.voc.split_seed", "7"), "datasets.voc.split_seed: expected a number"),
        (_set("datasets.voc.extra", "no"), "datasets.voc.extra: expected true or false"),
        (_set("suites.pocket.recipe.augment.flip", "yes"), "suites.pocket.recipe.augment.flip: expected true or false"),
        (_set("suites.pocket.recipe.optimiser.lr", float("inf")), "suites.pocket.recipe.optimiser.lr"),
        (_set("suites.pocket.recipe.crop", 16), "recipe.crop: expected a side, or [height, width], of at least 32"),
        (_set("suites.pocket.evaluation.protocol", {"scales": []}), "suites.pocket.evaluation.protocol.scales"),
        (_set("suites.pocket.evaluation.protocol", {"scales": [0.0]}), "suites.pocket.evaluation.protocol.scales.0"),
        (
            _set("suites.voc.evaluation.protocol", {"name": "sliding", "size": 0}),
            "evaluation.protocol.size: expected a",
        ),
        (_set("suites.pocket.seeds", [-1]), "suites.pocket.seeds: expected seeds of 0 and more"),
        (
            _set("suites.pocket.splits.partitions", [480]),
            "splits: the partition 480 has all labels of the pool; write `full`",
        ),
        (_set("suites.pocket.methods", [3]), "suites.pocket.methods"),
        (_set("suites.pocket.recipe.gpus", 3), "must be a multiple of gpus x accumulate"),
        (_set("suites.pocket.recipe.optimiser.warmup", 10_000), "must be below iterations"),
        (_set("suites.pocket.recipe.crop", -5), "suites.pocket.recipe.crop: expected a side"),
        (_set("suites.pocket.splits.partitions", [24, 5000]), "asks for 5000 labelled images, but the pool has 480"),
        (_set("suites.voc.evaluation.evaluated_on", "test"), "voc has no test set; write `evaluated_on: val`"),
        (_set("suites.pocket.seeds", [0, 1, 0]), "suites.pocket.seeds: expected distinct seeds"),
        (_set("suites.pocket_study.ablations.threshold.seeds", [2, 2]), "threshold.seeds: expected distinct seeds"),
        (_set("suites.pocket_study.extends", ["pocket"]), "there is no suite ['pocket']"),
        (lambda raw: raw["suites"].update({"../x": {"extends": "pocket"}}), "becomes the name of a folder"),
        (
            _set("suites.pocket.ablations.discriminator.arms.none", {"method": "supervisd"}),
            "ablations.discriminator.arms.none: there is no method 'supervisd'; did you mean 'supervised'",
        ),
    ],
)
def test_a_wrong_value_is_answered_with_its_path(written, change, expected):
    def with_teacher(raw):
        raw["suites"]["pocket"]["methods"]["mean_teacher"] = {
            "at": [str(raw["suites"]["pocket"]["splits"]["partitions"][0])]
        }
        change(raw)

    with pytest.raises(UserError) as caught:
        written(with_teacher)
    assert expected in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_a_batch_needs_no_power_of_two(written):
    _, plan = written(_set("suites.pocket.recipe.batch.labelled", 7))
    assert {run.config["recipe"]["batch"]["labelled"] for run in plan.runs} == {7}


def test_a_number_that_yaml_takes_for_a_word(written):
    """`1e-4` without a dot is a string to YAML 1.1."""
    params, _ = written(_set("suites.pocket.recipe.optimiser.lr", "1e-4"))
    assert params.suites["pocket"].recipe.optimiser.lr == 1e-4


def test_a_problem_is_told_once_not_in_every_suite_that_inherits_it(written):
    with pytest.raises(UserError) as caught:
        written(_set("suites.pocket.recipe.crop", -5))
    assert len(str(caught.value).splitlines()) == 1


def test_options_are_given_in_a_methods_first_entry(written):
    """In a later entry they would look like another variant, or be lost."""
    entries = [{}, {"variants": [{"confidence": 0.9}], "options": {"confidence": 0.5}}]
    with pytest.raises(UserError, match="fixmatch: the options of the first entry hold for all entries"):
        written(_set("suites.pocket.methods.fixmatch", entries))


def test_other_suites_are_checked_before_anything_starts(written):
    params, _ = written(_set("suites.voc.methods.fixmatch.options", {"confidense": 0.9}))
    with pytest.raises(UserError, match=r"voc.methods.fixmatch.*confidense: unknown key; did you mean 'confidence'"):
        check_before_start(params, grid.plan(params, "pocket"))


def test_an_encoder_that_no_library_knows(written):
    params, _ = written(_set("suites.voc.recipe.network.encoder", "tu-resnet1001.tv_in1k"))
    check_before_start(params, grid.plan(params, "pocket"))
    with pytest.raises(UserError, match=r"suites.voc.recipe.network.encoder: timm has no model for 'tu-resnet1001"):
        check_before_start(params, grid.plan(params, "voc"))


def test_an_encoder_of_a_variant_is_checked_too(written):
    variants = [{"variants": ["default", {"recipe.network.encoder": "tu-resnet5O.tv_in1k"}]}]
    params, _ = written(_set("suites.voc.methods.supervised", variants))
    with pytest.raises(UserError, match=r"suites.voc.recipe.network.encoder: timm has no model for 'tu-resnet5O"):
        check_before_start(params, grid.plan(params, "voc"))


@pytest.mark.parametrize(
    "encoder", ["tu-beit_base_patch16_224.in22k_ft_in22k", "tu-deit_tiny_distilled_patch16_224.fb_in1k"]
)
def test_an_encoder_that_dpt_cannot_use(written, encoder):
    """Else every training would end with this sentence in turn."""
    params, _ = written(_set("suites.voc_dinov2.recipe.network.encoder", encoder))
    with pytest.raises(UserError, match=rf"voc_dinov2.recipe.network: dpt cannot be built with encoder {encoder}"):
        check_before_start(params, grid.plan(params, "voc_dinov2"))


def test_the_encoders_that_are_not_asked_for_exist():
    for name in COMMON_ENCODERS:
        check_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("suite: [", "not valid YAML"),
        ("suite: a\nsuite: b\n", "stands twice"),
        ("just words", "expected a mapping"),
        ("suite: pocket\n", "this key is missing"),
    ],
)
def test_a_malformed_file_is_one_sentence(written, text, expected):
    with pytest.raises(UserError, match=expected):
        written(text=text)


def test_comments_change_no_run(written, tmp_path):
    _, before = written()
    path = tmp_path / "params.yaml"
    path.write_text("# a comment\n" + path.read_text())
    after = grid.plan(loading.load(path))
    assert [run.config for run in before.runs] == [run.config for run in after.runs]
