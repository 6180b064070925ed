"""Networks in torch's tracer, without a GPU: one graph, and no recompilation after a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from semiseg.hardware import batch_norm
from semiseg.hardware.device import Speed
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig
from semiseg.params import loading
from tests.engine.conftest import METHODS, SGD, build, prepared, train_steps
from tests.engine.test_plain import FAST, with_compilation
from tests.forked import forked

__all__ = ["build", "prepared"]

# The architectures of the shipped suites; a smaller ResNet has the blocks of a larger one.
NETWORKS = [
    ({"architecture": "small"}, "pixel"),
    ({"architecture": "small"}, "mask"),
    ({"architecture": "deeplab_v3plus", "encoder": "tu-resnet18"}, "pixel"),
    ({"architecture": "deeplab_v3plus", "encoder": "tu-resnet18", "auxiliary_head": True}, "pixel"),
    ({"architecture": "deeplab_v3plus", "encoder": "tu-mobilenetv2_100"}, "pixel"),
    ({"architecture": "deeplab_v3plus", "encoder": "tu-resnet18"}, "mask"),
    ({"architecture": "deeplab_v2", "encoder": "tu-resnet18", "output_stride": 8}, "pixel"),
    ({"architecture": "fpn", "encoder": "tu-mobilenetv2_100"}, "pixel"),
    ({"architecture": "dpt", "encoder": "tiny_vit"}, "pixel"),
]
PARAMS = Path(__file__).parents[2] / "params.yaml"
TRACED_WHOLE = NETWORKS[:2]  # in seconds; the others are slow


def test_every_architecture_of_the_shipped_suites_is_traced():
    shipped = loading.load(PARAMS).suites.values()
    wanted = {(suite.recipe.network.architecture, suite.recipe.network.auxiliary_head) for suite in shipped}
    assert wanted <= {(one["architecture"], one.get("auxiliary_head", False)) for one, _ in NETWORKS}


@pytest.mark.parametrize(
    ("settings", "head"),
    [pytest.param(*one, marks=() if one in TRACED_WHOLE else pytest.mark.slow) for one in NETWORKS],
)
def test_a_forward_pass_is_one_graph(settings, head):
    def work():
        network = networks.build(NetworkConfig(**settings), 5, head)
        found = torch._dynamo.explain(network.forward)(torch.rand(2, 3, 64, 64))
        assert (found.graph_break_count, found.graph_count) == (0, 1), found.break_reasons

    forked(work)


@pytest.mark.parametrize(
    "method", [pytest.param(one, marks=() if one == "fixmatch" else pytest.mark.slow) for one in METHODS]
)
def test_nothing_is_compiled_again_after_the_second_step(method, build, monkeypatch):
    from torch._dynamo.utils import counters

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend="eager", **options))
    monkeypatch.setattr(Speed, "__init__", with_compilation(Speed.__init__))

    def work():
        torch._dynamo.config.fail_on_recompile_limit_hit = True  # else the rest runs eagerly without a word
        training = build(method, engine=FAST, optimiser=SGD)
        train_steps(training, 2)
        before = counters["stats"]["unique_graphs"]
        train_steps(training, 2)
        assert before > 0 and counters["stats"]["unique_graphs"] == before
        assert training.speed.compiles, training.speed.eager_because

    forked(work)


def test_statistics_over_processes_are_compiled_as_part_of_the_one_graph():
    import torch.distributed as dist
    from torch._dynamo.utils import counters
    from torch.testing._internal.distributed.fake_pg import FakeStore

    def work():
        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
        network = batch_norm.synchronise(networks.build(NetworkConfig(architecture="small"), 5)).train()
        images = torch.rand(2, 3, 64, 64)
        found = torch._dynamo.explain(network.forward)(images)
        assert (found.graph_break_count, found.graph_count) == (0, 1), found.break_reasons
        torch._dynamo.reset()
        counters.clear()
        forward = torch.compile(network.forward, backend="aot_eager", dynamic=False)
        for _ in range(3):
            forward(images).logits.mean().backward()
            assert counters["stats"]["unique_graphs"] == 1

    forked(work)
