"""The settings in which runs differ: those of all runs, without the ones that are the same in every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from semiseg.report import names
from semiseg.report.cells import Run
from semiseg.report.html import run_pages
from semiseg.report.records import Records

# Of records.jsonl, which is there when the run's own configuration is not.
RECORDED = (
    "dataset", "split_family", "partition", "labelled", "unlabelled", "split_sha256", "method", "variant", "network",
    "architecture", "encoder", "head", "output_stride", "crop", "iterations", "seed",
)  # fmt: skip
UNKNOWN = "not known"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def table(records: Records) -> dict[str, Any]:
    """keys, and for each run a title, its page and the index of its value of each key in `values`."""
    runs = [run for run in records.runs if run.row["run"]]
    settings = [dict(_settings(run)) for run in runs]
    keys = list(dict.fromkeys(key for one in settings for key in one))
    varied = [key for key in keys if len({one.get(key, UNKNOWN) for one in settings}) > 1]
    values = list(dict.fromkeys(one.get(key, UNKNOWN) for one in settings for key in varied))
    place = {value: number for number, value in enumerate(values)}
    listed = {
        run_pages.slug(run): {"title": run_pages.title(run),
                              "values": [place[one.get(key, UNKNOWN)] for key in varied]}
        for run, one in zip(runs, settings, strict=True)
    }  # fmt: skip
    return {"keys": varied, "values": values, "runs": listed, "alike": len(keys) - len(varied)}


def _settings(run: Run) -> Iterator[tuple[str, str]]:
    for key in RECORDED:
        yield key, str(run.row.get(key))
    yield from _flat("options", run.options or {})
    path = run.folder / "config.yaml"
    if path.exists():
        yield from _flat("config", yaml.load(path.read_text(), Loader))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, str(value)


def of_variant(records: Records) -> dict[tuple[str, str], str]:
    """(method, variant) -> its options that the method's main variant has otherwise, as `key: value, ...`."""
    options = {(run.method, run.variant): run.options or {} for run in records.runs}
    main = {method: kept for (method, variant), kept in options.items() if variant in names.MAIN_VARIANTS}
    return {
        (method, variant): ", ".join(
            f"{key}: {value}" for key, value in sorted(kept.items()) if main.get(method, {}).get(key, value) != value
        )
        for (method, variant), kept in options.items()
    }
