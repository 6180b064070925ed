"""The training loop, the same for every method."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from semiseg import methods
from semiseg.base.errors import Interrupted, UserError
from semiseg.base.files import write_json
from semiseg.engine import batch_parts, controls, given_labels
from semiseg.engine.given_labels import GivenLabels
from semiseg.engine.meters import Meters
from semiseg.engine.needed import NeededRun
from semiseg.engine.periodic_evaluation import Judge, spread
from semiseg.engine.step import Step
from semiseg.engine.storage import checkpoint, record, saving
from semiseg.engine.supervision import class_weights, make_criterion
from semiseg.engine.train_state import TrainState
from semiseg.engine.training_progress import Progress
from semiseg.feed.draws import Draws
from semiseg.feed.loader import Loaded, Loader
from semiseg.feed.store import open_store
from semiseg.hardware import distributed
from semiseg.hardware.device import Speed, choose_device, prepare, seed_device
from semiseg.runs.lease import Lease
from semiseg.runs.run_folder import RunFolder
from semiseg.scoring.evaluator import Evaluator
from semiseg.splits.split import Split

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Training:
    """One run, from its configuration to a finished run folder. `run` may be called again after any interruption."""

    def __init__(
        self,
        config: dict[str, Any],
        spec: dict[str, Any],
        spec_sha256: str,
        folder: RunFolder,
        data: Path,
        split: Split,
        lease: Lease,
        say: Callable[[str], None],
        runtime: dict[str, Any],
        needed: Mapping[str, Path] | None = None,
    ) -> None:
        self.config, self.spec, self.spec_sha256 = config, spec, spec_sha256
        self.folder, self.lease, self.runtime = folder, lease, runtime
        self.recipe, self.seed = config["recipe"], config["seed"]
        self.iteration, self.iterations = 0, self.recipe["iterations"]
        self.resumed, self.stop_requested = 0, False
        self.device = choose_device()
        self.speed = Speed(self.recipe["engine"], self.device)
        prepare(self.speed)
        distributed.start(self.device)
        self.say = say if distributed.rank() == 0 else _silent
        self.costs = record.Costs(self.device)
        self.store = open_store(data / "store")
        arguments = (self.store, self.config["evaluation"], self.speed, self.say)
        self.needed = {name: NeededRun(path, *arguments) for name, path in (needed or {}).items()}
        self._open_data(split)
        self.state = TrainState(self.recipe, self.method, len(self.classes), self.seed, self.speed, self.say)
        settings = self.recipe["criterion"]
        labels = (self.store.label(one) for one in split.labelled)
        weights = class_weights(settings["class_weights"], self.classes, labels, self.device)
        self.criterion = make_criterion(settings, weights)
        chosen = self.recipe["batch_norm"]
        self.joint = (self.method.batch_norm if chosen == "official" else chosen) == "joint"
        self.meters = Meters(self.device)

    def _open_data(self, split: Split) -> None:
        self.classes = list(self.store.classes)
        settings = self.config["evaluation"]
        self.method = self._make_method()
        unlabelled = [*split.unlabelled, *self.store.subsets.get("extra", ())]
        if not unlabelled and self.method.needs_unlabelled(self.method.options):
            name = self.config["dataset"]["name"]
            raise UserError(
                f"{self.config['method']['name']} learns from images without labels, but all images of {name} are "
                "labelled; choose fewer labels (docs/own-data.md)"
            )
        labels = self._given_labels(unlabelled)
        self.loader = Loader(
            self.store,
            split.labelled,
            () if not self.method.uses_unlabelled else unlabelled if labels is None else tuple(labels),
            given=labels,
            seed=self.seed,
            batch_labelled=self.recipe["batch"]["labelled"],
            batch_unlabelled=self.recipe["batch"]["unlabelled"],
            crop=tuple(self.recipe["crop"]),
            scale=tuple(self.recipe["augment"]["scale"]),
            flip=self.recipe["augment"]["flip"],
            parts=self.recipe["optimiser"]["accumulate"],
            rank=distributed.rank(),
            world=distributed.world(),
            workers=self.runtime["workers"],
            device=self.device,
        )
        names = dict.fromkeys(name for name in (settings["selected_on"], settings["evaluated_on"]) if name)
        sets = {name: list(self.store.subsets[name]) for name in names}
        groups = {name: [self.store.group(one) for one in ids] for name, ids in sets.items()}
        groups = {name: found for name, found in groups.items() if any(found)}
        self.evaluator = Evaluator(self.store, settings["protocol"], settings["batch"], len(self.classes), self.speed)
        hidden = spread([one for one in split.unlabelled if self.store.has_label(one)], settings["diagnostics"])
        self.judge = Judge(self.evaluator, settings, sets, groups, self.classes, hidden, self.folder.path)
        self.pictures = spread(sets[settings["evaluated_on"]], settings["pictures"])

    def _given_labels(self, unlabelled: list[str]) -> GivenLabels | None:
        """The labels that the needed runs give to the unlabelled images."""
        if self.method.labels(self.needed, ()) is None:
            return None
        ids = sorted(unlabelled)
        return given_labels.given(
            self.folder.path, self.spec_sha256, lambda: self.method.labels(self.needed, ids) or iter(())
        )

    def _make_method(self) -> methods.Method:
        method = methods.of_run(self.config, len(self.classes))
        methods.check(type(method), method.options, method.setting)
        return method

    # ---------------------------------------------------------------- the loop

    def run(self) -> None:
        self._resume()
        heard = self._listen()
        if distributed.rank() == 0:
            saving.write_config(self.folder.path, self.config)
            write_json(self.folder / "record.json", self.provenance() | {"state": "running"})
        progress = Progress(f"{self.folder.path}", self.iterations, self.iteration, self.lease)
        try:
            for batch in self.loader.batches(self.iteration, self.iterations):
                self.step(batch)
                self._report(progress)
                self._keep()
            self._finish()
        finally:
            progress.close()
            for number, handler in heard.items():
                signal.signal(number, handler)
            distributed.stop()

    def step(self, batch: Loaded) -> None:
        """One iteration: losses of the students and of the discriminator, then all updates."""
        # Dropout draws from torch's generator. Seeding it per iteration gives a resumed run the same draws.
        seed_device(self.device, (self.seed * 1_000_003 + self.iteration) * 1009 + distributed.rank())
        self.state.zero_grad()
        parts = self.recipe["optimiser"]["accumulate"]
        for part in range(parts):
            for losses in self.losses(batch, part, parts):
                (sum(losses.values()) / parts).backward()
                self.meters.add({name: loss / parts for name, loss in losses.items()}, self.iteration)
        self.state.move(self.iteration, self.iterations)
        self.state.keep(self.iteration + 1, self.iterations)
        self.meters.steps += 1
        self.iteration += 1

    def losses(self, batch: Loaded, part: int, parts: int) -> Iterator[dict[str, Tensor]]:
        """Losses of a part of the batch: the students', then the discriminator's, each with its own backward pass."""
        piece, labelled, rows = batch_parts.cut(batch, part, parts)
        step = self._as_seen(batch, labelled, rows, part)
        with self.state.auxiliary_at_rest():
            yield self.method.losses(piece, step)
        if self.state.auxiliary is not None:
            yield self.method.auxiliary_losses(piece, step)

    def _as_seen(self, batch: Loaded, labelled: slice, rows: slice, part: int) -> Step:
        """The step that the method gets, for these labelled and unlabelled images."""
        control = self.config["method"]["options"].get("control", "none")
        hidden = self.loader.hidden_labels(batch)[rows] if control == "oracle" else None
        of_all, of_labelled = _among_all(rows), _among_all(labelled)
        return Step(
            iteration=self.iteration,
            iterations=self.iterations,
            students=self.state.students,
            teacher=self.state.teacher,
            auxiliary=self.state.player,
            buffers=self.state.buffers,
            criterion=self.criterion,
            draws=Draws(self.seed, self.iteration, batch.samples_unlabelled[rows], part),
            rows=of_all,
            of_labelled=(Draws(self.seed, self.iteration, batch.samples_labelled[labelled], part), of_labelled),
            joint=self.joint,
            needed=self.needed,
            control=controls.make(control, hidden, of_all),
        )

    # ---------------------------------------------------------------- around a step

    def _report(self, progress: Progress) -> None:
        if self.iteration % self.runtime["log_every"] == 0 or self.iteration == self.iterations:
            losses = self.meters.read()
            progress.loss = sum(losses.values())
            if distributed.rank() == 0:
                seconds = self.costs.so_far()["wall_seconds"]
                rate = self.state.optimiser.lr
                self.judge.log.write(kind="train", iteration=self.iteration, losses=losses, lr=rate, seconds=seconds)
        if self.judge.due(self.iteration, self.iterations):
            last = self.iteration == self.iterations
            progress.miou = self.judge.evaluate(self.iteration, self.state.evaluated, self.method.reports, last)
            self.judge.diagnose(self.iteration, self.method, self.state)
            alarm = self.judge.alarm(self.method.reports, self.iteration, self.iterations)
            if alarm and distributed.rank() == 0:
                self.say(f"{self.folder.path}: warning: {alarm}")
        progress.step(self.iteration)

    def _keep(self) -> None:
        """Write a checkpoint when it is due, or when the training is asked to stop."""
        stop = distributed.agree(self.stop_requested or self.lease.superseded, self.device, self.iteration)
        if stop or self.iteration % self.runtime["checkpoint_every"] == 0:
            self.meters.check()
            if distributed.rank() == 0:
                checkpoint.save(self.folder.path, self._state())
            if stop:
                why = "another configuration of this run is wanted" if self.lease.superseded else "it was asked to"
                raise Interrupted(
                    f"{self.folder.path} stopped at iteration {self.iteration} of {self.iterations} because {why}; "
                    "repeat the command to continue from there"
                )

    def _listen(self) -> dict[int, Any]:
        """Handle the signal that announces a time limit or a preemption: the loop ends at the next iteration.

        Returns the previous handlers.
        """

        def request(number: int, frame: Any) -> None:
            self.stop_requested = True

        return {number: signal.signal(number, request) for number in STOP_SIGNALS}

    def _state(self) -> dict[str, Any]:
        """Everything that the next iteration depends on; data order and augmentations follow from its number."""
        return self.state.state_dict() | {
            "spec_sha256": self.spec_sha256,
            "iteration": self.iteration,
            "meters": self.meters.state(),
            "costs": {key: value for key, value in self.costs.so_far().items() if value is not None},
            "resumed": self.resumed,
        }

    def _resume(self) -> None:
        state = checkpoint.load(self.folder.path, self.spec_sha256)
        if state is not None:
            self.state.load_state_dict(state)
            self.meters.restore(state["meters"])
            self.costs = record.Costs(self.device, state["costs"])
            self.iteration, self.resumed = state["iteration"], state["resumed"] + 1
            self.say(f"{self.folder.path}: goes on from iteration {self.iteration}")
        if distributed.rank() == 0:
            if state is None:  # files here belong to another configuration; its metrics are removed
                checkpoint.discard(self.folder.path)
            self.judge.restart(self.iteration)

    def _finish(self) -> None:
        if distributed.rank() != 0:
            return
        path = self.folder.path
        saving.write_weights(path, self.state.stored, self.state.kept)
        saving.write_predictions(path, self.evaluator, self.state.evaluated, self.method.reports, self.pictures)
        final = {"state": "done", "finished": record.now(), "products": self.folder.products()}
        write_json(self.folder / "record.json", self.provenance() | final)
        self.folder.finish(self.spec, self.spec_sha256)
        checkpoint.discard(path)

    def provenance(self) -> dict[str, Any]:
        hashes = {"data": self.spec["data"], "split": self.spec["split"], "spec": self.spec_sha256}
        return (
            record.provenance(self.folder.path, self.seed, hashes)
            | self.costs.so_far()
            | {
                "error": None,
                "iterations": self.iteration,
                "parameters": self.state.parameters,
                "engine": self.speed.record(),
                "precision": self.speed.precision,
                "start_weights": self.state.start_weights,
                "resumed": self.resumed,
                "spec_sha256": self.spec_sha256,
            }
        )


def _among_all(rows: slice) -> slice:
    """The positions of this process's rows in a tensor that is gathered from all processes."""
    count = rows.stop - rows.start
    first = distributed.rank() * count
    return slice(first, first + count)


def _silent(message: str) -> None:
    """Print in the first process only."""
