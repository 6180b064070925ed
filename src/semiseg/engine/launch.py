"""From a wanted run to a finished one: at once when it is finished already, else under a lease.

Nothing here imports torch, so that asking for a finished run costs a fraction of a second.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from semiseg.data.options import DatasetConfig
from semiseg.data.prepare import data_sha256, ensure_store
from semiseg.data.split_files import read_split
from semiseg.errors import UserError
from semiseg.files import write_json
from semiseg.grid import split_name
from semiseg.runs import lease, spec
from semiseg.runs.folder import RunFolder


def train_run(
    config: dict[str, Any],
    path: Path,
    *,
    data: Path,
    splits: Path,
    runtime: dict[str, Any],
    dataset: DatasetConfig,
    say: Callable[[str], None],
) -> None:
    """Train the run that `config` describes into the folder `path`."""
    name = split_name(config["split"]["family"], config["split"]["partition"])
    split = read_split(splits / f"{name}.json")
    wanted = spec.make_spec(config, data_sha256(config["dataset"]["name"], data), split.sha256)
    sha256 = spec.spec_sha256(wanted)
    folder = RunFolder(path)
    if folder.recover(wanted, sha256):
        say(f"{path}: finished already")
        return
    with lease.hold(path, sha256, say) as held:
        if folder.recover(wanted, sha256):  # whoever held the lease before finished it
            say(f"{path}: finished by another process meanwhile")
            return
        ensure_store(config["dataset"]["name"], dataset, data)
        (path / "spec.json").unlink(missing_ok=True)  # from here on the folder is not a finished run
        from semiseg.engine.train import Training

        training = None
        try:
            place = data / config["dataset"]["name"]
            training = Training(config, wanted, sha256, folder, place, split, held, say, runtime)
            training.run()
        except BaseException as error:
            _record_failure(folder, sha256, config, training, error)
            raise _translated(error, path) from error


def _record_failure(
    folder: RunFolder, sha256: str, config: dict[str, Any], training: Any, error: BaseException
) -> None:
    """The state that tables and `semiseg status` show; a disk too full for it must not hide the first error."""
    from semiseg.errors import Interrupted

    stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
    record = training.provenance() if training else {"seed": config["seed"]}
    record |= {
        "state": "interrupted" if stopped else "failed",
        "spec_sha256": sha256,
        "error": {
            "type": type(error).__name__,
            "message": str(error),
            "iteration": training.iteration if training else 0,
        },
    }
    with suppress(OSError):
        write_json(folder / "record.json", record)


def _translated(error: BaseException, path: Path) -> BaseException:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            f"no room left on the disk of {path}; make room and repeat the command: it goes on from the last checkpoint"
        )
    return error
