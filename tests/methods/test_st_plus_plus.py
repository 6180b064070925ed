"""ST++'s students against the formula in float64; tests/engine/test_needed.py tests how labels are made."""

from __future__ import annotations

import pytest
import torch

from semiseg import views
from semiseg.views import cutmix
from tests.methods import loop_reference as reference
from tests.methods.conftest import CLASSES, SIZE, UNLABELLED


def boxes(step, probability=1.0):
    return cutmix.unimatch_boxes(step.draws, "cutout", (SIZE, SIZE), p=probability)


def expected(batch, step, probability):
    strong = views.photometric(batch.unlabelled, step.draws, "strong").numpy()
    noise = torch.from_numpy(step.draws.uniform("noise", 3, high=255.0)).float()[:, :, None, None]
    strong = reference.pasted(strong, noise.expand(-1, -1, SIZE, SIZE).numpy(), boxes(step, probability))
    box = cutmix.mask(boxes(step, probability), (SIZE, SIZE)).numpy()
    given = batch.given.numpy()
    known = (given != 255) & batch.valid.numpy() & ~box
    return {
        "supervised": 0.5 * reference.supervised(step.student.exact(batch.image), batch.label.numpy()),
        "given": 0.5 * reference.cross_entropy(step.student.exact(torch.from_numpy(strong)), given, known, known.sum()),
    }


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_losses(batch, step, make, probability, joint):
    step.joint = joint
    batch.given[0, :5] = 255  # as where a person has labelled, or nobody could
    losses = make("st_plus_plus", cutout_probability=probability).losses(batch, step)
    assert reference.values(losses) == pytest.approx(expected(batch, step, probability), rel=1e-5)


@pytest.mark.parametrize("where", ["padding", "box", "no label"])
def test_what_has_no_label_teaches_nothing(batch, step, make, where):
    """A changed label inside a box has no effect; outside it has."""
    method = make("st_plus_plus", cutout_probability=1.0)
    batch.given[batch.given == 255] = 0
    places = {
        "padding": ~batch.valid,
        "box": cutmix.mask(boxes(step), (SIZE, SIZE)) & batch.valid,
        "no label": torch.zeros_like(batch.valid),
    }
    places["no label"][2, 10:20] = True
    place = places[where]
    assert place.any()

    def loss():
        return float(method.losses(batch, step)["given"].detach())

    before, given = loss(), batch.given.clone()
    if where == "no label":
        batch.given[place] = 255
        assert loss() == pytest.approx(expected(batch, step, 1.0)["given"], rel=1e-5) != before
        return
    batch.given[place] = (given[place] + 1) % CLASSES
    assert loss() == before
    batch.given[:] = (given + 1) % CLASSES
    assert loss() != before


def test_labels_go_through_the_door_of_the_controls(batch, step, make):
    """Given labels pass through `step.targets` as certain predictions, and its result is used."""
    method = make("st_plus_plus", cutout_probability=0.0)
    batch.given[:] = 1
    before = float(method.losses(batch, step)["given"].detach())
    [seen] = step.seen
    assert seen.shape == (UNLABELLED, CLASSES, SIZE, SIZE)
    assert (seen.argmax(1) == 1).all() and seen.softmax(1).amax(1).min() > 0.999
    step.replace = lambda logits: logits.roll(1, 1)
    assert float(method.losses(batch, step)["given"].detach()) != before
