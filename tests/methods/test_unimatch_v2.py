"""UniMatch V2 against its formulas, in float64 and pixel by pixel, and its dropout of channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semiseg import views
from semiseg.feed.draws import Draws
from semiseg.methods import load
from semiseg.models import networks
from semiseg.models.network_config import NetworkConfig
from semiseg.views import cutmix
from tests.methods import loop_reference as reference
from tests.methods.conftest import CLASSES, UNLABELLED, NoGradient, StubNetwork, StubStep

TAU = 0.7  # between the stub teacher's confidences, so that pixels fall on both sides
STREAMS = {5: ("dropout1/5", "dropout2/5"), 6: ("dropout1/6", "dropout2/6")}  # of the stub's two feature maps


def kept(step, channels: int, dropout: str) -> np.ndarray:
    """[2, B, C]: the factors of the two views' features, from the formulas."""
    whole = step.draws.permutation("whole", UNLABELLED) < UNLABELLED // 2
    assert whole.sum() == UNLABELLED // 2
    found = np.ones((2, UNLABELLED, channels))
    draws = [step.draws.uniform(stream, channels) for stream in STREAMS[channels]]
    for i, c in np.ndindex(UNLABELLED, channels):
        if dropout == "none" or whole[i]:
            continue
        m = 1.0 if draws[0][i, c] >= 0.5 else 0.0
        other = 1.0 - m if dropout == "complementary" else (1.0 if draws[1][i, c] >= 0.5 else 0.0)
        found[0, i, c], found[1, i, c] = 2.0 * m, 2.0 * other
    return found


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("dropout", ["complementary", "independent", "none"])
def test_losses(batch, step, make, dropout, joint):
    step.joint = joint
    size, valid = batch.unlabelled.shape[-2:], batch.valid.numpy()
    label, confidence = reference.best(reference.probabilities(step.teacher.exact(batch.unlabelled)))
    assert 0.05 < (confidence >= TAU).mean() < 0.95
    expected = {"supervised": 0.5 * reference.supervised(step.student.exact(batch.image), batch.label.numpy())}
    for k in (1, 2):
        boxes = cutmix.unimatch_boxes(step.draws, f"cutmix{k}", size, p=0.5)
        strong = views.photometric(batch.unlabelled, step.draws, f"strong{k}").numpy()
        mixed = reference.pasted(strong, reference.before(strong), boxes)
        maps = [reference.pasted(one, reference.before(one), boxes) for one in (label, confidence, valid)]
        features = step.student.encode(torch.from_numpy(mixed))
        factors = [torch.from_numpy(kept(step, one.shape[1], dropout)[k - 1])[:, :, None, None] for one in features]
        with torch.no_grad():
            dropped = [(one * factor).float() for one, factor in zip(features, factors, strict=True)]
            logits = step.student.decode(dropped, size).logits.double().numpy()
        loss = reference.cross_entropy(logits, maps[0], (maps[1] >= TAU) & maps[2], maps[2].sum())
        expected[f"strong{k}"] = 0.5 * 0.5 * loss
    losses = make("unimatch_v2", confidence=TAU, dropout=dropout).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected, rel=1e-5)
    assert len({round(value, 8) for value in expected.values()}) == 3


def factors(make, step, channels: int, **options) -> torch.Tensor:
    """[2, B, C]"""
    feature = torch.ones(2 * UNLABELLED, channels, 3, 3)
    return make("unimatch_v2", **options)._kept(feature, step).view(2, UNLABELLED, channels)


def test_the_views_keep_what_the_other_one_loses(make, step):
    first, second = factors(make, step, 384)
    dropped = (first != 1).all(1)
    assert dropped.sum() == UNLABELLED // 2 and torch.equal(dropped, (second != 1).all(1))
    assert torch.equal(first + second, torch.full_like(first, 2.0))
    assert set(first[dropped].unique().tolist()) == {0.0, 2.0}
    assert 0.4 < (first[dropped] == 0).float().mean() < 0.6
    assert torch.equal(first[~dropped], torch.ones_like(first[~dropped]))
    one, other = first[dropped]
    assert not torch.equal(one, other), "each image has its own mask"


def test_maps_of_one_size_share_their_mask_and_others_do_not(make, step):
    assert torch.equal(factors(make, step, 384), factors(make, step, 384))
    fine, coarse = factors(make, step, 64)[0], factors(make, step, 128)[0]
    assert not torch.equal(fine, coarse[:, :64])


def test_the_share_of_dropped_images_is_of_the_whole_batch(make, step):
    assert (factors(make, step, 8, dropped_images=0.0) == 1).all()
    assert (factors(make, step, 8, dropped_images=1.0) != 1).all()
    halves = [StubStep(draws=Draws(11, 5, range(20 + r, 22 + r)), rows=slice(r, r + 2)) for r in (0, 2)]
    parts = []
    for half in halves:
        parts.append(make("unimatch_v2")._kept(torch.ones(4, 8, 1, 1), half).view(2, 2, 8))
    assert torch.equal(torch.cat(parts, 1), factors(make, step, 8))


def test_labelled_features_keep_all_channels(batch, step, make):
    """Whatever is dropped, the labelled loss is the one of plain training, in a joint pass too."""
    plain = 0.5 * step.supervised(step.student(batch.image), batch.label)
    for step.joint in (True, False):
        losses = make("unimatch_v2", dropped_images=1.0).losses(batch, step)
        torch.testing.assert_close(losses["supervised"], plain)


def test_the_teacher_labels_and_the_student_does_not(batch, step, make):
    def forbidden(pixels):
        raise AssertionError("the teacher labels")

    step.student_eval = forbidden
    method = make("unimatch_v2", confidence=0.5)
    before = reference.values(method.losses(batch, step))
    step.teacher = NoGradient(StubNetwork(77))
    after = reference.values(method.losses(batch, step))
    assert after["supervised"] == before["supervised"]
    assert after["strong1"] != before["strong1"] and after["strong2"] != before["strong2"]
    assert method.reports == "teacher" and load("unimatch_v2").needs_teacher


ENCODERS = {
    "small": NetworkConfig(width=4),
    "resnet": NetworkConfig(architecture="deeplab_v3plus", encoder="resnet18"),
    "transformer": NetworkConfig(architecture="dpt", encoder="tiny_vit"),
}


@pytest.mark.parametrize("config", ENCODERS.values(), ids=ENCODERS)
def test_on_any_encoder_every_parameter_learns(batch, make, config):
    torch.manual_seed(0)
    network = networks.build(config, CLASSES).train()
    step = StubStep(student=network)
    losses = make("unimatch_v2", confidence=0.3).losses(batch, step)
    sum(losses[name] for name in ("strong1", "strong2")).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle
