"""semiseg stage FILE SPEC…"""

from __future__ import annotations

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="output file")
    parser.add_argument("specs", type=Path, nargs="*", help="spec.json of each run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.base.files import write_json
    from semiseg.runs.run_folder import RunFolder

    runs = options.file.parent.parent / "runs"
    listed = {str(path.parent.relative_to(runs)): RunFolder(path.parent).spec_sha256 for path in options.specs}
    write_json(options.file, listed)
    print(f"{options.file}: {len(listed)} runs")
