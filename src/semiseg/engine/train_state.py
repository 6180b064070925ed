"""The networks of a training and their optimisers: students, teacher, and a method's discriminator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from semiseg import methods
from semiseg.engine import ema, optimise, owned
from semiseg.hardware import batch_norm, distributed
from semiseg.hardware.device import Speed
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig
from semiseg.models.student import SecondPlayer, Student


class TrainState:
    """All networks, initialised from the seed.

    trained: networks that the optimiser updates, by name ("student", and "second" for methods with two networks);
    evaluated: "student", and "teacher" if the recipe has one;
    auxiliary: the network that is trained against the students, such as a discriminator, and `player`, which runs it;
    buffers: tensors of the method that persist between steps, by name;
    kept: earlier weights of the student, by name.
    """

    def __init__(
        self,
        recipe: dict[str, Any],
        method: methods.Method,
        classes: int,
        seed: int,
        speed: Speed,
        say: Callable[[str], None],
    ) -> None:
        torch.manual_seed(seed)
        self.optimiser_settings, self.ema_settings, self.options = recipe["optimiser"], recipe["ema"], method.options
        config = NetworkConfig.model_validate(recipe["network"])
        self.start_weights = {"encoder": config.encoder, "from": config.encoder_weights, "sha256": None}
        built = [networks.build(config, classes, method.head) for _ in range(method.networks)]
        self.start_weights["sha256"] = built[0].start_weights
        owned.give(built, method, recipe["crop"])
        built = [speed.place(batch_norm.synchronise(one)).train() for one in built]
        self.trained: dict[str, nn.Module] = dict(zip(("student", "second")[: len(built)], built, strict=True))
        self.students = [Student(one, speed, say) for one in built]
        teacher = ema.make_teacher(built[0]) if self.ema_settings else None
        self.teacher = Student(teacher, speed, say) if teacher else None
        self.following = ema.Average(teacher, built[0], speed.fused) if teacher else None
        self.evaluated = {"student": built[0], **({"teacher": teacher} if teacher else {})}
        self.optimiser = optimise.build(built, self.optimiser_settings, speed.fused)
        self.buffers = owned.make_buffers(method, speed.device)
        self.snapshots, self.kept = method.snapshots, {}
        self.auxiliary = method.auxiliary()
        self.player = self.auxiliary_optimiser = None
        if self.auxiliary is not None:
            speed.place(self.auxiliary).train()
            self.player = SecondPlayer(self.auxiliary, speed, say)
            self.auxiliary_optimiser = optimise.build_auxiliary(self.auxiliary, self.options.betas_d, speed.fused)

    @property
    def stored(self) -> dict[str, nn.Module]:
        """The networks whose weights a run keeps."""
        return {**self.trained, **self.evaluated}

    @property
    def parameters(self) -> int:
        return sum(p.numel() for network in self.trained.values() for p in network.parameters())

    def zero_grad(self) -> None:
        self.optimiser.zero_grad()
        if self.auxiliary is not None:
            self.auxiliary_optimiser.zero_grad()

    @contextmanager
    def auxiliary_at_rest(self) -> Iterator[None]:
        """Freeze the discriminator while the students learn from it."""
        if self.auxiliary is not None:
            self.auxiliary.requires_grad_(False)
        yield
        if self.auxiliary is not None:
            self.auxiliary.requires_grad_(True)

    def move(self, iteration: int, iterations: int) -> None:
        """Update the students, then the discriminator, then the teacher."""

        def rate(settings: dict[str, Any]) -> float:
            return settings["lr"] * optimise.factor(iteration, iterations, settings)

        settings = self.optimiser_settings
        _update(self.optimiser, self.trained.values(), rate(settings), settings.get("clip"))
        if self.auxiliary is not None:
            settings = {"lr": self.options.lr_d, "schedule": "poly", "power": self.options.power_d}
            _update(self.auxiliary_optimiser, [self.auxiliary], rate(settings))
        if self.following:
            self.following.update(ema.decay_at(iteration, self.ema_settings["decay"], self.ema_settings["warm_start"]))

    def keep(self, iteration: int, iterations: int) -> None:
        """Keep copies of the student's weights after the shares of the training that the method names."""
        for number, share in enumerate(self.snapshots, 1):
            if iteration == max(1, round(share * iterations)):
                weights = self.trained["student"].state_dict()
                self.kept[f"snapshot{number}"] = {name: value.cpu().clone() for name, value in weights.items()}

    def state_dict(self) -> dict[str, Any]:
        state = {"optimiser": self.optimiser.state_dict()}
        state |= {name: network.state_dict() for name, network in self.stored.items()}
        state |= {"buffers": self.buffers, "kept": self.kept}
        if self.auxiliary is not None:
            state["auxiliary"] = self.auxiliary.state_dict()
            state["auxiliary_optimiser"] = self.auxiliary_optimiser.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, network in self.stored.items():
            network.load_state_dict(state[name])
        self.kept = state["kept"]
        for name, buffer in self.buffers.items():
            buffer.copy_(state["buffers"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.auxiliary is not None:
            self.auxiliary.load_state_dict(state["auxiliary"])
            self.auxiliary_optimiser.load_state_dict(state["auxiliary_optimiser"])


def _update(optimiser: optimise.Optimiser, modules: Iterable[nn.Module], lr: float, clip: float | None = None) -> None:
    modules = list(modules)
    distributed.average_gradients(modules)
    if clip is not None:
        nn.utils.clip_grad_norm_([p for module in modules for p in module.parameters()], clip)
    optimiser.step(lr)
