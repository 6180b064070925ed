from __future__ import annotations

import pytest

from tests.report import studies


@pytest.fixture(scope="package")
def study(tmp_path_factory):
    """(folder, rows) of a simulated suite with three seeds in which three runs are not finished."""
    folder = tmp_path_factory.mktemp("study")
    planned = studies.descriptions()
    at_12 = {(row["method"], row["seed"]): row["run"] for row in planned if row["partition"] == "12"}
    states = {at_12["cutmix_seg", 0]: "failed", at_12["cutmix_seg", 2]: "running", at_12["fixmatch", 1]: "missing"}
    return folder, studies.simulate(folder, planned, states=states)


HUNG = ("hung", "VOC-aug random fraction (Hung 2018)", "1/8", 1322, "ResNet-101 (COCO-pretrained in code)")
CPS = ("cps", "VOC-aug blended lists of CPS (14-15% HQ labels)", "1/8", 1323)
U2PL = ("u2pl", "VOC-aug priority lists of U2PL (HQ labels first)", "1/8", 1323)
CLASSIC = ("classic", "VOC-original", "92", 92, "ResNet-101")
V2, V3 = "DeepLabv2 (no multi-scale fusion)", "DeepLabv3+ crop321"
FIGURES = [
    ("AdvSemiSeg +L_adv+L_semi", *HUNG, V2, 69.5, "BMVC 2018", "yes"),
    ("AdvSemiSeg ablation lambda_adv=0.01 lambda_semi=0.1 T_semi=0.3", *HUNG, V2, 68.7, "ICLR 2018", "yes"),
    ("AdvSemiSeg ablation no L_adv no L_semi", *HUNG, V2, 66.0, "ICLR 2018", "yes"),
    ("UniMatch run 1", *CPS, "ResNet-101", V3, 77.0, "log", "yes"),
    ("UniMatch", *CPS, "ResNet-101", V3, 77.4, "README", "yes"),
    ("UniMatch", *U2PL, "ResNet-101", V3, 81.9, "README", "yes"),
    ("UniMatch", *CPS, "ResNet-101", "DeepLabv3+ crop513", 78.4, "README", "yes"),
    ("UniMatch", *CPS, "ResNet-50", V3, 76.9, "README", "yes"),
    ("UniMatch", *CPS, "ResNet-101", V3, 70.0, "memory", "no"),
    ("UniMatch V2", *CPS, "DINOv2-B", "DPT", 88.0, "README", "yes"),
    *((name, *CLASSIC, V3, value, "a paper", "yes") for name, value in (
        ("Supervised-only", 45.0), ("Mean Teacher", 52.0), ("CutMix-Seg", 53.0), ("FixMatch", 64.0), ("UniMatch", 75.0),
        ("AdvSemiSeg +L_adv+L_semi", 50.0))),
]  # fmt: skip


@pytest.fixture(autouse=True, scope="package")
def published_figures():
    """A few lines in the form of the published figures, so that no test depends on their full list."""
    from semiseg.report.tables import published

    keys = (
        "method",
        "split_family",
        "protocol",
        "partition",
        "labelled_images",
        "backbone",
        "head",
        "value",
        "source",
        "confirmed",
    )
    shared = {"dataset": "VOC2012", "evaluated_on": "val", "rule": "best", "evaluated_network": "unstated"}
    rows = [dict(zip(keys, row, strict=True)) | shared for row in FIGURES]
    rows = [row | {"split_partition": row["partition"]} for row in rows]
    patch = pytest.MonkeyPatch()
    patch.setattr(published, "stored", lambda: rows)
    yield rows
    patch.undo()


@pytest.fixture(scope="package")
def report(study):
    """The study's folder with tables, plots and pages."""
    from semiseg.report import html, plots, tables

    folder, rows = study
    tables.build("pocket", folder, rows)
    plots.build("pocket", folder, rows)
    html.build("pocket", folder, rows, dataset=studies.DATASET, read_image=studies.read_image)
    return folder
