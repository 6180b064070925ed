"""The one training loop, the same object for every method."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semiseg import methods
from semiseg.data import views
from semiseg.data.draws import Draws
from semiseg.data.loader import Loader
from semiseg.data.splits import Split
from semiseg.data.store import open_store
from semiseg.engine import checkpoint, controls, distributed, ema, optimise, products, record
from semiseg.engine.device import Speed, choose_device, prepare, seed_device
from semiseg.engine.evaluate import Evaluator
from semiseg.engine.judge import Judge, spread
from semiseg.engine.meters import Meters
from semiseg.engine.progress import Progress
from semiseg.engine.step import Step, Student
from semiseg.engine.supervision import make_criterion
from semiseg.errors import Interrupted
from semiseg.files import write_json
from semiseg.models import networks
from semiseg.models.options import NetworkConfig
from semiseg.runs.folder import RunFolder
from semiseg.runs.lease import Lease

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Training:
    """One run, from its configuration to a finished run folder. `run` may be called again after any kind of death."""

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
    ) -> None:
        self.config, self.spec, self.spec_sha256 = config, spec, spec_sha256
        self.folder, self.lease, self.runtime = folder, lease, runtime
        self.recipe, self.seed = config["recipe"], config["seed"]
        self.iteration, self.iterations = 0, self.recipe["iterations"]
        self.resumed, self.stop_requested = 0, False
        self.device = choose_device()
        self.speed = Speed(self.recipe["engine"], self.device)
        prepare(self.device, self.speed.plain)
        distributed.start(self.device)
        self.say = say if distributed.rank() == 0 else _silent
        self.costs = record.Costs(self.device)
        self._open_data(data, split)
        self._build()

    def _open_data(self, data: Path, split: Split) -> None:
        self.store = open_store(data / "store")
        self.classes = list(self.store.classes)
        settings = self.config["evaluation"]
        self.method = self._make_method()
        unlabelled = [*split.unlabelled, *self.store.subsets.get("extra", ())]
        self.loader = Loader(
            self.store,
            split.labelled,
            unlabelled if self.method.uses_unlabelled else (),
            seed=self.seed,
            batch_labelled=self.recipe["batch"]["labelled"],
            batch_unlabelled=self.recipe["batch"]["unlabelled"],
            crop=tuple(self.recipe["crop"]),
            scale=tuple(self.recipe["augment"]["scale"]),
            flip=self.recipe["augment"]["flip"],
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

    def _make_method(self) -> methods.Method:
        kind = methods.load(self.config["method"]["name"])
        options = kind.Options.model_validate(self.config["method"]["options"])
        setting = methods.Setting.of(self.recipe, self.config["dataset"]["kind"], len(self.classes))
        kind.check(options, setting)
        return kind(options, setting)

    def _build(self) -> None:
        """Networks, teacher, second player and their optimisers, all from the seed."""
        torch.manual_seed(self.seed)
        config = NetworkConfig.model_validate(self.recipe["network"])
        built = [networks.build(config, len(self.classes), self.method.head) for _ in range(self.method.networks)]
        built = [self.speed.place(distributed.synchronise_batch_norm(one, self.device)).train() for one in built]
        names = ("student", "second")[: len(built)]
        self.trained: dict[str, nn.Module] = dict(zip(names, built, strict=True))
        self.students = [Student(one, self.speed, self.say) for one in built]
        self.average = self.recipe["ema"]
        teacher = ema.make_teacher(built[0]) if self.average else None
        self.teacher = Student(teacher, self.speed, self.say) if teacher else None
        self.following = ema.Average(teacher, built[0], self.speed.fused) if teacher else None
        self.networks = {"student": built[0], **({"teacher": teacher} if teacher else {})}
        self.optimiser = optimise.build(built, self.recipe["optimiser"], self.speed.fused)
        self.auxiliary = self.method.auxiliary()
        self.auxiliary_optimiser = None
        if self.auxiliary is not None:
            self.auxiliary.to(self.device).train()
            betas = self.method.options.betas_d
            self.auxiliary_optimiser = optimise.build_auxiliary(self.auxiliary, betas, self.speed.fused)
        self.criterion = make_criterion(self.recipe["criterion"])
        self.meters = Meters(self.device)

    # ---------------------------------------------------------------- the loop

    def run(self) -> None:
        self._resume()
        heard = self._listen()
        if distributed.rank() == 0:
            products.write_config(self.folder.path, self.config)
            write_json(self.folder / "record.json", self.provenance() | {"state": "running"})
        progress = Progress(f"{self.folder.path}", self.iterations, self.iteration, self.lease)
        try:
            for batch in self.loader.batches(self.iteration, self.iterations):
                self._step(batch)
                self.iteration += 1
                self._report(progress)
                self._keep()
            self._finish()
        finally:
            progress.close()
            for number, handler in heard.items():
                signal.signal(number, handler)
            distributed.stop()

    def _step(self, batch: Any) -> None:
        """Losses of the students, their update; then the second player's; then the teacher follows."""
        # Dropout and the like draw from torch's generator: keyed, a resumed run draws the same.
        seed_device(self.device, (self.seed * 1_000_003 + self.iteration) * 1009 + distributed.rank())
        self.optimiser.zero_grad()
        if self.auxiliary is not None:
            self.auxiliary_optimiser.zero_grad()
        parts = self.recipe["optimiser"]["accumulate"]
        for part in range(parts):
            piece, step = self._view(batch, part, parts)
            self._freeze_auxiliary(True)
            self._backward(self.method.losses(piece, step), parts)
            self._freeze_auxiliary(False)
            if self.auxiliary is not None:
                self._backward(self.method.auxiliary_losses(piece, step), parts)
        self._update(self.optimiser, self.trained.values(), self.recipe["optimiser"])
        if self.auxiliary is not None:
            options = self.method.options
            settings = {"lr": options.lr_d, "schedule": "poly", "power": options.power_d}
            self._update(self.auxiliary_optimiser, [self.auxiliary], settings)
        if self.average:
            decay = ema.decay_at(self.iteration, self.average["decay"], self.average["warm_start"])
            self.following.update(decay)
        self.meters.steps += 1

    def _view(self, batch: Any, part: int, parts: int) -> tuple[methods.Batch, Step]:
        """The part of the batch that is worked through at once, and the step as its method sees it."""
        labelled = _rows(len(batch.image), part, parts)
        has_unlabelled = batch.unlabelled is not None
        unlabelled = _rows(len(batch.unlabelled), part, parts) if has_unlabelled else slice(0, 0)
        hidden = None
        control = self.config["method"]["options"].get("control", "none")
        if control == "oracle":
            hidden = self.loader.hidden_labels(batch)[unlabelled]
        piece = methods.Batch(
            image=views.to_pixels(batch.image[labelled]),
            label=batch.label[labelled],
            unlabelled=views.to_pixels(batch.unlabelled[unlabelled]) if has_unlabelled else None,
            valid=batch.valid[unlabelled] if has_unlabelled else None,
        )
        count = unlabelled.stop - unlabelled.start
        first = distributed.rank() * count
        step = Step(
            iteration=self.iteration,
            iterations=self.iterations,
            students=self.students,
            teacher=self.teacher,
            auxiliary=self.auxiliary,
            criterion=self.criterion,
            draws=Draws(self.seed, self.iteration, batch.samples_unlabelled[unlabelled]),
            rows=slice(first, first + count),
            control=controls.make(control, hidden),
        )
        return piece, step

    def _backward(self, losses: dict[str, Tensor], parts: int) -> None:
        total = sum(losses.values())
        (total / parts).backward()
        self.meters.add({name: loss / parts for name, loss in losses.items()}, self.iteration)

    def _freeze_auxiliary(self, frozen: bool) -> None:
        """While the students learn from the second player it must not learn itself."""
        if self.auxiliary is not None:
            self.auxiliary.requires_grad_(not frozen)

    def _update(self, optimiser: optimise.Optimiser, modules: Iterable[nn.Module], settings: dict[str, Any]) -> None:
        modules = list(modules)
        distributed.average_gradients(modules)
        if settings.get("clip") is not None:
            nn.utils.clip_grad_norm_([p for module in modules for p in module.parameters()], settings["clip"])
        optimiser.step(settings["lr"] * optimise.factor(self.iteration, self.iterations, settings))

    # ---------------------------------------------------------------- around a step

    def _report(self, progress: Progress) -> None:
        if self.iteration % self.runtime["log_every"] == 0 or self.iteration == self.iterations:
            losses = self.meters.read()
            progress.loss = sum(losses.values())
            if distributed.rank() == 0:
                seconds = self.costs.so_far()["wall_seconds"]
                rate = self.optimiser.lr
                self.judge.log.write(kind="train", iteration=self.iteration, losses=losses, lr=rate, seconds=seconds)
        if self.judge.due(self.iteration, self.iterations) and distributed.rank() == 0:
            progress.miou = self.judge.evaluate(self.iteration, self.networks, self.method.reports)
            self.judge.diagnose(self.iteration, self.method, self.students[0], self.teacher, self.auxiliary)
        progress.step(self.iteration)

    def _keep(self) -> None:
        """A checkpoint when it is time, or when somebody asks the training to stop."""
        stop = distributed.agree(self.stop_requested or self.lease.superseded, self.device, self.iteration)
        if stop or self.iteration % self.runtime["checkpoint_every"] == 0:
            self.meters.check()
            if distributed.rank() == 0:
                checkpoint.save(self.folder.path, self._state())
            if stop:
                why = "another configuration of this run is wanted" if self.lease.superseded else "it was asked to"
                raise Interrupted(
                    f"{self.folder.path} stopped at iteration {self.iteration} of {self.iterations} because {why}; "
                    "the same command goes on from there"
                )

    def _listen(self) -> dict[int, Any]:
        """Slurm announces a time limit or a preemption by a signal: note it, the loop ends at the next iteration.

        Returns what was done at these signals before.
        """

        def request(number: int, frame: Any) -> None:
            self.stop_requested = True

        return {number: signal.signal(number, request) for number in STOP_SIGNALS}

    def _state(self) -> dict[str, Any]:
        """Everything that the next iteration depends on; data order and augmentations follow from its number."""
        state: dict[str, Any] = {
            "spec_sha256": self.spec_sha256,
            "iteration": self.iteration,
            "optimiser": self.optimiser.state_dict(),
            "meters": self.meters.state(),
            "costs": {key: value for key, value in self.costs.so_far().items() if value is not None},
            "resumed": self.resumed,
        }
        state |= {name: network.state_dict() for name, network in {**self.trained, **self.networks}.items()}
        if self.auxiliary is not None:
            state["auxiliary"] = self.auxiliary.state_dict()
            state["auxiliary_optimiser"] = self.auxiliary_optimiser.state_dict()
        return state

    def _resume(self) -> None:
        state = checkpoint.load(self.folder.path, self.spec_sha256)
        if state is not None:
            for name, network in {**self.trained, **self.networks}.items():
                network.load_state_dict(state[name])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.auxiliary is not None:
                self.auxiliary.load_state_dict(state["auxiliary"])
                self.auxiliary_optimiser.load_state_dict(state["auxiliary_optimiser"])
            self.meters.restore(state["meters"])
            self.costs = record.Costs(self.device, state["costs"])
            self.iteration, self.resumed = state["iteration"], state["resumed"] + 1
            self.say(f"{self.folder.path}: goes on from iteration {self.iteration}")
        if distributed.rank() == 0:
            if state is None:  # what lies here is another configuration's, and its metrics go now
                checkpoint.discard(self.folder.path)
            self.judge.restart(self.iteration)

    def _finish(self) -> None:
        if distributed.rank() != 0:
            return
        path = self.folder.path
        products.write_weights(path, {**self.trained, **self.networks})
        products.write_predictions(path, self.evaluator, self.networks, self.method.reports, self.pictures)
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
                "parameters": sum(p.numel() for network in self.trained.values() for p in network.parameters()),
                "precision": "bf16" if self.speed.bf16 else "fp32",
                "resumed": self.resumed,
                "spec_sha256": self.spec_sha256,
            }
        )


def _silent(message: str) -> None:
    """The first process speaks for all."""


def _rows(count: int, part: int, parts: int) -> slice:
    return slice(part * count // parts, (part + 1) * count // parts)
