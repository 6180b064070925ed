"""Every method's step under bf16 autocast on a pretended GPU: one device, matching types, and no number read."""

from __future__ import annotations

import copy
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.utils.flop_counter import FlopCounterMode

from semiseg import methods
from semiseg.bench.pretended_gpu import GPU, Alive, PretendedTraining, pretend
from semiseg.cluster import estimate, gpu_memory
from semiseg.engine.supervision import make_criterion
from semiseg.methods.supervised import Supervised
from tests.engine.conftest import METHODS, NETWORK
from tests.forked import forked

pytestmark = pytest.mark.pretended_gpu
MASK = {name: NETWORK[name] for name in ("queries", "decoder_layers", "mask_width")}
NETWORKS = {
    "small": NETWORK,
    "deeplab_v3plus": {"architecture": "deeplab_v3plus", "encoder": "tu-test_resnet", "auxiliary_head": True} | MASK,
    "deeplab_v2": {"architecture": "deeplab_v2", "encoder": "tu-test_resnet", "output_stride": 8} | MASK,
    "fpn": {"architecture": "fpn", "encoder": "tu-test_efficientnet"} | MASK,
    "dpt": {"architecture": "dpt", "encoder": "tiny_vit"} | MASK,
}
CRITERIA = ({"name": "cross_entropy", "dice": 1.0}, {"name": "ohem", "min_kept": 100}, {"name": "boundary_relaxed"})
HEADS = {"pixel": {}, "mask": {"head": "mask"}}


def switches(method: str) -> list[dict[str, Any]]:
    """Each option that is a switch, a choice or a loss's weight, in its other positions; and the named variants."""
    loaded = methods.load(method)
    found = [dict(variant) for variant in loaded.variant_names.values()]
    for name, field in loaded.Options.model_fields.items():
        kind = field.annotation
        if kind is bool:
            found.append({name: not field.default})
        elif get_origin(kind) is Literal:
            found += [{name: value} for value in get_args(kind) if value != field.default]
        elif name.startswith(("lambda_", "cutmix_probability")):
            found.append({name: 0.0})
    return [one for one in found if one]


def check(method: str, options: dict[str, Any], **recipe: Any) -> PretendedTraining:
    training = PretendedTraining(method, METHODS[method] | options, **recipe)
    training.steps(2)  # the second one meets what the first has remembered
    for name, network in training.state.trained.items():
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        assert gradients, f"nothing has taught the {name}"
        assert {(gradient.device, gradient.dtype) for gradient in gradients} == {(GPU, torch.float32)}
    return training


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_every_method(method):
    """With the arithmetic and the memory that `semiseg plan` supposes."""

    def work():
        with pretend():
            training = check(method, {}, network={"architecture": "small"})
            with FlopCounterMode(display=False) as counter, Alive() as alive:
                training.steps()
        config = training.config | {"split": {"partition": None}}
        planned = estimate.step_gflops(config) + estimate.player_gflops(config)
        # A first layer has no gradient to hand on, and a backward pass is then less than twice a forward pass.
        assert 0.9 < planned / (counter.get_total_flops() / 1e9) < 1.25
        assert 0.5 < 2**20 * gpu_memory.mib(config) / alive.most < 2

    forked(work)


@pytest.mark.parametrize("head", HEADS)
def test_a_step_with_a_transformer_and_adamw(head):
    def work():
        with pretend():
            check(
                "supervised", HEADS[head], network=NETWORKS["dpt"], optimiser={"name": "adamw", "lr": 1e-3, "clip": 1}
            )

    forked(work)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_switch(method):
    def work():
        with pretend():
            for options in switches(method):
                print(method, options, flush=True)
                check(method, options, network=NETWORK)

    forked(work)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_method_and_criterion_with_a_network(network):
    """All methods in one child: torch describes the network's operations once, which takes longer than the steps."""

    def work():
        with pretend():
            for method in METHODS:
                print(method, network, flush=True)
                training = check(method, {}, network=NETWORKS[network], criterion=CRITERIA[0])
                if methods.load(method).head == "mask":
                    continue  # a mask head has a criterion of its own
                for criterion in CRITERIA[1:]:
                    print(method, network, criterion, flush=True)
                    training.criterion = make_criterion(training.recipe["criterion"] | criterion)
                    training.steps()
            check("supervised", HEADS["mask"], network=NETWORKS[network])

    forked(work)


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "small"])
@pytest.mark.parametrize("method", METHODS)
def test_every_switch_with_a_network(method, network):
    def work():
        with pretend():
            for options in switches(method):
                print(method, options, network, flush=True)
                check(method, options, network=NETWORKS[network])

    forked(work)


def test_what_counts_as_a_switch():
    assert {"symmetric": False} in switches("imas") and {"control": "oracle"} in switches("imas")
    assert {"discriminator": "non_fcn"} in switches("advsemiseg") and {"lambda_semi": 0} in switches("advsemiseg")


def on_the_host(output, label):
    return output.logits.float().sum((0, 1, 2)) @ torch.ones(output.logits.shape[3])


def of_two_types(output, label):
    return (output.features @ torch.ones(output.features.shape[3], 1, device=output.features.device)).sum()


def read(output, label):
    total = output.logits.float().sum()
    return total * (total.detach().item() > 0)


def branched(output, label):
    total = output.logits.float().sum()
    return total if total.detach() > 0 else -total


def chosen_by_a_mask(output, label):
    return output.logits.float()[:, 0][label == 1].sum()


FAULTS = {
    on_the_host: (RuntimeError, "same device"),
    of_two_types: (RuntimeError, "same dtype"),
    read: (DataDependentOutputException, "_local_scalar_dense"),
    branched: (DataDependentOutputException, "_local_scalar_dense"),
    chosen_by_a_mask: (DynamicOutputShapeException, "nonzero"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_method_is_found(fault, monkeypatch):
    kind, says = FAULTS[fault]
    monkeypatch.setattr(
        Supervised, "losses", lambda self, batch, step: {"loss": fault(step.student(batch.image), batch.label)}
    )

    def work():
        with pretend(), pytest.raises(kind, match=says):
            PretendedTraining("supervised", {}, network=NETWORK).steps()

    forked(work)


def test_a_copied_network_keeps_the_mode_of_its_tensors():
    """A copy of the mode would copy its weak references, which ends the process sooner or later."""

    def work():
        with pretend() as mode:
            assert copy.deepcopy(torch.zeros(2, device=GPU)).fake_mode is mode

    forked(work)


def test_networks_compute_in_bf16():
    def work():
        with pretend():
            training = PretendedTraining("supervised", {}, network=NETWORK)
            output = training.state.students[0](torch.zeros(2, 3, 56, 56, device=GPU))
            assert (output.features.dtype, output.features.device) == (torch.bfloat16, GPU)

    forked(work)
