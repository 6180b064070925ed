"""Writes the output of `advise --label`: a list, a contact sheet, and predicted masks as a start for labelling."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.advice import annotations
from semiseg.advice.ranking import Pick, rank
from semiseg.advice.trial import best, load
from semiseg.base.errors import UserError
from semiseg.base.files import write_json, write_text
from semiseg.base.labels import IGNORE
from semiseg.base.progress import progress
from semiseg.datasets.dataset import Dataset, open_dataset
from semiseg.datasets.reading.folder_masks import FolderMasks
from semiseg.datasets.reading.images import read_image
from semiseg.hardware.device import choose_device
from semiseg.inference import trained
from semiseg.inference.gallery import Gallery
from semiseg.inference.predict import Predictor
from semiseg.inference.writing import writing
from semiseg.params import loading
from semiseg.runs.run_folder import RunFolder
from semiseg.study.study import Study

AFFECTS_RESULTS = False

LIST, FOLDERS = "next.txt", ("masks", "labelme", "gallery")  # what lies below --out


def next_labels(name: str, count: int, run: Path | None, out: Path, say: Callable[[str], None] = print) -> list[Pick]:
    params = loading.load()
    run = run or _run(name)
    spec = RunFolder(run).spec
    if spec is None:
        raise UserError(f"{run} is not the folder of a finished run")
    data = spec["config"]["dataset"]["name"]
    if data not in params.datasets:
        raise UserError(f"{run} was trained on the data set {data}, which params.yaml and params.local.yaml lack")
    dataset = open_dataset(data, params.datasets[data])
    _check_place(out, dataset.root)
    unlabelled = dataset.subsets.get("extra", ())
    if not unlabelled:
        raise UserError(
            f"every image of {data} has a mask, or `extra: false` excludes images without masks; nothing to label"
        )
    candidates = [(one.id, one.image, one.group) for one in unlabelled]
    labelled = [one.image for one in dataset.subsets["train"]]
    with progress("predicting all images", len(candidates) + len(labelled)) as advance:
        picks = rank(run, candidates, labelled, count, advance)
    _write(dataset, run, picks, out)
    say(f"{out / LIST}: {len(picks)} of {len(candidates)} images without a mask, the most useful one first")
    say(f"{out / 'gallery/index.html'}: a contact sheet with predictions, and why each image was chosen")
    say(f"{out / 'masks'}: predicted masks in the data set's values or colours; {out / 'labelme'}: as LabelMe files")
    say(f"correct them in LabelMe or another tool, and put them below {dataset.root / 'masks'} with the same names; "
        f"the next call replaces what lies in {out}")  # fmt: skip
    return picks


def _run(name: str) -> Path:
    """The run that predicts: the final training if it is finished, else one of the best method with most labels."""
    if f"{name}_final" in loading.load().suites:
        for run in Study.load(f"{name}_final").plan.runs:
            if RunFolder(run.path).complete:
                return run.path
    trial = load(name)
    most = max(one.labelled for one in trial.results)
    return best([one for one in trial.results if one.labelled == most], trial.on).runs[0]


def _check_place(out: Path, root: Path) -> None:
    """Refuse a folder whose masks this call would delete although no earlier call wrote them."""
    place = out.resolve()
    if place == root.resolve() or any(place.is_relative_to((root / one).resolve()) for one in ("images", "masks")):
        raise UserError(f"{out} holds images or masks of the data set {root}; choose another --out")
    foreign = [name for name in FOLDERS if (out / name).exists() and not (out / LIST).exists()]
    if foreign:
        raise UserError(f"{out / foreign[0]} is not from an earlier `advise --label`; choose another --out")


def _clear(out: Path) -> None:
    """Remove the masks of the previous call: they could replace corrected ones."""
    for folder in (out / name for name in FOLDERS):
        if folder.exists():
            with writing(folder):
                shutil.rmtree(folder)


def _write(dataset: Dataset, run: Path, picks: list[Pick], out: Path) -> None:
    device = choose_device()
    loaded = trained.load(run, None, device)
    predictor = Predictor(loaded, device)
    gallery = Gallery(out, f"to label next, by {loaded.label} of {run}", loaded.classes, loaded.palette, listed=True)
    coding = dataset.coding
    _clear(out)
    with writing(out / LIST):  # first, because it marks the folder as one that the next call may clear
        write_text(out / LIST, "".join(f"{pick.seen.id}\n" for pick in picks))
    outside = coding.outside if isinstance(coding, FolderMasks) and coding.outside != IGNORE else None
    for number, pick in enumerate(picks, 1):
        image = read_image(pick.seen.path)
        label, certainty = (found[0] for found in predictor(image[None]))
        gallery.add(pick.seen.id, image, label, certainty, f"{number}: {pick.reason}")
        _save(out / "masks" / f"{pick.seen.id}.png", coding.encode(label) if isinstance(coding, FolderMasks) else label)
        path = out / "labelme" / f"{pick.seen.id}.json"
        where = os.path.relpath(pick.seen.path.resolve(), path.parent.resolve())
        write_json(path, annotations.labelme(label, loaded.classes, where, outside))
    gallery.write()


def _save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
