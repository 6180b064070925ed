"""Train a run unless it is finished; a training holds a lease.

Nothing here imports torch, so for a finished run the command takes a fraction of a second.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from semiseg.base.errors import Interrupted, OutOfMemory, UserError
from semiseg.base.files import write_json
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.manifest import require_manifest
from semiseg.datasets.preparing import data_sha256, ensure_store
from semiseg.runs import collected, lease, needs, spec
from semiseg.runs.run_folder import RunFolder
from semiseg.splits.families import split_name
from semiseg.splits.split_files import read_split


def train_run(
    config: dict[str, Any],
    path: Path,
    *,
    data: Path,
    splits: Path,
    runtime: dict[str, Any],
    dataset: DatasetConfig,
    say: Callable[[str], None],
    request: Path | None = None,
    twin: str | None = None,
    at_default: Collection[str] = (),
    collected_in: str | None = None,
) -> None:
    """Train the run that `config` describes into the folder `path`.

    request: the file that requests the run; twin: the folder of a run that is copied if it turns out to be the same run
    under another name; at_default: keys of the configuration with their default value; collected_in: the folder of the
    suite, whose collected runs may include this run.
    """
    name = split_name(config["split"]["family"], config["split"]["partition"])
    split = read_split(splits / f"{name}.json")
    wanted = spec.make_spec(config, data_sha256(config["dataset"]["name"], data), split.sha256)
    folder = RunFolder(path).answering(request)
    wanted = spec.as_carried(wanted, folder.spec, at_default)
    sha256 = spec.spec_sha256(wanted)

    def is_finished() -> bool:
        # Without `collected_in` the weights are needed, which a collected run does not have.
        return folder.recover(wanted, sha256) and not (collected_in is None and folder.without_weights)

    if is_finished():
        say(f"{path}: finished already")
        return
    for theirs in collected.of_run(Path(collected_in), path) if collected_in else ():
        if collected.stand_in(path, theirs, wanted, at_default):
            say(f"{path}: collected from {theirs.source}; not trained again")
            return
    needed = needs.finished(path, config, wanted, splits, at_default)
    with lease.hold(path, sha256, say) if _is_first() else _follow(folder, sha256, is_finished) as held:
        if is_finished():  # the previous holder of the lease finished the run
            say(f"{path}: was finished by another process")
            return
        if twin and _is_first() and folder.take_over(RunFolder(Path(twin)), wanted, sha256):
            say(f"{path}: is the run {twin} under another name; copied")
            return
        require_manifest(config["dataset"]["name"], dataset, data)
        ensure_store(config["dataset"]["name"], dataset, data)
        if _is_first():
            (path / "spec.json").unlink(missing_ok=True)  # from here on the folder is not a finished run
            (path / "eval.json").unlink(missing_ok=True)  # it may be of a collected run with the same spec
        from semiseg.engine.train import Training

        training = None
        try:
            place = data / config["dataset"]["name"]
            training = Training(config, wanted, sha256, folder, place, split, held, say, runtime, needed)
            training.run()
        except BaseException as error:
            told = _translated(error, path)
            _record_failure(folder, sha256, wanted, training, told)
            raise told from error


def _is_first() -> bool:
    """Whether this is the first of the processes that torchrun started for this run; a single process is the first."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _follow(
    folder: RunFolder, sha256: str, is_finished: Callable[[], bool], poll_seconds: float = 0.2
) -> Iterator[lease.Lease]:
    """In all processes but the first: wait until the first one holds the lease, or the run is finished elsewhere."""
    import psutil

    while not is_finished():
        holder = lease.read(folder / "lease.json")
        with suppress(psutil.NoSuchProcess):
            if holder and psutil.Process(holder["pid"]).ppid() == os.getppid():
                break
        time.sleep(poll_seconds)
    yield lease.Lease(folder.path, sha256)


def _record_failure(
    folder: RunFolder, sha256: str, wanted: dict[str, Any], training: Any, error: BaseException
) -> None:
    """Write the state that tables and `semiseg status` show; a full disk must not hide the first error."""
    stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
    if stopped and not _is_first():
        return
    record = training.provenance() if training else _provenance(folder, sha256, wanted)
    known = {"type": type(error).__name__, "message": str(error), "iteration": training.iteration if training else 0}
    record |= {
        "state": "interrupted" if stopped else "failed",
        "spec_sha256": sha256,
        "error": known | getattr(error, "details", {}),
    }
    with suppress(OSError):
        write_json(folder / "record.json", record)


def _provenance(folder: RunFolder, sha256: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """State of a training that failed during its construction."""
    from semiseg.engine.storage import record

    hashes = {"data": wanted["data"], "split": wanted["split"], "spec": sha256}
    return record.provenance(folder.path, wanted["config"]["seed"], hashes)


def _translated(error: BaseException, path: Path) -> BaseException:
    """Messages for errors that a user can fix: full disk, full GPU memory, operation without determinism."""
    from semiseg.engine.storage.checkpoint import is_disk_full

    if not isinstance(error, UserError) and is_disk_full(error):
        return UserError(
            f"the disk of {path} is full; free some space and repeat the command to continue from the last checkpoint"
        )
    if isinstance(error, RuntimeError) and "does not have a deterministic implementation" in str(error):
        return UserError(
            f"{path}: recipe.engine.deterministic is set, but {str(error).split()[0]} has no deterministic algorithm "
            "in this torch; leave it false, or choose a recipe without that operation (docs/engine.md)"
        )
    if type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(
            f"{path}: out of memory at a peak of {_peak_mib():,.0f} MiB; raise recipe.optimiser.accumulate, or lower "
            "recipe.batch or recipe.crop"
        )
    return error


def _peak_mib() -> float:
    torch = sys.modules["torch"]
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    from semiseg.engine.storage.record import resident_peak

    return resident_peak() / 2**20
