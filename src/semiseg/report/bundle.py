"""One zip of a study: README.md, tables, plots, pages, records and stored evaluations, described as an RO-Crate.

The crate (RO-Crate 1.1: JSON-LD about the files) names the program, its commits, the data set with its hash and its
terms, and the time of the trainings. SHA256SUMS has the hash of every other file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg import __version__
from semiseg.base.errors import UserError
from semiseg.base.files import atomic, sha256_file
from semiseg.report import control_figures, rebuild, study_readme
from semiseg.report.table import read_all
from semiseg.report.tables import leaders
from semiseg.runs import suite_evaluations

METADATA, SUMS = "ro-crate-metadata.json", "SHA256SUMS"
DATE = (1980, 1, 1, 0, 0, 0)  # equal content gives equal bytes
LICENSE = "https://spdx.org/licenses/MIT"
# What the parts of a bundle are, by file or folder.
PARTS = {
    study_readme.NAME: ("The study on a page: answer, tables, plots, limits", "text/markdown"),
    "records.jsonl": ("One line for each run: configuration, hashes, provenance, scores", "application/jsonl"),
    suite_evaluations.NAME: ("Confusion matrices of every image: what all figures are made from", "application/zip"),
    "tables/": ("Tables as CSV, Markdown, LaTeX and JSON", None),
    "plots/": ("Plots as SVG and PNG, with their captions", None),
    "report/": ("The report as pages; open index.html", None),
    SUMS: ("SHA-256 of every file, as sha256sum writes them", "text/plain"),
}

Rows = Sequence[Mapping[str, Any]]


def build(folder: Path, target: Path, make_pages: Callable[[Path, Rows], None], terms: str) -> int:
    """Write the zip and return the number of its files; `make_pages(folder, rows)` fills report/ in a copy of it."""
    _needed()
    rows = rebuild.read_rows(folder)
    suite_evaluations.read(folder / suite_evaluations.NAME)
    with rebuild.rebuilt_copy(folder, rows) as copy:
        make_pages(copy, rows)
        (copy / SUMS).write_text("".join(f"{sha256_file(path)}  {name}\n" for name, path in _files(copy)))
        crate = describe(rows, copy, terms)
        (copy / METADATA).write_text(json.dumps(crate, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        return _pack(copy, target)


def _needed() -> None:
    try:
        import rocrate  # noqa: F401
    except ImportError as error:
        raise UserError("a bundle needs rocrate; install it with `pip install 'semiseg[bundle]'`") from error


def _files(folder: Path) -> list[tuple[str, Path]]:
    return sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


def _pack(folder: Path, target: Path) -> int:
    found = _files(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in found:
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return len(found)


def describe(rows: Rows, folder: Path, terms: str) -> dict[str, Any]:
    """The content of ro-crate-metadata.json."""
    from rocrate.model import ContextEntity
    from rocrate.rocrate import ROCrate

    records = [row["record"] for row in rows if row["state"] == "done" and row["record"]]
    finished = max((record["finished"] for record in records), default="1970-01-01")
    crate = ROCrate(version="1.1")
    crate.name = f"semiseg: the study {rows[0]['suite']}"
    crate.description = _answer(folder)
    crate.root_dataset["datePublished"] = finished
    licence = crate.add(ContextEntity(crate, LICENSE, {"@type": "CreativeWork", "name": "MIT licence"}))
    authors = crate.add(ContextEntity(crate, "#authors", {"@type": "Organization", "name": "The semiseg authors"}))
    crate.root_dataset["license"] = licence
    crate.root_dataset["author"] = crate.root_dataset["publisher"] = authors
    data = crate.add(ContextEntity(crate, "#data", _data(rows, records, terms)))
    program = crate.add(ContextEntity(crate, "#semiseg", _program(records)))
    made = [
        crate.add_directory(dest_path=name, properties={"name": name, "description": said})
        if kind is None
        else crate.add_file(folder / name, name, properties={"name": name, "description": said, "encodingFormat": kind})
        for name, (said, kind) in PARTS.items()
    ]
    action = {"@type": "CreateAction", "name": f"{len(records)} trainings and their evaluation", "endTime": finished}
    if records:
        action["startTime"] = min(record["started"] for record in records)
    study = crate.add(ContextEntity(crate, "#study", action))
    study["instrument"], study["object"], study["result"] = program, data, made
    crate.root_dataset["mentions"] = study
    return crate.metadata.generate()


def _answer(folder: Path) -> str:
    tables = read_all(folder / "tables")
    places = sorted(tables["leaders"].rows, key=lambda row: -row["candidates"])
    return places[0]["sentence"] if places else control_figures.sentences(tables) or leaders.NOTHING


def _data(rows: Rows, records: Sequence[Mapping[str, Any]], terms: str) -> dict[str, Any]:
    hashes = sorted({found for record in records if (found := record["hashes"].get("data"))})
    lists = sorted({row["split_sha256"] for row in rows if row["split_sha256"]})
    return {
        "@type": "Dataset", "name": rows[0]["dataset"], "usageInfo": terms,
        "identifier": ", ".join(f"sha256:{one}" for one in hashes),
        "description": f"Not in this bundle. Lists of labelled images by their SHA-256: {', '.join(lists)}.",
    }  # fmt: skip


def _program(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    commits = sorted({record["git"]["commit"] for record in records if (record.get("git") or {}).get("commit")})
    trained = f"Trained at commit {', '.join(commits)}." if commits else "The commit of the trainings is not known."
    return {"@type": "SoftwareApplication", "name": "semiseg", "softwareVersion": __version__, "description": trained}
