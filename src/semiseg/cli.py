"""The command line: a table of contents. Each command's module is imported only when it is called."""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
import warnings
from collections.abc import Sequence

from semiseg import __version__
from semiseg.base.errors import EXIT_USER, UserError
from semiseg.base.files import DISK_FULL

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)  # a folder of somebody else, or a disk that is read only
COMMANDS = {
    "plan": "the runs of a suite: done, left, GPU-hours and disk; starts nothing",
    "status": "live table of runs: state, iteration, time left, mIoU, where",
    "data": "get, check and prepare data sets; look at a folder of your own",
    "split": "choose and write one list of labelled images",
    "train": "one run, or nothing when it is finished already",
    "tune": "name the best of a method's finished trials: what the rule `tuning` calls",
    "stage": "list the specs of finished runs: what DVC passes between stages",
    "evaluate": "eval.json of a run, from its stored confusion matrices",
    "report": "tables, plots and the HTML report from the records that exist",
    "predict": "a trained run over images of your own",
    "advise": "what a finished trial means for your images, and which to label next",
    "export": "a trained run as ONNX",
    "bench": "benchmarks of loader, step, evaluation and losses, and all figures of a GPU",
    "cluster": "look at the cluster this is, and propose its site file",
    "submit": "pack finished runs, without weights, for git or for somebody else",
    "collect": "examine submissions and show their runs beside ours",
    "adopt": "compare restored results with what is wanted, and accept what is equal",
}


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="semiseg", description="Semi-supervised segmentation methods, compared.")
    parser.add_argument("--version", action="version", version=f"semiseg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            importlib.import_module(f"semiseg.commands.{name}").define(command)
    options = parser.parse_args(arguments)
    # Pillow warns of images above 89 megapixels; datasets/reading/images.py has a limit of its own, which is an error.
    warnings.filterwarnings("ignore", message=r"Image size \(\d+ pixels\) exceeds limit")
    try:
        options.run(options)
    except UserError as error:
        print(f"semiseg: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `semiseg plan | head`
        sys.stderr.close()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        cure = _cure(error)
        if not cure:
            raise
        print(f"semiseg: {error.filename or 'a file'} cannot be used here ({error.strerror}); {cure}", file=sys.stderr)
        sys.exit(EXIT_USER)


def _cure(error: OSError) -> str:
    if error.errno in DISK_FULL:
        return "make room and repeat the command"
    return "mend its permissions" if error.errno in NOT_ALLOWED and error.filename else ""
