"""CorrMatch against its formulas, in float64 and with a loop over rows."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from semiseg import views
from semiseg.models import correlation
from semiseg.views import cutmix
from tests.methods import loop_reference as reference
from tests.methods.conftest import CLASSES, UNLABELLED, NoGradient, StubNetwork, StubStep

OPTIONS = {"threshold": 0.45, "momentum": 0.8, "rows": 12, "width": 8, "cutmix_probability": 1.0}


@pytest.fixture
def step():
    return StubStep(student_eval=NoGradient(StubNetwork(4)))


def exactly(network, pixels):
    """Logits and coarsest features in float64."""
    network = copy.deepcopy(network).double()
    with torch.no_grad():
        features = network.encode(pixels.double())
        return network.decode(features, pixels.shape[-2:]).logits.numpy(), features[-1]


def resized(maps, size):
    maps = torch.as_tensor(maps)
    return nn.functional.interpolate(maps, size, mode="bilinear", align_corners=True).numpy()


def shared(modules, features, logits):
    """q at the size of the logits, and A [B,P,P]."""
    with torch.no_grad():
        projected = copy.deepcopy(modules).double()["projections"](features).numpy()
    small = resized(logits, features.shape[-2:])
    result, maps = np.zeros_like(small), []
    for i, both in enumerate(projected):
        first, second = both.reshape(2, CLASSES, -1)
        scores = np.array([[first[:, a] @ second[:, b] / math.sqrt(CLASSES) for b in range(first.shape[1])]
                           for a in range(first.shape[1])])  # fmt: skip
        table = np.array([reference.softmax(list(row)) for row in scores])
        result[i] = (small[i].reshape(CLASSES, -1) @ table).reshape(small[i].shape)
        maps.append(table)
    return resized(result, logits.shape[-2:]), np.array(maps)


def spread(label, sure, covers, tau):
    """Process the rows one after another, each on the result of the previous rows."""
    label, reached = label.copy(), np.zeros_like(sure)
    for cover in covers:
        voters = [label[place] for place in np.ndindex(label.shape) if cover[place] and sure[place]]
        if not voters or len(voters) / cover.sum() < tau:
            continue
        most = max(sorted(set(voters)), key=voters.count)
        if voters.count(most) / len(voters) > tau:
            label[cover] = most
            reached |= cover
    return label, reached


def covered(table, size, shares, allowed):
    rows = []
    for share in shares:
        row = table[int(share * (len(table) - 1))].reshape(1, 1, size, size)
        row = resized(row, (32, 32))[0, 0]
        rows.append(((row - row.min()) / (row.max() - row.min()) > 0.5) & allowed)
    return rows


def expected(batch, step, o, tau):
    """The losses, and tau after the step."""
    draws, weak = step.draws, batch.unlabelled
    boxes = cutmix.unimatch_boxes(draws, "cutmix", (32, 32), p=o["cutmix_probability"])
    box = cutmix.mask(boxes, (32, 32)).numpy()
    strong = views.photometric(weak, draws, "strong").numpy()
    strong = torch.from_numpy(reference.pasted(strong, reference.before(strong), boxes))
    donor = reference.best(reference.probabilities(step.student_eval.exact(weak)))

    known, of_known = exactly(step.student, batch.image)
    own, of_own = exactly(step.student, weak)
    student, of_student = exactly(step.student, strong)
    known_shared, _ = shared(step.modules, of_known, known)
    own_shared, tables = shared(step.modules, of_own, own)
    student_shared, _ = shared(step.modules, of_student, student)

    p = reference.probabilities(own)
    label, confidence = reference.best(p)
    valid = batch.valid.numpy()
    mixed_label, mixed_confidence, mixed_valid = (
        reference.pasted(mine, reference.before(theirs), boxes)
        for mine, theirs in ((label, donor[0]), (confidence, donor[1]), (valid, valid))
    )
    largest = [
        confidence[mixed_valid & (label == c)].max() for c in range(CLASSES) if (mixed_valid & (label == c)).any()
    ]
    tau = o["momentum"] * tau + (1 - o["momentum"]) * sum(largest) / len(largest)
    sure = mixed_valid & (mixed_confidence >= tau)
    shares = draws.shared("rows", o["rows"]) if o["rows"] else []
    found = [
        spread(mixed_label[i], sure[i], covered(tables[i], 16, shares, mixed_valid[i] & ~box[i]), tau)
        for i in range(UNLABELLED)
    ]
    taught_label, reached = (np.stack(x) for x in zip(*found, strict=True))
    taught, own_sure = reached | sure, valid & (confidence >= tau)

    log_student = np.log(reference.probabilities(student))
    soft = sum(
        sum(p[i, c, y, x] * (math.log(p[i, c, y, x]) - log_student[i, c, y, x]) for c in range(CLASSES))
        for i, y, x in np.ndindex(sure.shape)
        if sure[i, y, x] and (o["soft_in_box"] or not box[i, y, x])
    )
    features = step.student.encode(weak)
    dropped = []
    for k, feature in enumerate(features):
        kept = draws.uniform(f"dropout{k}", feature.shape[1]) >= o["dropout"]
        dropped.append(feature.double() * torch.from_numpy(kept / (1 - o["dropout"]))[:, :, None, None])
    with torch.no_grad():
        lossy = copy.deepcopy(step.student).double().decode(dropped, (32, 32)).logits.numpy()

    def hard(logits):
        return reference.cross_entropy(logits, taught_label, taught, mixed_valid.sum())

    def on_weak(logits):
        return reference.cross_entropy(logits, label, own_sure, valid.sum())

    changed = (taught_label != mixed_label).sum()
    facts = {"changed": changed, "boxed": (sure & box).sum(), "sure": own_sure.mean()}
    return (
        {
            "supervised": 0.25 * reference.supervised(known, batch.label.numpy()),
            "supervised_shared": 0.25 * reference.supervised(known_shared, batch.label.numpy()),
            "hard": 0.5 * o["lambda_hard"] * hard(student),
            "soft": 0.5 * o["lambda_soft"] * soft / mixed_valid.sum(),
            "feature": 0.5 * o["lambda_feature"] * on_weak(lossy),
            "shared": 0.25 * o["lambda_shared"] * (hard(student_shared) + on_weak(own_shared)),
        },
        tau,
        facts,
    )


@pytest.mark.parametrize("changes", [
    {}, {"soft_in_box": False, "lambda_hard": 1.0, "lambda_soft": 0.5, "lambda_feature": 0.4, "lambda_shared": 0.3},
    {"rows": 0}, {"threshold": 0.0, "momentum": 1.0}, {"momentum": 1.0, "threshold": 0.3},
], ids=str)  # fmt: skip
def test_losses_of_two_steps(batch, step, make, changes):
    method = make("corrmatch", **OPTIONS | changes)
    step.buffers = method.buffers()
    options, tau = method.options.model_dump(), method.options.threshold
    for _ in range(2):
        found = reference.values(method.losses(batch, step))
        wanted, tau, facts = expected(batch, step, options, tau)
        assert found == pytest.approx(wanted, rel=1e-4)
        assert float(step.buffers["tau"]) == pytest.approx(tau, rel=1e-5)
    # What a row has reached counts in the cases below whose tau is small: there rows change labels.
    assert facts["boxed"] > 0
    assert facts["changed"] > 0 or tau > 0.1 or not options["rows"]
    assert 0 < facts["sure"] < 0.95


def row_maps(seed, rows=24, side=12, segments=6):
    """Smooth labels and covers that overlap, as correlation maps do."""
    random = np.random.default_rng(seed)
    noise = torch.from_numpy(random.normal(size=(1, CLASSES, 4, 4)))
    label = nn.functional.interpolate(noise, (side, side), mode="bilinear")[0].argmax(0).numpy()
    sure = random.random((side, side)) < 0.9
    at = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    covers = []
    for _ in range(rows):
        centre, radius = random.integers(0, side, 2), random.uniform(1, side / 2)
        covers.append(((at - centre[:, None, None]) ** 2).sum(0) < radius**2)
    return label, sure, np.stack(covers)


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.6, 0.85])
def test_rows_spread_their_label_one_after_another(tau):
    """Several images at once, with overlapping covers, so that each row depends on previous rows."""
    cases = [row_maps(seed) for seed in range(20)]
    label, sure, covers = (torch.from_numpy(np.stack(x)) for x in zip(*cases, strict=True))
    found, reached = correlation.propagate(label, sure, covers, torch.tensor(tau), CLASSES)
    wanted = [spread(*case, tau) for case in cases]
    assert (found.numpy() == np.stack([x for x, _ in wanted])).all()
    assert (reached.numpy() == np.stack([x for _, x in wanted])).all()
    backwards, _ = correlation.propagate(label, sure, covers.flip(1), torch.tensor(tau), CLASSES)
    assert not torch.equal(found, backwards)


def test_nothing_is_reached_where_nobody_is_sure():
    label, _, covers = (torch.from_numpy(x)[None] for x in row_maps(0))
    nobody = torch.zeros_like(label, dtype=torch.bool)
    found, reached = correlation.propagate(label, nobody, covers, torch.tensor(0.0), CLASSES)
    assert torch.equal(found, label) and not reached.any()


def test_the_shared_prediction_has_its_gradient_through_the_correlation_alone():
    generator = torch.Generator().manual_seed(0)
    projections = torch.randn(1, 2 * 3, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(1, 3, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    q, rows = correlation.share(projections, logits)
    q.square().sum().backward()
    assert logits.grad is None and projections.grad.abs().sum() > 0 and not rows.requires_grad
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.autograd.gradcheck(lambda x: correlation.share(x, logits)[0], projections, eps=1e-3, atol=1e-3)
    finally:
        torch.set_default_dtype(torch.float32)


def test_tau_stays_where_every_pixel_is_padding(batch, step, make):
    batch.valid[:] = False
    method = make("corrmatch", **OPTIONS)
    step.buffers = method.buffers()
    losses = method.losses(batch, step)
    assert float(step.buffers["tau"]) == pytest.approx(0.45)
    assert not any(losses[name].any() for name in ("hard", "soft", "feature", "shared"))


def test_only_sure_pixels_are_confident(make):
    method = make("corrmatch", threshold=0.9)
    logits = torch.tensor([[4.0, 0.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    assert method.confident(logits, None, method.buffers()).tolist() == [[[True, False]]]


def test_labels_and_tau_teach_nobody(batch, step, make):
    """The weak view's prediction as label and as target of L_s has no gradient; its own loss terms have one."""
    method = make("corrmatch", **OPTIONS)
    losses = method.losses(batch, step)
    _, own = step.seen
    for name in ("hard", "soft"):
        assert torch.autograd.grad(losses[name], own, retain_graph=True, allow_unused=True) == (None,), name
        for parameter in (*step.student.parameters(), *step.modules.parameters()):
            parameter.grad = None
        losses[name].backward(retain_graph=True)
        assert all(p.grad is None for p in step.modules.parameters()), name
        assert step.student.head.weight.grad.abs().sum() > 0
    losses["shared"].backward()
    assert all(p.grad is not None for p in step.modules.parameters())


def test_the_auxiliary_head_learns_once(batch, step, make):
    """The gradient comes from the labelled images' logits; the shared logits have none."""
    decode, seen = step.student.decode, []

    def with_auxiliary(features, size):
        output = decode(features, size)
        return dataclasses.replace(output, auxiliary=output.logits)

    def supervised(output, label):
        seen.append(output.auxiliary is not None)
        return output.logits.mean()

    step.student.decode, step.supervised = with_auxiliary, supervised
    make("corrmatch", **OPTIONS).losses(batch, step)
    assert sorted(seen) == [False, True]


def test_tau_leaves_out_the_padding_of_the_mixed_image(batch, step, make):
    """As in the code, the weak view's confidence counts where the mixed strong view is not padding."""
    batch.valid[0], batch.valid[1:] = False, True
    method = make("corrmatch", **OPTIONS)
    threshold, seen = method._threshold, []
    method._threshold = lambda pseudo, valid, step: seen.append(valid) or threshold(pseudo, valid, step)
    method.losses(batch, step)
    boxes = cutmix.unimatch_boxes(step.draws, "cutmix", (32, 32), p=1.0)
    mixed = reference.pasted(batch.valid, reference.before(batch.valid), boxes)
    assert (seen[0].numpy() == mixed).all() and (mixed != batch.valid.numpy()).any()
