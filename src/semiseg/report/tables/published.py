"""Published figures beside ours: subtracted only where lists, network and crop are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from semiseg.report.cells import Cell, crop_text, mean_sd
from semiseg.report.figures_of_the_field import DATASETS, load
from semiseg.report.records import Records
from semiseg.report.table import LISTED, Table, View

METHODS = (
    (r"AdvSemiSeg.*ablation", None),
    (r"AdvSemiSeg.*(ImageNet-init|checkpoint|user|Paddle|third-party)", None),
    (r"AdvSemiSeg.*(baseline|fully-supervised)", ("supervised", "default")),
    (r"AdvSemiSeg.*\+L_adv\+L_semi", ("advsemiseg", "adv_semi")),
    (r"AdvSemiSeg.*\+L_adv|AdvSSL", ("advsemiseg", "adv")),
    (r"Supervised", ("supervised", "default")),
    (r"Mean Teacher", ("mean_teacher", "default")),
    (r"CutMix-Seg", ("cutmix_seg", "default")),
    (r"FixMatch", ("fixmatch", "default")),
    (r"CPS", ("cps", "default")),
    (r"UniMatch V2", ("unimatch_v2", "default")),
    (r"UniMatch", ("unimatch", "default")),
    (r"AugSeg", ("augseg", "default")),
    (r"iMAS", ("imas", "default")),
    (r"SCL", ("scl", "default")),
    (r"RC2L", ("rc2l", "default")),
    (r"U2PL", ("u2pl", "default")),
    (r"ST\+\+", ("st_plus_plus", "default")),
    (r"CorrMatch", ("corrmatch", "default")),
)
ABLATED = "advsemiseg"  # the method whose own ablations are known arm by arm
# Crops that the papers' configurations give where the table's row does not: (paper, data set) -> side.
CROPS = {
    ("AdvSemiSeg", "voc"): "321", ("AdvSemiSeg", "cityscapes"): "512x1024", ("iMAS", "voc"): "513",
    ("iMAS", "cityscapes"): "769", ("AugSeg", "voc"): "513", ("AugSeg", "cityscapes"): "800", ("CPS", "voc"): "512",
    ("CPS", "cityscapes"): "800", ("UniMatch", "cityscapes"): "801",
    ("UniMatch V2", "voc"): "518", ("UniMatch V2", "cityscapes"): "798", ("U2PL", "voc"): "513",
    ("U2PL", "cityscapes"): "769",
}  # fmt: skip
# What the table calls an encoder -> what timm calls it, where one name is no part of the other.
ENCODERS = {"dinov2s": "vitsmallpatch14dinov2", "dinov2b": "vitbasepatch14dinov2"}
# Spread over seeds where ours is unknown (one seed): the largest of UniMatch's three logged runs at VOC classic.
SEED_SD = 0.72
SECONDHAND = re.compile(r"re-run|user|log|table|run \d|author", re.IGNORECASE)

COLUMNS = (
    "method", "variant", "published_method", "dataset", "protocol", "split_family", "split_sha256", "partition",
    "labelled", "encoder", "published_head", "published_crop", "published_rule", "published_miou",
    "confirmed", "source", "comparable", "reason", "our_rule", "our_miou_mean", "our_miou_sd",
    "seeds", "difference", "tolerance", "within",
)  # fmt: skip
VIEWS = (
    View("Labels", ("partition",)),
    View("Published as", ("published_method",)),
    View("Lists", ("protocol",)),
    View("Encoder", ("encoder",)),
    View("Head", ("published_head",)),
    View("Crop", ("published_crop",)),
    View("Rule", ("published_rule",), help="which checkpoint was reported"),
    View("Published", ("published_miou",), "number", 2),
    View("Confirmed", ("confirmed",), help="read at its source"),
    View("Ours", ("our_miou_mean", "our_miou_sd"), "mean_sd", 2, help="with the same rule, if we have it"),
    View("Difference", ("difference",), "signed", 2),
    View("Tolerance", ("tolerance",), "number", 2, help="differences that seeds and selection explain"),
    View("Within", ("within",)),
    LISTED,
    View("Not subtracted because", ("reason",)),
    View("Source", ("source",)),
)


@dataclass(frozen=True)
class Figure:
    """One published figure with our names; `crop` and `output_stride` are None where they are not stated."""

    row: Mapping[str, Any]
    method: str
    variant: str
    dataset: str
    encoder: str
    architecture: str
    crop: str | None
    output_stride: int | None
    rule: str  # best, last or unstated
    confirmed: bool

    @property
    def value(self) -> float:
        return float(self.row["value"])


def figures() -> list[Figure]:
    """The published figures of methods that are also ours; ablations are asked for one by one."""
    found = (_figure(row) for row in stored())
    return [figure for figure in found if figure is not None]


def stored() -> list[dict[str, Any]]:
    return load().to_dict("records")


def _figure(row: Mapping[str, Any]) -> Figure | None:
    known = next((ours for pattern, ours in METHODS if re.match(pattern, row["method"])), None)
    if known is None or row["dataset"] not in DATASETS or row["evaluated_on"] != "val":
        return None
    dataset, head, name = DATASETS[row["dataset"]], str(row["head"]), row["method"]
    crop = re.search(r"crop(\d+)", head)
    encoder = re.sub(r"[^a-z0-9]", "", str(row["backbone"]).split("(")[0].lower())
    paper = re.search(r"AdvSemiSeg|iMAS|AugSeg|UniMatch V2|UniMatch|U2PL|CPS", name)
    stride = re.findall(r"os(8|16)", head)
    return Figure(
        row, *known, dataset,
        encoder=ENCODERS.get(encoder, encoder),
        architecture="deeplab_v2" if "v2" in head else "deeplab_v3plus" if "v3+" in head else head.split()[0].lower(),
        crop=crop.group(1) if crop else CROPS.get((paper.group(), dataset)) if paper else None,
        output_stride=int(stride[0]) if len(stride) == 1 else None,
        rule=row["rule"],
        confirmed=str(row["confirmed"]).lower() in ("yes", "true"),
    )  # fmt: skip


def mismatch(figure: Figure, cell: Cell) -> str:
    """Why the figure may not be subtracted from the cell's; empty when it may."""
    if not figure.confirmed:
        return "unconfirmed figure"
    family = str(cell.split_family).split(":")[0]
    if "mean of 3" in figure.row["protocol"] or (family != figure.row["split_family"] and cell.partition != "full"):
        return f"lists: {figure.row['protocol']}, ours {cell.split_family}"
    if figure.row["evaluated_network"] == "teacher" != cell.network:
        return f"network: teacher, ours {cell.network}"
    if figure.encoder not in str(cell.encoder).lower().replace("-", "").replace("_", ""):
        return f"encoder: {figure.row['backbone']}, ours {cell.encoder or 'small'}"
    if cell.row.get("architecture") and figure.architecture != cell.row["architecture"]:
        return f"architecture: {figure.row['head']}, ours {cell.row['architecture']}"
    if "COCO" in str(figure.row["backbone"]) and "coco" not in str(cell.encoder).lower():
        return "start weights: COCO"
    if figure.output_stride is not None and cell.output_stride and figure.output_stride != cell.output_stride:
        return f"output stride: {figure.output_stride}, ours {cell.output_stride}"
    if figure.crop is None:
        return "crop: not stated"
    if figure.crop != crop_text(cell.crop):
        return f"crop: {figure.crop}, ours {crop_text(cell.crop)}"
    return ""


def of_cell(cell: Cell, known: Sequence[Figure]) -> list[Figure]:
    """Figures of the cell's method, data set and number of labels, whatever their protocol."""
    return [
        figure for figure in known
        if (figure.method, figure.variant, figure.dataset) == (cell.method, cell.variant, cell.dataset)
        and _same_labels(figure, cell)
    ]  # fmt: skip


def _same_labels(figure: Figure, cell: Cell) -> bool:
    """Within one image: 1/8 of 10,582 is 1322 in one list and 1323 in another."""
    return cell.labelled is not None and abs(int(figure.row["labelled_images"]) - int(cell.labelled)) <= 1


def fill_in(row: dict[str, Any], cell: Cell, known: Sequence[Figure]) -> None:
    """Fill the comparison's columns with a figure of the same protocol, first-hand before second-hand."""
    fair = [figure for figure in of_cell(cell, known) if not mismatch(figure, cell)]
    if fair:
        chosen = min(fair, key=lambda figure: bool(SECONDHAND.search(figure.row["method"])))
        row |= {"published_miou": chosen.value, "published_source": chosen.row["source"]}


def build(records: Records) -> Table:
    known = figures()
    rows = [_row(figure, cell) for cell in records.cells() for figure in of_cell(cell, known)]
    rows.sort(key=lambda row: (row["dataset"], row["labelled"], row["method"], row["variant"], not row["comparable"],
                               row["published_method"], row["published_miou"]))  # fmt: skip
    return Table(
        "published",
        "Published against reproduced",
        "Published figures with the same method, data set and number of labels as ours. A difference is shown only if "
        "the protocol is the same (lists, network, output stride, start weights, crop) and the figure was read at its "
        "source.",
        COLUMNS,
        VIEWS,
        tuple(rows),
        "Tolerance: 95 of 100 further runs would lie within it. It follows from our standard deviation over seeds "
        f"(with one seed: {SEED_SD}, as in UniMatch's three logged runs). Where the rules differ, the gap between our "
        "best and last evaluation is added."
        if rows
        else "Nothing was published for this data set and these methods.",
    )


def _row(figure: Figure, cell: Cell) -> dict[str, Any]:
    reason = mismatch(figure, cell)
    # The field reports its best evaluation as a rule, so that is what an unstated rule stands for.
    rule = "best" if figure.rule != "last" and cell.values("best") else "last"
    values = cell.values(rule)
    mean, sd = mean_sd(values)
    row = {
        "method": cell.method, "variant": cell.variant, "published_method": figure.row["method"],
        "dataset": cell.dataset, "protocol": figure.row["protocol"], "split_family": cell.split_family,
        "split_sha256": cell.split_sha256, "partition": cell.partition, "labelled": cell.labelled,
        "encoder": figure.row["backbone"],
        "published_head": figure.row["head"], "published_crop": figure.crop, "published_rule": figure.rule,
        "published_miou": figure.value,
        "confirmed": "yes" if figure.confirmed else "unconfirmed", "source": figure.row["source"],
        "comparable": not reason, "reason": reason, "our_rule": rule, "our_miou_mean": mean, "our_miou_sd": sd,
        "seeds": len(values), "difference": None, "tolerance": None, "within": None,
    }  # fmt: skip
    if not reason and values:
        allowed = tolerance(values, cell, rule != figure.rule)
        row |= {"difference": mean - figure.value, "tolerance": allowed}
        row["within"] = "yes" if abs(mean - figure.value) <= allowed else "no"
    return row


def tolerance(values: Sequence[float], cell: Cell, other_rule: bool) -> float:
    """Half-width of the prediction interval of one further run, and the selection gap where the rules differ."""
    n = len(values)
    if n > 1:
        allowed = float(stdtrit(n - 1, 0.975) * np.std(values, ddof=1) * np.sqrt(1 + 1 / n))
    else:
        allowed = float(ndtri(0.975) * SEED_SD * np.sqrt(2))
    if other_rule and cell.values("best"):
        allowed += abs(float(np.mean(cell.values("best")) - np.mean(cell.values("last"))))
    return allowed


# ------------------------------------------------------------------------------------------------ ablations

COMPONENTS = "AdvSemiSeg ablation "
VARIED = ("lambda_adv_labelled", "lambda_adv_unlabelled", "lambda_semi", "t_semi", "discriminator")
SETTING = "VOC 1/8, DeepLab-v2 ResNet-101, earlier version of the paper"


def ablation(
    method: str, options: Mapping[str, Any], usual: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The AdvSemiSeg paper's figure for an arm with these options, at 1/8 of VOC.

    Empty where it has none, as for an arm that differs from the suite's `usual` options in what the paper did not vary.
    """
    others = {key: value for key, value in options.items() if key not in VARIED}
    changed = method == ABLATED and any(usual.get(key, value) != value for key, value in others.items())
    label = None if changed else _component(method, options)
    found = next(
        (row for row in rows if label and row["method"] == COMPONENTS + label and row["partition"] == "1/8"), None
    )
    empty = dict.fromkeys(("published_setting", "published_miou", "published_confirmed", "published_source"))
    if found is None:
        return empty
    confirmed = str(found["confirmed"]).lower() in ("yes", "true")
    return {
        "published_setting": SETTING + ("" if confirmed else " (unconfirmed)"),
        "published_miou": float(found["value"]),
        "published_confirmed": confirmed,
        "published_source": found["source"],
    }


def _component(method: str, options: Mapping[str, Any]) -> str | None:
    """How the list of figures names the arm."""
    if method == "supervised":
        return "no L_adv no L_semi"
    if method != ABLATED:
        return None
    l_adv, l_semi, threshold = (options.get(key) for key in ("lambda_adv_labelled", "lambda_semi", "t_semi"))
    if options.get("discriminator") == "non_fcn":
        return "L_adv + non-FCN D" if l_semi == 0 and l_adv else None
    if l_adv == 0:
        return "L_semi + fully-conv D without L_adv" if l_semi else None
    if l_semi == 0:
        return "lambda_adv=0.01 lambda_semi=0 T_semi=n/a"
    shown = f"{threshold:.1f}" if threshold else "0"
    return f"lambda_adv={l_adv:g} lambda_semi={l_semi:g} T_semi={shown}"
