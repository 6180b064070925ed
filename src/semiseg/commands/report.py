"""semiseg report [tables|plots|html|all]"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semiseg.files import locked, write_json

PARTS = ("tables", "plots", "html", "all")


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", nargs="?", choices=PARTS, default="all")
    parser.add_argument("--suite", help="default: the suite that params.yaml names")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="results/SUITE of another study: what changed")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.study import Study

    # A driver that was killed may have left a report at work: two would mix their files.
    with locked(Path("logs/.report.lock")):
        study = Study.load(options.suite)
        if options.against:
            _against(study, options.against)
            return
        for part in PARTS[:3] if options.part == "all" else (options.part,):
            {"tables": _tables, "plots": _plots, "html": _html}[part](study)


def _tables(study: Any) -> None:
    from semiseg.describe import descriptions
    from semiseg.report import tables
    from semiseg.runs import collect

    _score_what_is_finished(study)
    with _stamped(study, "tables"):
        rows = collect.collect(study.folder, descriptions(study))
        collect.write(study.folder / "records.jsonl", rows)
        tables.build(study.name, study.folder, rows)


def _score_what_is_finished(study: Any) -> None:
    """Runs whose evaluation never came about: a member of their group failed, or the driver was stopped before it."""
    from semiseg.commands.evaluate import evaluate

    for run in study.plan.runs:
        if study.runs[run.path].fresh() and not study.evaluations[run.path].fresh():
            evaluate(run.path)


def _plots(study: Any) -> None:
    from semiseg.report import plots

    with _stamped(study, "plots"):
        plots.build(study.name, study.folder, _rows(study))


def _html(study: Any) -> None:
    from semiseg.report import html

    classes, read_image = _images(study)
    with _stamped(study, "report"):
        html.build(study.name, study.folder, _rows(study), dataset=_dataset(study, classes), read_image=read_image)
    every_suite = html.build_index(study.folder.parent)
    print(f"the report: {study.folder / 'report' / 'index.html'}; all suites: {every_suite}")


def _against(study: Any, other: Path) -> None:
    from semiseg.report import against

    table = against.build(study.name, study.folder, _rows(study), other, dataset=_dataset(study, []))
    changed = sum(row["changed"] == "yes" for row in table.rows)
    print(
        f"{changed} of {len(table.rows)} cells changed by more than chance: {study.folder / 'against' / 'index.html'}"
    )


def _dataset(study: Any, classes: list[str]) -> dict[str, Any]:
    name = study.suite.dataset
    return {"name": name, "classes": classes, "redistributable": study.params.datasets[name].redistributable}


def _rows(study: Any) -> list[dict[str, Any]]:
    from semiseg.errors import UserError
    from semiseg.runs import collect

    path = study.folder / "records.jsonl"
    if not path.exists():
        raise UserError(f"{path} does not exist; make the tables first: `semiseg report tables --suite {study.name}`")
    return collect.read(path)


def _images(study: Any) -> tuple[list[str], Callable[[str], Any] | None]:
    """Class names, and a reader of images where data of this kind may be shown and are at hand."""
    from semiseg.data import prepare
    from semiseg.data.store import open_store

    settings = study.params.datasets[study.suite.dataset]
    if settings.redistributable:
        store = open_store(prepare.ensure_store(study.suite.dataset, settings))
        return list(store.classes), lambda one: (store.image(one), store.label(one))
    manifest = Path("data") / study.suite.dataset / "manifest.json"
    from semiseg.files import read_json

    return (read_json(manifest)["classes"] if manifest.exists() else []), None


@contextmanager
def _stamped(study: Any, kind: str) -> Iterator[None]:
    """Stamps are written last and say what was found before: a run that finishes meanwhile makes the files stale."""
    [product] = study.products()[kind].values()
    made_from = product.wanted()
    stamps = [path for path in product.files if path.name == "made_from.json"]
    for stamp in stamps:
        stamp.unlink(missing_ok=True)
    yield
    for stamp in stamps:
        write_json(stamp, made_from)
