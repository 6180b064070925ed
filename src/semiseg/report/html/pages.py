"""From tables, plots and records to the pages of <suite>/report."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from semiseg import __version__
from semiseg.base import files
from semiseg.report import names, pictures, run_health
from semiseg.report.cells import BASELINE
from semiseg.report.html import (
    answer,
    downloads,
    first_page,
    formulas,
    interval_bar,
    logs,
    method_pages,
    place_figures,
    run_differences,
    run_pages,
    table_groups,
)
from semiseg.report.plots import frames
from semiseg.report.records import Records
from semiseg.report.table import read_all

HERE = Path(__file__).parent
LOCAL = "local-report"  # holds pictures that must not be passed on
# Page -> its name in the navigation.
PAGES = {
    "index": "Overview",
    "tables": "Tables",
    "plots": "Plots",
    "pictures": "Pictures",
    "runs": "Runs",
    "compare": "Compare runs",
    "methods": "Methods",
    "numbers": "How the numbers were made",
}
FILTERED = ("Method", "Labels", "Network", "State", "Source")  # columns that get a list to choose from


def build(
    suite_name: str,
    suite_dir: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    dataset: Mapping[str, Any],
    read_image: pictures.ReadImage | None = None,
    local_pictures: bool = False,
) -> None:
    """Write <suite_dir>/report, or local-report/ with `local_pictures`; tables and plots must have been built.

    dataset: name, classes, redistributable, and optionally palette. Pictures of data that may not be redistributed are
    left out, unless `local_pictures` says that the report stays here.
    """
    suite_dir = Path(suite_dir)
    records, folder = Records(suite_name, suite_dir, rows), suite_dir / (LOCAL if local_pictures else "report")
    for part in ("runs", "pictures", "plots", "downloads"):
        shutil.rmtree(folder / part, ignore_errors=True)
    tables = read_all(suite_dir / "tables")
    plots = _copy_plots(suite_dir / "plots", folder / "plots")
    palette = pictures.palette_of(dataset)
    viewer = _pictures(records, folder, dataset, read_image, local_pictures)
    pages = Pages(folder, suite_name, dataset, records)
    places = first_page.places(tables)
    used = {run.method for run in records.runs}
    shared = {"tables": tables, "plots": plots}
    pages.write(
        "index", ran=answer.ran(tables), banners=answer.banners(tables), places=places,
        figures=place_figures.draw(records, tables, places, folder / "plots"), **_shown(records),
        dirty=[one.text for one in run_health.dirty(records)], states=_states(records), pictures=viewer[:3],
        downloads=downloads.write(suite_dir, folder, tables, used), changed=run_differences.of_variant(records),
        **shared,
    )  # fmt: skip
    pages.write("tables", groups=table_groups.grouped(tables), matrices=table_groups.matrices(tables["pairs"]))
    pages.write("plots", **shared)
    pages.write(
        "pictures",
        viewer=viewer,
        palette=palette,
        why_not=_why_no_pictures(viewer, dataset, read_image, local_pictures),
    )
    pages.write("runs", runs=[run_pages.summary(run) for run in records.runs])
    pages.write("compare", differences=run_differences.table(records))
    pages.write("methods", methods=method_pages.described(used), options=_options(records))
    made_with = run_pages.provenance(records)
    pages.write(
        "numbers",
        dirty=[one.text for one in run_health.dirty(records)],
        block=records.block,
        splits=_splits(records),
        provenance=made_with,
        tables=tables,
    )
    logs.write(records, folder, {run.row["run"]: run_pages.slug(run) for run in records.runs if run.row["run"]})
    for run in records.runs:
        if run.row["run"]:
            pages.write("run", f"runs/{run_pages.slug(run)}", **run_pages.details(run, records, folder))
    _copy_assets(folder / "assets")


def environment() -> jinja2.Environment:
    """Templates in which everything from data is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals["version"] = __version__
    made.filters |= {"docstring": formulas.page, "sentence": formulas.line}
    return made


def write_page(templates: jinja2.Environment, template: str, path: Path, **context: Any) -> None:
    files.write_text(path, templates.get_template(f"{template}.html").render(context))


class Pages:
    """The pages of one suite in `folder`; `report` is the way from there to the suite's report."""

    def __init__(
        self, folder: Path, suite: str, dataset: Mapping[str, Any], records: Records, report: str = ""
    ) -> None:
        self.folder, self.report = folder, report
        self.environment = environment()
        self.environment.globals |= {
            "suite": suite, "dataset": dataset, "pages": PAGES, "label": names.label,
            "of": names.of, "cell_text": cell_text, "order": order, "filtered": FILTERED, "slug": run_pages.slug,
            "bar": interval_bar, "run_links": functools.cache(lambda: run_pages.links(records)),
            "command": functools.partial(run_pages.command, records),
        }  # fmt: skip
        self.environment.filters["json"] = embedded_json

    def write(self, template: str, name: str | None = None, **context: Any) -> None:
        name = name or template
        context |= {"page": template, "root": "../" * name.count("/") + self.report}
        write_page(self.environment, template, self.folder / f"{name}.html", **context)


def cell_text(view: Any, row: Mapping[str, Any]) -> str:
    return view.text(row)


def order(view: Any, row: Mapping[str, Any]) -> Any:
    """What a table sorts by: the figure behind the text; labels by their number."""
    value = row.get("labelled") if view.keys == ("partition",) else row.get(view.keys[0])
    return "" if value is None else value


def embedded_json(value: Any) -> Markup:
    """JSON inside <script>: a name like </script> must not end it."""
    text = json.dumps(value, sort_keys=True)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _copy_plots(source: Path, target: Path) -> list[dict[str, str]]:
    if not (source / "captions.json").exists():
        return []
    listed = files.read_json(source / "captions.json")
    for name in listed["order"]:
        for suffix in ("svg", "png"):
            files.write_bytes(target / f"{name}.{suffix}", (source / f"{name}.{suffix}").read_bytes())
    return [{"name": name, **listed["captions"][name]} for name in listed["order"]]


def _copy_assets(target: Path) -> None:
    for path in sorted((HERE / "assets").iterdir()):
        files.write_bytes(target / path.name, path.read_bytes())


def _pictures(
    records: Records, folder: Path, dataset: Mapping[str, Any], read_image: pictures.ReadImage | None, local: bool
) -> list[dict[str, Any]]:
    if read_image is None or not (dataset["redistributable"] or local):
        return []
    shown = pictures.build(
        records, folder / "pictures", read_image, len(dataset["classes"]), pictures.palette_of(dataset)
    )
    return [vars(one) for one in shown]


def _why_no_pictures(viewer: list[Any], dataset: Mapping[str, Any], read_image: Any, local: bool) -> str:
    if viewer:
        return ""
    if not dataset["redistributable"] and not local:
        return (
            f"The images of {dataset['name']} may not be redistributed, so this report shows none; “semiseg report "
            "--local-pictures” makes one with pictures for this machine. Images of your own may be shown where "
            "params.yaml says “redistributable: true” of their data set."
        )
    return (
        "No finished run kept predictions."
        if read_image
        else "The images were not on the machine that made this report."
    )


def _shown(records: Records) -> dict[str, Any]:
    """Number of budgets, and the methods beside the pictures: the baseline and the highest of its head."""
    cells = frames.focus(records)
    baseline = [cell for cell in cells if cell.role == BASELINE][:1]
    others = [cell for cell in cells if cell not in baseline and all(cell.head == one.head for one in baseline)]
    shown = baseline + sorted(others, key=lambda cell: -cell.mean())[:1]
    budgets = {cell.labelled for cell in frames.finished(records)}
    return {"shown_methods": [names.of(cell) for cell in shown], "budgets": len(budgets)}


def _states(records: Records) -> dict[str, list[dict[str, Any]]]:
    """The runs that are not finished, by state; those that are not applicable are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in records.runs:
        if run.row["run"] and not run.done and run.state != "not_applicable":
            found.setdefault(run.state, []).append(run_pages.summary(run))
    return dict(sorted(found.items()))


def _options(records: Records) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Method -> (variant, options) of everything that ran."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for run in records.runs:
        found.setdefault(run.method, {})[run.variant] = run.options or {}
    return {method: sorted(variants.items(), key=lambda pair: names.rank({"method": method, "variant": pair[0]}))
            for method, variants in found.items()}  # fmt: skip


def _splits(records: Records) -> list[dict[str, Any]]:
    keys = ("split_family", "partition", "labelled", "unlabelled", "split_sha256")
    found = {tuple(run.row.get(key) for key in keys): None for run in records.runs if run.row["run"]}
    return [dict(zip(keys, values, strict=True)) for values in sorted(found, key=str)]
