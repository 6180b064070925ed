"""semiseg submit RUNS… --out FOLDER: pack finished runs into two small files, for git or for other people."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs, or results/SUITE for all of them")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write; its name becomes the name of the source"
    )
    parser.add_argument("--pictures", action="store_true", help="include the label maps that a report shows")
    parser.add_argument(
        "--light",
        action="store_true",
        help="for the repository of the study: leave out what its evaluations.npz holds, and histograms of confidence",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from semiseg.base.errors import UserError
    from semiseg.base.files import peek_json
    from semiseg.runs import submission
    from semiseg.runs.run_folder import RunFolder

    source = options.out.resolve().name
    if not PLAIN.fullmatch(source):
        raise UserError(f"--out {options.out}: tables show the folder's name; letters, digits, ., _ and - are allowed")
    suite, found = _runs(options.runs)
    own = {name: path for name, path in found.items() if RunFolder(path).source is None}
    if not own:
        raise UserError(f"none of the runs was trained here; submissions from elsewhere lie in {suite / 'submissions'}")
    before = peek_json(options.out / submission.MANIFEST, "runs") or {}
    if lost := [name for name in before if name not in own]:
        raise UserError(
            f"{options.out} holds {len(before)} runs, of which {len(lost)} would be lost (first: {lost[0]}); name "
            "another folder"
        )
    for path in own.values():
        _check(path)
    submission.pack(options.out, source, suite, own, pictures=options.pictures, light=options.light)
    size = sum((options.out / name).stat().st_size for name in (submission.MANIFEST, submission.ARCHIVE))
    others = f"; {len(found) - len(own)} collected runs are left out" if len(own) < len(found) else ""
    print(f"{options.out}: {len(own)} runs of {suite.name}, {size / 2**20:.2f} MiB{others}")


def _runs(paths: list[Path]) -> tuple[Path, dict[str, Path]]:
    """The suite's folder, and the runs by their name below runs/."""
    from semiseg.base.errors import UserError

    folders = []
    for path in paths:
        below = sorted(one.parent for one in path.glob("runs/*/*/*/*/*/spec.json"))
        folders += below or [path]
    suites = {next((parent for parent in path.parents if parent.name == "runs"), None) for path in folders}
    if len(suites) != 1 or None in suites:
        raise UserError("name folders of runs below results/SUITE/runs, all of one suite, or results/SUITE itself")
    [runs] = suites
    return runs.parent, {path.relative_to(runs).as_posix(): path for path in folders}


def _check(path: Path) -> None:
    from semiseg.base.errors import UserError
    from semiseg.commands.evaluate import evaluate
    from semiseg.runs.run_folder import SHOWN, RunFolder
    from semiseg.study.freshness import is_scored

    folder = RunFolder(path)
    if folder.spec is None:
        raise UserError(f"{path} is not a finished run (it has no spec.json); train it with `semiseg train {path}`")
    if damaged := folder.damage(SHOWN):
        raise UserError(f"{path}: {', '.join(damaged)} is not the file that record.json names; train the run again")
    if not is_scored(path):
        evaluate(path)
