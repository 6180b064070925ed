"""semiseg report [tables|plots|html|all|early], semiseg report verify FOLDER, semiseg report bundle SUITE"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.base.files import locked, write_json

if TYPE_CHECKING:
    from semiseg.study.study import Study

PARTS = ("tables", "plots", "html", "all", "early", "verify", "bundle")


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "part", nargs="?", choices=PARTS, default="all",
        help="all: tables, plots and html; early: a report of the runs that have ended so far; "
        "verify: rebuild a committed study and compare; "
        "bundle: one zip of a study",
    )  # fmt: skip
    parser.add_argument("folder", nargs="?", type=Path, help="with verify and bundle: a study, results/SUITE")
    parser.add_argument("--suite", help="default: the suite that params.yaml names")
    parser.add_argument(
        "--local-pictures", action="store_true",
        help="make a report for this machine only, with pictures of data that may not be redistributed",
    )  # fmt: skip
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="compare with another study, results/SUITE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="with bundle: the zip; default bundles/SUITE.zip")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    if options.part == "verify":
        return _verify(options.folder)
    from semiseg.study.study import Study

    if options.part == "bundle":
        return _bundle(Study.load(options.folder.name if options.folder else options.suite), options.out)
    study = Study.load(options.suite)
    # A killed driver may have left a report running; two reports at once would mix their files.
    with locked(Path("logs/.report.lock")):
        if options.against:
            return _against(study, options.against)
        if options.local_pictures:
            return _local(study)
        if options.part == "early":
            return _early(study)
        for part in PARTS[:3] if options.part == "all" else (options.part,):
            {"tables": _tables, "plots": _plots, "html": _html}[part](study)


def _verify(folder: Path | None) -> None:
    """Exit code 1 if anything differs."""
    from semiseg.base.errors import UserError
    from semiseg.report import verify

    if folder is None:
        raise UserError("name the folder of the study: `semiseg report verify results/pocket_study`")
    compared, differences = verify.verify(folder)
    for sentence in differences[: verify.SHOWN]:
        print(sentence)
    if len(differences) > verify.SHOWN:
        print(f"and {len(differences) - verify.SHOWN} more")
    if differences:
        count = f"{len(differences)} difference{'' if len(differences) == 1 else 's'}"
        print(f"{folder}: {count} from the files rebuilt from its stored evaluations")
        sys.exit(1)
    print(f"{folder}: {compared} files equal those rebuilt from its records and stored evaluations")


def _tables(study: Study) -> None:
    from semiseg.commands.evaluate import score_what_is_finished
    from semiseg.report import tables

    _keep_what_nothing_here_can_replace(study)
    score_what_is_finished(study)
    with _stamped(study, "tables"):
        tables.build(study.name, study.folder, _collected(study, study.folder))
    print(f"the tables: {study.folder / 'tables'}")


def _collected(study: Study, folder: Path) -> list[dict[str, Any]]:
    """Write records.jsonl and the stored evaluations, the only inputs of tables and plots; return the records."""
    from semiseg.runs import collect, suite_evaluations
    from semiseg.study.descriptions import descriptions

    rows = collect.collect(folder, descriptions(study))
    collect.write(folder / "records.jsonl", rows)
    suite_evaluations.write(folder / suite_evaluations.NAME, suite_evaluations.gather(folder, rows))
    return rows


def _keep_what_nothing_here_can_replace(study: Study) -> None:
    """Committed results come without run folders: tables made from such a clone would mark every run as missing."""
    from semiseg.base.errors import UserError
    from semiseg.runs import collect

    path = study.folder / "records.jsonl"
    if not path.exists() or any((run.path / "record.json").exists() for run in study.plan.runs):
        return
    done = sum(row["state"] == "done" and not row.get("source") for row in collect.read(path))
    if done:
        raise UserError(
            f"{path} lists {done} finished runs whose folders are missing, and new tables would lose them; run "
            f"`dvc pull` to fetch the folders, `semiseg report html --suite {study.name}` to make only the pages, "
            f"or remove {path}"
        )


def _plots(study: Study) -> None:
    from semiseg.report import plots, study_readme

    rows = _rows(study)
    with _stamped(study, "plots"):
        plots.build(study.name, study.folder, rows)
        study_readme.build(study.name, study.folder, rows)
    print(f"the plots: {study.folder / 'plots'}; the study on a page: {study.folder / study_readme.NAME}")


def _html(study: Study) -> None:
    from semiseg.report import html, rebuild

    rebuild.complete(study.folder, _rows(study))
    read_image = _reader_for_pages(study)
    with _stamped(study, "report"):
        html.build(study.name, study.folder, _rows(study), dataset=_dataset(study), read_image=read_image)
    every_suite = html.build_index(study.folder.parent)
    print(f"the report: {study.folder / 'report' / 'index.html'}; all suites: {every_suite}")


def _early(study: Study) -> None:
    """A report of the runs that have ended so far, in a separate folder that neither the workflow nor git uses."""
    from semiseg.cluster.early_report import EARLY
    from semiseg.report import html, plots, tables
    from semiseg.runs.collected import COLLECTED

    folder = study.folder / EARLY
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("runs", COLLECTED):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"../{name}")
    rows = _collected(study, folder)
    tables.build(study.name, folder, rows)
    plots.build(study.name, folder, rows)
    read_image = _reader_for_pages(study)
    html.build(study.name, folder, rows, dataset=_dataset(study), read_image=read_image)
    print(f"report of the runs that have ended: {folder / 'report' / 'index.html'}")


def _local(study: Study) -> None:
    """A second report with pictures, which must not be committed."""
    from semiseg.report import html

    html.build(
        study.name, study.folder, _rows(study), dataset=_dataset(study), read_image=_reader(study), local_pictures=True
    )
    print(f"report with pictures, not to be redistributed: {study.folder / html.LOCAL / 'index.html'}")


def _against(study: Study, other: Path) -> None:
    from semiseg.report import against

    table = against.build(study.name, study.folder, _rows(study), other, dataset=_dataset(study))
    changed = sum(row["changed"] == "yes" for row in table.rows)
    print(f"{changed} of {len(table.rows)} cells changed significantly: {study.folder / 'against' / 'index.html'}")


def _bundle(study: Study, out: Path | None) -> None:
    """The pages of the workflow where they are those of the records at hand, pages without pictures otherwise."""
    from semiseg.datasets.get.data_terms import terms_of
    from semiseg.report import bundle, html

    [report] = study.products()["report"].values()

    def make_pages(place: Path, rows: Sequence[dict[str, Any]]) -> None:
        if report.fresh():
            shutil.copytree(
                study.folder / "report", place / "report", ignore=shutil.ignore_patterns("made_from.json", ".*")
            )
        else:
            html.build(study.name, place, rows, dataset=_dataset(study))

    target = out or Path("bundles") / f"{study.name}.zip"
    terms = terms_of(study.params.datasets[study.suite.dataset].kind)
    number = bundle.build(study.folder, target, make_pages, terms)
    print(f"{target}: {number} files, {target.stat().st_size / 1e6:.1f} MB, described in {bundle.METADATA}")


def _dataset(study: Study) -> dict[str, Any]:
    """Names and colours of the classes, from the data set's manifest; no classes if there is none."""
    from semiseg.base.files import read_json
    from semiseg.datasets.manifest import manifest_path

    path = manifest_path(study.suite.dataset)
    manifest = read_json(path) if path.exists() else {"classes": []}
    known = {key: manifest[key] for key in ("classes", "palette") if key in manifest}
    return {"name": study.suite.dataset, "redistributable": study.redistributable, **known}


def _rows(study: Study) -> list[dict[str, Any]]:
    from semiseg.base.errors import UserError
    from semiseg.runs import collect

    path = study.folder / "records.jsonl"
    if not path.exists():
        raise UserError(f"{path} does not exist; first run `semiseg report tables --suite {study.name}`")
    return collect.read(path)


def _reader_for_pages(study: Study) -> Callable[[str], Any] | None:
    """None if the pages must not show pictures, or if the data set has not been prepared here."""
    from semiseg.datasets.manifest import manifest_path

    prepared = manifest_path(study.suite.dataset).exists()
    return _reader(study) if study.redistributable and prepared else None


def _reader(study: Study) -> Callable[[str], Any]:
    """A function that reads an image and its mask from the decoded data set."""
    from semiseg.datasets import preparing
    from semiseg.feed.store import open_store

    settings = study.params.datasets[study.suite.dataset]
    store = open_store(preparing.ensure_store(study.suite.dataset, settings))
    return lambda one: (store.image(one), store.label(one))


@contextmanager
def _stamped(study: Study, kind: str) -> Iterator[None]:
    """Write the stamps last, with the state from before: a run that finishes meanwhile makes the files stale.

    A stamp also lists the files in its folder, so that a deleted file is made again. It omits logs and Snakemake's
    time stamp.
    """
    from semiseg.study.product import TIME_OF_FOLDER

    [product] = study.products()[kind].values()
    made_from = product.wanted()
    stamps = [path for path in product.files if path.name == "made_from.json"]
    for stamp in stamps:
        stamp.unlink(missing_ok=True)
    yield
    for stamp in stamps:
        found = (path.relative_to(stamp.parent) for path in stamp.parent.rglob("*") if path.is_file() and path != stamp)
        listed = sorted(path.as_posix() for path in found if path.parts[0] not in ("logs", TIME_OF_FOLDER))
        write_json(stamp, made_from | {"files": listed})
