from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.cluster import estimate, resources
from semiseg.cluster.site import Site
from semiseg.params.schema import Params
from semiseg.study.grid import plan
from tests import tiny

RUNTIME = {"workers": 3, "short_minutes": 10}


def config(gpus: int = 0, **recipe) -> dict:
    """Resources of a small training, or of a training on GPUs."""
    run = plan(Params.model_validate(tiny.params({"fixmatch": {}}))).runs[0]
    found = copy.deepcopy(run.config)
    if gpus:
        network = {"architecture": "deeplab_v3plus", "encoder": "resnet101"}
        found["recipe"]["network"] |= network
        found["recipe"] |= {"gpus": gpus, "crop": [321, 321], "iterations": 40_000}
        found["recipe"]["batch"] = {"labelled": 8, "unlabelled": 8}
    found["recipe"] |= recipe
    return found


def test_a_recipe_for_the_cpu_asks_for_no_gpu_and_travels_in_a_group():
    asked = resources.of(config(), RUNTIME, Site(gpu_model="a100", partition="gpu", cpu_partition="cpu"))
    assert (asked.gpus, asked.cpus, asked.short, asked.partition, asked.gpu_model) == (0, 1, True, "cpu", None)


def test_a_recipe_for_gpus_goes_alone_to_theirs():
    asked = resources.of(config(2), RUNTIME, Site(gpu_model="a100", partition="gpu", cpu_partition="cpu"))
    assert (asked.gpus, asked.cpus, asked.short, asked.partition, asked.gpu_model) == (2, 8, False, "gpu", "a100")


def test_memory_grows_with_the_attempt_up_to_what_a_node_has():
    asked = resources.of(config(), RUNTIME, Site())
    first = asked.memory_mib
    assert [asked.memory(attempt, Site()) for attempt in range(1, 6)] == [first * n for n in (1, 2, 3, 4, 4)]
    assert asked.memory(3, Site(max_memory_mib=2 * first)) == 2 * first
    assert asked.memory(1, Site(max_memory_mib=500)) == first


def test_main_memory_follows_from_what_is_held_in_it():
    def asked(gpus, runtime=RUNTIME, **recipe):
        return resources.of(config(gpus, **recipe), runtime, Site()).memory_mib

    few, many = ({"labelled": count, "unlabelled": count} for count in (8, 32))
    usual = asked(1)
    assert 5_000 < usual < 12_000, "a tenth of a node's for one of its eight devices, and no less than CUDA itself"
    assert asked(1, crop=[801, 801], batch=many) > asked(1, crop=[801, 801], batch=few) > usual, "batches on their way"
    assert asked(1, {**RUNTIME, "workers": 11}, crop=[801, 801]) > asked(1, crop=[801, 801])
    small = {**config(1)["recipe"]["network"], "encoder": "resnet50"}
    assert asked(1, network=small) < usual, "weights and checkpoints"
    assert 1.5 * usual < asked(2) < 2 * usual, "each process has its own CUDA, and both share the pages of the store"
    assert asked(0, crop=[256, 256]) > asked(0)


def test_whole_images_are_evaluated_whatever_the_crop():
    city, usual = config(1), config(1)
    city["dataset"]["kind"] = "cityscapes"
    for one in (city, usual):
        one["evaluation"]["batch"] = 16
    assert resources.of(city, RUNTIME, Site()).memory_mib > resources.of(usual, RUNTIME, Site()).memory_mib


def test_a_time_limit_makes_sittings_not_longer_jobs():
    free, tight = (resources.of(config(1), RUNTIME, Site(max_minutes=limit)) for limit in (None, 60))
    assert tight.minutes == 60
    assert (tight.attempts - resources.RETRIES) * 60 >= free.minutes
    assert free.attempts == 1 + resources.RETRIES


def test_a_whole_group_fits_under_the_time_limit():
    site = Site(max_minutes=60, group_size=16)
    asked = resources.of(config(), RUNTIME, site)
    assert asked.short and asked.minutes * site.group_size <= 60


def test_a_slower_site_asks_for_more():
    usual, slower = (resources.of(config(1), RUNTIME, Site(time_factor=factor)) for factor in (1, 2))
    assert slower.minutes > 1.9 * usual.minutes


@given(
    iterations=st.integers(1, 200_000), gpus=st.integers(0, 4), crop=st.integers(16, 1024), limit=st.integers(1, 3000)
)
def test_requests_are_possible_ones(iterations, gpus, crop, limit):
    asked = resources.of(config(gpus, iterations=iterations, crop=[crop, crop]), RUNTIME, Site(max_minutes=limit))
    assert 1 <= asked.minutes <= limit
    assert asked.cpus >= 1 and asked.memory_mib >= 500 and asked.attempts >= 3
    seconds = int(asked.notice.split("@")[1])
    assert 0 < seconds <= asked.minutes * 30


def test_more_arithmetic_takes_longer():
    base = estimate.run_seconds(config(1))
    assert estimate.run_seconds(config(1, iterations=80_000)) > 1.5 * base
    assert estimate.run_seconds(config(1, crop=[801, 801])) > 3 * base
    assert estimate.run_seconds(config(2)) < base
    assert estimate.run_seconds(config(1), "h100") < estimate.run_seconds(config(1), "v100")


def test_cps_costs_twice_a_teacher():
    fixmatch, cps = config(1), config(1)
    cps["method"] = {"name": "cps", "options": {}}
    assert estimate.step_gflops(cps) > estimate.step_gflops(fixmatch)


def test_an_uncounted_network_is_said_to_be_one():
    recipe = config(1)["recipe"]["network"]
    assert estimate.network(recipe).counted
    other = estimate.network(recipe | {"encoder": "tu-unheard_of"})
    assert not other.counted and other.gflops_per_megapixel == estimate.network(recipe).gflops_per_megapixel


def test_the_networks_of_all_suites_are_counted():
    from semiseg.params.loading import load

    root = Path(__file__).parents[2]
    for name, suite in load(root / "params.yaml").suites.items():
        assert estimate.network(suite.recipe.network.model_dump()).counted, name


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (64, 64)),
        ({"architecture": "dpt", "encoder": "tiny_vit"}, (128, 192)),
        ({"architecture": "dpt", "encoder": "tu-vit_small_patch14_dinov2.lvd142m"}, (518, 518)),
    ],
)
def test_the_counted_figure_is_what_torch_counts_today(settings, size, monkeypatch):
    """Count some rows of the table again, at other sizes, so that the table stays consistent with the networks."""
    import torch
    from timm.layers import config as fused
    from torch.utils.flop_counter import FlopCounterMode

    from semiseg.models import networks
    from semiseg.models.network_config import NetworkConfig

    monkeypatch.setattr(fused, "_USE_FUSED_ATTN", 0)  # the counter knows products of matrices
    config = NetworkConfig(**settings)
    device = torch.device("meta" if settings else "cpu")
    with device:
        network = networks.build(config, 21).eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *size, device=device))
    found = estimate.network(config.model_dump())
    assert found.counted
    assert counter.get_total_flops() / 1e9 == pytest.approx(found.gflops(size[0] * size[1] / 1e6), rel=0.02)
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    assert parameters == pytest.approx(found.million_parameters, abs=0.01)


def test_attention_grows_with_the_square_of_the_image_and_a_window_bounds_it():
    vit = {**config(1)["recipe"]["network"], "architecture": "dpt", "encoder": "tu-vit_base_patch14_dinov2.lvd142m"}
    assert estimate.network(vit).gflops(1.0) > 2.2 * estimate.network(vit).gflops(0.5)
    whole = config(1, network=vit)
    whole["dataset"]["kind"] = "cityscapes"
    sliding = copy.deepcopy(whole)
    sliding["evaluation"]["protocol"] |= {"name": "sliding", "size": [798, 798], "stride": 1.0}
    saved = 1 - estimate.evaluation_seconds(sliding) / estimate.evaluation_seconds(whole)
    assert 0.3 < saved < 0.6, "2 megapixels at once have three times the attention of windows of 0.6"


def test_the_tiny_transformer_needs_no_gpu():
    network = {**config()["recipe"]["network"], "architecture": "dpt", "encoder": "tiny_vit"}
    assert estimate.gpus(config(network=network)) == 0
    assert estimate.gpus(config(network=network | {"encoder": "tu-vit_small_patch14_dinov2.lvd142m"})) == 1


def test_the_memory_of_a_gpu():
    """All trained images of a step are in memory together; GPUs share them, and parts of a batch come one by one."""
    from semiseg.cluster import gpu_memory

    base = config(1)
    needed = gpu_memory.mib(base)
    assert gpu_memory.mib(config(1, crop=[801, 801])) > 3 * needed
    assert gpu_memory.mib(config(2)) < 0.7 * needed
    assert gpu_memory.mib(config(1, network=base["recipe"]["network"] | {"encoder": "tu-unheard_of"})) is None
    parts = copy.deepcopy(base)
    parts["recipe"]["optimiser"]["accumulate"] = 2
    assert gpu_memory.mib(parts) < 0.7 * needed
