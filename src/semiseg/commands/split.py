"""semiseg split FILE --request REQUEST"""

from __future__ import annotations

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="where the list is written")
    parser.add_argument("--request", type=Path, required=True, help="what Snakemake asks for")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg import config
    from semiseg.data import prepare
    from semiseg.data.split_files import write_split
    from semiseg.data.store import open_store
    from semiseg.files import read_json

    asked = read_json(options.request)["content"]
    dataset = asked["dataset"]
    settings = config.load().datasets[dataset]
    store = open_store(prepare.ensure_store(dataset, settings))
    write_split(
        options.file, asked["family"], asked["partition"], store, dataset, settings.kind, prepare.data_sha256(dataset)
    )
    print(f"wrote {options.file}")
