"""The command line. A command's module is imported only when that command is called."""

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

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)  # another user's folder, or a read-only file system
COMMANDS = {
    "plan": "show the runs of a suite: done, left, GPU-hours and disk; starts nothing",
    "status": "show what every run is doing: state, iteration, time left, mIoU, machine",
    "data": "download, check and prepare data sets; set up your own folder of images",
    "split": "choose and write one list of labelled images",
    "train": "train one run, unless it is finished",
    "tune": "find the best trial of a method's tuning (called by the rule `tuning`)",
    "stage": "list the specs of finished runs, which DVC passes between its stages",
    "evaluate": "score runs from stored confusion matrices, on corrupted images, or weights from elsewhere",
    "report": "make tables, plots and the HTML report from the records",
    "predict": "segment your own images with a trained run",
    "advise": "explain the results of a finished first study (NAME_try); choose images to label next",
    "export": "export a trained run to ONNX",
    "bench": "measure the speed of loader, training step, evaluation and losses, and of a GPU",
    "cluster": "inspect this Slurm cluster and propose a site file",
    "submit": "pack finished runs into a folder of small files for others",
    "collect": "validate submissions and show their runs beside your own",
    "adopt": "compare restored results with params.yaml, data and code; accept those that match",
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
    # Pillow warns of images above 89 megapixels; datasets/reading/images.py raises an error above its own limit.
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
        return "free some space and repeat the command"
    return "correct its permissions" if error.errno in NOT_ALLOWED and error.filename else ""
