"""Writes the output of `advise --label`: a list, a contact sheet, and predicted masks as a start for labelling."""

from __future__ import annotations

import itertools
import os
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

LIST = "next.txt"


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
    _check_place(out)
    unlabelled = dataset.subsets.get("extra", ())
    if not unlabelled:
        raise UserError(
            f"every image of {data} has a mask, or `extra: false` excludes images without masks; nothing to label"
        )
    candidates = [(one.id, one.image, one.group) for one in unlabelled]
    labelled = [one.image for one in dataset.subsets["train"]]
    with progress("predicting all images", len(candidates) + len(labelled)) as advance:
        picks = rank(run, candidates, labelled, count, advance)
    _move_aside(out, say)
    _write(dataset, run, picks, out)
    say(f"{out / LIST}: {len(picks)} of {len(candidates)} images without a mask, the most useful one first")
    say(f"{out / 'gallery/index.html'}: a contact sheet with predictions, and why each image was chosen")
    say(f"{out / 'masks'}: predicted masks in the data set's values or colours; {out / 'labelme'}: as LabelMe files")
    say(f"correct them in LabelMe or another tool, and put them below {dataset.root / 'masks'} with the same names")
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


def _check_place(out: Path) -> None:
    if out.exists() and not (out / LIST).exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} is not from an earlier `advise --label`; choose another --out")


def _move_aside(out: Path, say: Callable[[str], None]) -> None:
    """Keep an earlier choice: its masks may have been corrected there, and must not mix with the new ones."""
    if not (out / LIST).exists():
        return
    place = next(place for n in itertools.count(1) if not (place := out.with_name(f"{out.name}-{n}")).exists())
    with writing(place):
        out.rename(place)
    say(f"{place}: the earlier choice")


def _write(dataset: Dataset, run: Path, picks: list[Pick], out: Path) -> None:
    device = choose_device()
    loaded = trained.load(run, None, device)
    predictor = Predictor(loaded, device)
    gallery = Gallery(out, f"to label next, by {loaded.label} of {run}", loaded.classes, loaded.palette, listed=True)
    coding = dataset.coding
    with writing(out / LIST):  # first, because it marks the folder as one of this command
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
