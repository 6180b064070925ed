"""The expansion of a suite into its runs."""

from __future__ import annotations

import math

import pytest

from semiseg.base.errors import UserError
from semiseg.cluster import estimate
from semiseg.params.schema import Params
from semiseg.study import grid
from semiseg.study.descriptions import descriptions
from semiseg.study.plan import Plan, Run
from semiseg.study.study import Study
from tests import tiny


def planned(methods: dict, **changes) -> Plan:
    return grid.plan(Params.model_validate(tiny.params(methods, **changes)))


def runs(methods: dict, **changes) -> dict[tuple[str, str, str], Run]:
    return {(run.method, run.variant, run.partition): run for run in planned(methods, **changes).runs}


def test_strong_long_costs_what_the_dearest_method_of_its_head_costs():
    supervised = {"variants": ["default", "strong", "strong_long", {"long": True, "strong": True, "head": "mask"}]}
    found = runs({"supervised": supervised, "unimatch": {"at": [4]}, "mean_teacher": {"at": [4]}, "rc2l": {"at": [4]}})
    dearest, strong = found["unimatch", "default", "4"], found["supervised", "strong", "4"]
    longer = found["supervised", "strong_long", "4"]
    assert {run.iterations for key, run in found.items() if "long" not in key[1]} == {12}
    costs = [run.iterations * estimate.step_gflops(run.config) for run in (strong, dearest, longer)]
    assert costs[0] < costs[1] <= costs[2] < costs[1] * (1 + 1 / longer.iterations)
    # Passes of labelled and unlabelled images, both in batches of 2, with a backward pass for all but UniMatch's first.
    assert longer.iterations == math.ceil(12 * (3 * (1 + 3.3) + 1) / (3 * 2))
    assert found["supervised", "strong_long", "full"].iterations == longer.iterations
    assert estimate.evaluations(longer.config) == estimate.evaluations(strong.config) == 3
    of_masks = found["supervised", "head=mask,long=on,strong=on", "4"]
    assert of_masks.iterations != longer.iterations, "its rival is rc2l"


def test_with_nothing_dearer_strong_long_is_as_long_as_the_others():
    found = runs({"supervised": {"variants": ["default", "strong_long"]}})
    assert {run.iterations for run in found.values()} == {12}


def test_bn_does_not_apply_where_all_images_have_labels():
    plan = planned({"supervised": {"variants": ["bn", "strong"]}})
    states = {(cell.variant, cell.partition): bool(cell.runs) for cell in plan.cells}
    assert states == {("bn", "4"): True, ("bn", "full"): False, ("strong", "4"): True, ("strong", "full"): True}


def test_strong_reports_a_teacher_and_needs_one():
    with pytest.raises(UserError, match="supervised needs a teacher; give recipe.ema a decay instead of null"):
        planned({"supervised": {"variants": ["strong"]}}, recipe={"ema": None})
    planned({"supervised": {}}, recipe={"ema": None})


def test_cutmix_among_labelled_images_needs_two_of_them():
    with pytest.raises(UserError, match="1 labelled image goes through a step at once"):
        planned({"supervised": {"variants": ["strong"]}}, recipe={"batch": {"labelled": 1, "unlabelled": 2}})


def test_paired_lists_have_a_seed_each():
    """Three trainings vary both lists and seeds; `full` is one list, which all seeds train on."""
    families = ["random:0", "random:1", "random:2"]
    splits = {"family": families, "partitions": [4, "full"], "paired": True}
    found = planned({"supervised": {}}, splits=splits, seeds=[5, 6, 7]).runs
    assert [(run.family, run.seed) for run in found if run.partition == "4"] == list(
        zip(families, [5, 6, 7], strict=True)
    )
    assert [run.seed for run in found if run.partition == "full"] == [5, 6, 7]
    with pytest.raises(
        ValueError, match="splits.paired gives each family one seed, but there are 3 families and 2 seeds"
    ):
        planned({"supervised": {}}, splits=splits, seeds=[5, 6])


def test_arms_of_an_ablation_vary_paired_lists_as_the_comparison_does():
    """So the default arm is the comparison's cell, and no training is repeated on another list."""
    splits = {"family": ["random:0", "random:1"], "partitions": [4, "full"], "paired": True}
    threshold = {"method": "fixmatch", "at": 4, "vary": {"confidence": [0.5, 0.95]}}

    def arms(**changes) -> dict[str, list]:
        ablations = {"threshold": threshold | changes}
        methods = {"supervised": {}, "fixmatch": {"at": [4]}}
        found = planned(methods, ablations=ablations, splits=splits, seeds=[5, 6])
        shown = {}
        for cell in found.cells:
            if cell.kind == "threshold":
                shown.setdefault(cell.arm, []).extend((run.family, run.seed) for run in cell.runs)
        assert len(found.runs) == 6 + len(shown["0.5"])
        return shown

    assert arms() == dict.fromkeys(("0.5", "0.95"), [("random:0", 5), ("random:1", 6)])
    assert arms(seeds=[6]) == dict.fromkeys(("0.5", "0.95"), [("random:1", 6)])
    with pytest.raises(ValueError, match=r"the ablation threshold has the seeds \[7\], which have no list"):
        arms(seeds=[7])


def test_a_variant_changes_the_recipe():
    """`recipe.` in a variant or an arm; the variant's name and the run's configuration have the change."""
    apart = {"recipe.batch_norm": "separate", "lambda_unlabelled": 0.5}
    methods = {"supervised": {}, "fixmatch": {"at": [4], "variants": ["default", apart]}}
    arms = {"default": {}, "slow": {"recipe.optimiser.lr": 0.0001}, "no rise": {"method": "supervised"}}
    plan = planned(methods, ablations={"rate": {"method": "fixmatch", "at": 4, "arms": arms}})
    found = {(run.method, run.variant, run.partition): run for run in plan.runs}
    one, default = (
        found["fixmatch", "lambda_unlabelled=0.5,batch_norm=separate", "4"],
        found["fixmatch", "default", "4"],
    )
    assert one.recipe == default.recipe | {"batch_norm": "separate"} and default.recipe["batch_norm"] == "official"
    assert one.options == default.options | {"lambda_unlabelled": 0.5}
    assert found["fixmatch", "optimiser.lr=0.0001", "4"].recipe["optimiser"]["lr"] == 0.0001
    assert [cell.variant for cell in plan.cells if cell.kind == "rate"] == ["default", "optimiser.lr=0.0001", "default"]


def test_what_a_row_says_of_a_run_is_the_runs_own_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    methods = {"supervised": {"variants": ["default", {"recipe.crop": 64, "recipe.iterations": 6}]}}
    rows = descriptions(Study(Params.model_validate(tiny.params(methods))))
    assert {row["variant"]: (row["crop"], row["iterations"]) for row in rows if row["partition"] == "4"} == {
        "default": ([32, 32], 12),
        "crop=64,iterations=6": ([64, 64], 6),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"recipe.batch_norm": "apart"},
            "fixmatch: recipe.batch_norm: expected 'official', 'joint' or 'separate'",
        ),
        ({"recipe.batchnorm": "joint"}, "fixmatch: recipe.batchnorm: unknown key; did you mean 'batch_norm'"),
        ({"recipe.optimizer.lr": 1}, "fixmatch: recipe.optimizer.lr: the recipe has no such key"),
        ({"recipe.crop.side": 1}, "fixmatch: recipe.crop.side: the recipe has no such key"),
        ({"recipe.ema": None}, "mean_teacher needs a teacher"),
    ],
)
def test_a_wrong_change_of_the_recipe(change, message):
    with pytest.raises(UserError, match=message):
        planned(
            {
                "supervised": {},
                "mean_teacher" if "recipe.ema" in change else "fixmatch": {"variants": [change], "at": [4]},
            }
        )
