"""semiseg split FILE --request REQUEST"""

from __future__ import annotations

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="output file")
    parser.add_argument("--request", type=Path, required=True, help="request file that Snakemake wrote")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.base.files import read_json
    from semiseg.datasets import preparing
    from semiseg.datasets.kind import kind_of
    from semiseg.feed.store import open_store
    from semiseg.params import loading
    from semiseg.splits.split_files import write_split

    asked = read_json(options.request)["content"]
    dataset = asked["dataset"]
    settings = loading.load().datasets[dataset]
    store = open_store(preparing.ensure_store(dataset, settings))
    data_sha256 = preparing.data_sha256(dataset)
    literature = kind_of(settings).literature
    write_split(options.file, asked["family"], asked["partition"], store, dataset, literature, data_sha256)
    print(f"wrote {options.file}")
