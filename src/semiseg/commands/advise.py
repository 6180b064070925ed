"""semiseg advise NAME [--label N | --write]"""

from __future__ import annotations

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a data set that has the suites NAME_try and NAME_final, or a suite")
    parser.add_argument(
        "--label", metavar="N", type=_count, help="choose N images to label next, and write predicted masks for them"
    )
    parser.add_argument("--run", dest="run_folder", type=Path, help="with --label: the finished run that predicts")
    parser.add_argument("--out", type=Path, help="with --label: the output folder; default advice/NAME")
    parser.add_argument("--write", action="store_true", help="write the recommended method into the suite NAME_final")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, found {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> None:
    options.name = options.name.removesuffix("_try")
    if options.write or not options.label:
        from semiseg.advice import sentences, trial

        found = trial.load(options.name)
        print("\n".join(sentences.advise(found, written=options.write)))
        if options.write:
            _write(options.name, sentences.final(found, sentences.method(found)[0]))
    if options.label:
        from semiseg.advice.next_labels import next_labels

        next_labels(options.name, options.label, options.run_folder, options.out or Path("advice") / options.name)


def _write(name: str, chosen) -> None:
    """Replace the methods of the final suite by the chosen one."""
    from semiseg.base.errors import UserError
    from semiseg.params import loading, local

    final = f"{name}_final"
    path = Path(loading.LOCAL)
    suites = (loading.read_yaml(path).get("suites") or {}) if path.exists() else {}
    if final not in suites:
        raise UserError(f"{path} has no suite {final}; `semiseg data init FOLDER --write` proposes one")
    entry = {} if chosen.variant == "default" else {"variants": [chosen.variant]}
    local.write({"suites": {final: suites[final] | {"methods": {chosen.method: entry}}}})
    print(f"the suite {final} in {path} now trains {chosen.name}")
