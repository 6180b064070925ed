"""Evaluations during a training: scores, diagnostics, and the lines of metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from semiseg.base.errors import UserError
from semiseg.base.files import write_text
from semiseg.engine.train_state import TrainState
from semiseg.hardware import distributed
from semiseg.methods.method import Method
from semiseg.runs.evaluations import Evaluations
from semiseg.scoring.diagnostics import pseudo_labels
from semiseg.scoring.evaluator import Evaluator
from semiseg.scoring.selection import mean_iou


class MetricsLog:
    """metrics.jsonl: one JSON object per line, complete lines only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def restart(self, iteration: int) -> None:
        """Remove the lines after the checkpoint; the resumed training writes them again."""
        lines = self.path.read_text().splitlines() if self.path.exists() and iteration else []
        kept = [line for line in lines if _iteration(line) <= iteration]
        write_text(self.path, "".join(f"{line}\n" for line in kept))

    def write(self, **fields: Any) -> None:
        """Write one line; only the first process writes."""
        if distributed.rank() == 0:
            with self.path.open("a") as stream:
                stream.write(json.dumps(fields) + "\n")


def _iteration(line: str) -> float:
    try:
        return json.loads(line)["iteration"]
    except (ValueError, KeyError):  # incomplete because the process was killed
        return float("inf")


class Judge:
    """Evaluates the networks on the suite's sets and keeps every per-image confusion matrix."""

    def __init__(
        self,
        evaluator: Evaluator,
        settings: dict[str, Any],
        sets: dict[str, list[str]],
        groups: dict[str, list],
        classes: list[str],
        hidden: list[str],
        folder: Path,
    ) -> None:
        self.evaluator, self.settings, self.hidden = evaluator, settings, hidden
        self.sets = sets
        self.log = MetricsLog(folder / "metrics.jsonl")
        self.path = folder / "evaluations.npz"
        self.fresh = lambda: Evaluations(classes, settings["protocol"], sets, groups)
        self.evaluations = self.fresh()

    def restart(self, iteration: int) -> None:
        if iteration >= self.settings["every"] and not self.path.exists():
            raise UserError(
                f"{self.path} is missing, with the evaluations up to iteration {iteration}; delete the checkpoints "
                "beside it to train the run from its beginning"
            )
        self.log.restart(iteration)
        self.evaluations = Evaluations.load(self.path) if iteration and self.path.exists() else self.fresh()
        self.evaluations.drop_after(iteration)

    def due(self, iteration: int, iterations: int) -> bool:
        return iteration == iterations or iteration % self.settings["every"] == 0

    def evaluate(self, iteration: int, networks: dict[str, nn.Module], reported: str, last: bool = False) -> float:
        """mIoU of the reported network on the reported set. The last evaluation also stores all that metrics need.

        The processes share the images, and each gets all results.
        """
        scores = {}
        for name, ids in self.sets.items():
            everything = last and name == self.settings["evaluated_on"]
            for label, network in networks.items():
                counts = self.evaluator.counts(network, ids, everything)
                matrices = counts.pop("confusion")
                self.evaluations.add(iteration, name, label, matrices)
                for kind, values in counts.items():
                    self.evaluations.add_extra(kind, iteration, name, label, values)
                scores[name, label] = miou = mean_iou(matrices.sum(0))
                self.log.write(kind="evaluation", iteration=iteration, set=name, network=label, miou=miou)
        if distributed.rank() == 0:
            self.evaluations.save(self.path)
        return scores[self.settings["evaluated_on"], reported]

    def alarm(self, reported: str, iteration: int, iterations: int) -> str:
        """Print, at the first and at the last evaluation, which classes the network never predicts."""
        if iteration != iterations and len(self.evaluations.iterations) > 1:
            return ""
        name = self.settings["evaluated_on"]
        matrix = self.evaluations.total(name, reported, -1)
        names = [one for one, true, found in zip(self.evaluations.classes, matrix.sum(1), matrix.sum(0), strict=True)
                 if true and not found]  # fmt: skip
        if not names:
            return ""
        cure = "; if that stays so, `criterion: {class_weights: balanced, dice: 0.5}` in the recipe helps rare classes"
        return f"{', '.join(names)} is never predicted on {name} at iteration {iteration}{cure}"

    def diagnose(self, iteration: int, method: Method, state: TrainState) -> None:
        if not self.hidden or not method.uses_unlabelled:
            return
        source = state.teacher if method.needs_teacher and state.teacher else state.students[0]
        auxiliary = state.player and state.player.eager
        found = pseudo_labels(method, source, auxiliary, state.buffers, self.evaluator, self.hidden)
        self.log.write(kind="diagnostics", iteration=iteration, **found)


def spread(ids: list[str], count: int) -> list[str]:
    """`count` ids at equal distances in the list, the same for every method."""
    count = min(count, len(ids))
    return [ids[position * len(ids) // count] for position in range(count)]
