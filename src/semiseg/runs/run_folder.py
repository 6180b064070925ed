"""The run folder: the only interface between training, evaluation and report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.base.errors import Interrupted
from semiseg.base.files import peek_json, read_json, sha256_file, write_bytes, write_json

AFFECTS_RESULTS = False

# The outputs of a finished training, which DVC tracks; checkpoints are not outputs.
SHOWN = ("config.yaml", "metrics.jsonl", "evaluations.npz", "predictions.npz")  # the inputs of tables and report
WEIGHTS = "model.safetensors"
PRODUCTS = (*SHOWN, WEIGHTS)


@dataclass(frozen=True)
class RunFolder:
    path: Path
    request: Path | None = None  # file with the driver's request for the run
    asked: str | None = None  # content of the request at the start

    def answering(self, request: Path | None) -> RunFolder:
        """The same folder, for a training that was started by this request."""
        return self if request is None else RunFolder(self.path, request, peek_json(request, "wanted"))

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def spec(self) -> dict[str, Any] | None:
        """The spec of the finished run, or None if the run is not finished."""
        return peek_json(self / "spec.json", "spec")

    @property
    def spec_sha256(self) -> str | None:
        return peek_json(self / "spec.json", "sha256")

    @property
    def complete(self) -> bool:
        return all((self / name).exists() for name in ("spec.json", *self.promised(PRODUCTS)))

    @property
    def source(self) -> str | None:
        """The source of a collected run; None if the run was trained here."""
        return (peek_json(self / "record.json", "collected") or {}).get("source")

    @property
    def without_weights(self) -> bool:
        return not (self / WEIGHTS).exists() and self.source is not None

    def promised(self, names: Iterable[str]) -> tuple[str, ...]:
        """The products that the run should have: a collected run has no weights, and perhaps no pictures."""
        names = tuple(names)
        if all((self / name).exists() for name in names) or self.source is None:
            return names
        came = peek_json(self / "record.json", "products")
        return tuple(name for name in names if name in came)

    @property
    def record(self) -> dict[str, Any] | None:
        path = self / "record.json"
        return read_json(path) if path.exists() else None

    def finish(self, spec: dict[str, Any], sha256: str) -> None:
        """Write spec.json last: its presence means that the run is complete.

        Another driver may be working by now, with another spec in the request. Snakemake considers any file newer than
        the request to be its result, so a training that a previous driver left behind must not write spec.json.
        """
        self._check_still_wanted(sha256)
        write_json(self / "spec.json", {"spec": spec, "sha256": sha256})
        try:
            self._check_still_wanted(sha256)
        except Interrupted:
            (self / "spec.json").unlink()
            raise

    def _check_still_wanted(self, sha256: str) -> None:
        # A driver that started before the list was made could not know the final hash, so the request has another one.
        if self.request and peek_json(self.request, "wanted") not in (self.asked, sha256):
            raise Interrupted(f"{self.path} was trained, but the request has changed since; the result is not kept")

    def recover(self, spec: dict[str, Any], sha256: str) -> bool:
        """Whether the run is finished with this spec; a deleted spec.json is restored.

        Snakemake deletes the outputs of jobs that it considers failed, including finished runs of the same group. The
        record and the hashes of the products show that such a run is finished.
        """
        if self.spec_sha256 == sha256:
            return not self.damage(PRODUCTS)
        record = self.record
        if (self / "spec.json").exists() or not record or record.get("state") != "done":
            return False
        if record.get("spec_sha256") != sha256 or record.get("products") != self.products():
            return False
        self.finish(spec, sha256)
        return True

    def take_over(self, other: RunFolder, spec: dict[str, Any], sha256: str) -> bool:
        """Copy the other folder if it holds the same run."""
        if other.spec_sha256 != sha256 or other.damage(PRODUCTS):
            return False
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (*other.promised(PRODUCTS), "record.json"):
            write_bytes(self / name, (other / name).read_bytes())
        self.finish(spec, sha256)
        return True

    def damage(self, names: Iterable[str]) -> list[str]:
        """The products that are missing or differ from the record's hashes."""
        hashes = peek_json(self / "record.json", "products") or {}
        return [
            name
            for name in self.promised(names)
            if not (self / name).exists() or sha256_file(self / name) != hashes.get(name)
        ]

    def products(self) -> dict[str, str] | None:
        """The sha256 of every product; None for a missing product."""
        paths = [self / name for name in self.promised(PRODUCTS)]
        return {path.name: sha256_file(path) for path in paths} if all(path.exists() for path in paths) else None
