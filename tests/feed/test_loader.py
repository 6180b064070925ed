from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from semiseg.base.errors import UserError
from semiseg.feed.draws import Draws
from semiseg.feed.loader import Loader
from semiseg.feed.store import build, open_store

SIZES = [(40, 50), (30, 64), (70, 44), (24, 20), (48, 48)]
LABELLED = [f"image-{i:02d}" for i in range(5)]
UNLABELLED = [f"image-{i:02d}" for i in range(5, 18)]


@dataclass(frozen=True)
class Sample:
    id: str
    image: str
    mask: str | None
    group: None = None


class Dataset:
    """Labels are a function of the red channel, so that image and label can be compared after any geometry."""

    name, classes, palette = "made", ("a", "b"), ((0, 0, 0), (1, 1, 1))

    def __init__(self, path) -> None:
        path.write_bytes(b"source")
        ids = LABELLED + UNLABELLED
        self.subsets = {"train": tuple(Sample(id_, path, path if id_ != "image-17" else None) for id_ in ids)}

    def read_image(self, sample):
        number = int(sample.id[-2:])
        generator = np.random.default_rng(number)
        height, width = SIZES[number % len(SIZES)]
        blocks = generator.integers(0, 2, (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)[:height, :width]
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image[:, :, 0] = 40 + 160 * blocks
        return image

    def read_mask(self, sample):
        return (self.read_image(sample)[:, :, 0] > 100).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    build(Dataset(folder / "source"), folder / "store")
    return open_store(folder / "store")


def make(store, **changes) -> Loader:
    settings = {"seed": 3, "batch_labelled": 4, "batch_unlabelled": 6, "crop": (32, 40), "scale": (0.5, 2.0)}
    return Loader(store, LABELLED, UNLABELLED, **(settings | changes))


def same(a, b) -> bool:
    return all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else np.array_equal(x, y)
        for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )


def test_shapes_and_types(store):
    batch = make(store).batch(0)
    assert batch.image.shape == (4, 3, 32, 40) and batch.image.dtype == torch.uint8
    assert batch.label.shape == (4, 32, 40) and batch.label.dtype == torch.int64
    assert batch.unlabelled.shape == (6, 3, 32, 40)
    assert batch.valid.shape == (6, 32, 40) and batch.valid.dtype == torch.bool
    assert batch.samples_unlabelled.tolist() == list(range(6))


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_and_resume_do_not_change_a_batch(store, workers):
    plain = make(store)
    ahead = list(make(store, workers=workers).batches(0, 9))
    assert [b.iteration for b in ahead] == list(range(9))
    assert all(same(plain.batch(b.iteration), b) for b in ahead)
    resumed = list(make(store, workers=workers).batches(5, 9))
    assert all(same(a, b) for a, b in zip(ahead[5:], resumed, strict=True))


def test_processes_share_the_global_batch(store):
    whole = make(store).batch(7)
    parts = [make(store, rank=rank, world=2).batch(7) for rank in range(2)]
    for name in ("image", "label", "unlabelled", "valid"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    assert parts[0].ids_unlabelled + parts[1].ids_unlabelled == whole.ids_unlabelled
    positions = np.concatenate([part.samples_unlabelled for part in parts])
    np.testing.assert_array_equal(positions, whole.samples_unlabelled)


def test_seed_iteration_and_list_decide_and_the_list_order_does_not(store):
    batch = make(store).batch(1)
    assert not same(make(store, seed=4).batch(1), batch)
    assert not same(make(store).batch(2), batch)
    other = Loader(
        store, LABELLED[::-1], UNLABELLED[::-1], seed=3, batch_labelled=4, batch_unlabelled=6, crop=(32, 40),
    )  # fmt: skip
    assert same(other.batch(1), batch)


def test_every_epoch_shows_every_image_once_in_another_order(store):
    seen = [id_ for batch in make(store).batches(0, 13) for id_ in batch.ids_unlabelled]
    epochs = [seen[i * 13 : (i + 1) * 13] for i in range(6)]
    assert all(sorted(epoch) == UNLABELLED for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_two_visits_of_an_image_are_cropped_differently(store):
    loader = Loader(store, LABELLED[:1], (), seed=0, batch_labelled=2, batch_unlabelled=0, crop=(16, 16))
    first, second = loader.batch(0).image
    assert not torch.equal(first, second)


def test_label_follows_its_image(store):
    for batch in make(store, scale=(0.7, 2.0)).batches(0, 4):
        red, known = batch.image[:, 0].float(), batch.label != 255
        assert known.any() and not known.all()
        assert (batch.label[known & (red < 41)] == 0).all()
        assert (batch.label[known & (red > 199)] == 1).all()


def test_valid_marks_the_padding(store):
    batch = make(store).batch(0)
    padding = (batch.unlabelled == torch.tensor([124, 116, 104], dtype=torch.uint8)[:, None, None]).all(1)
    assert (~batch.valid).any()
    assert padding[~batch.valid].all()
    assert padding[batch.valid].float().mean() < 0.01


class Watched:
    """A store that notes whose label is read."""

    def __init__(self, store) -> None:
        self.store, self.read = store, []

    def label(self, id_):
        self.read.append(id_)
        return self.store.label(id_)

    def __getattr__(self, name):
        return getattr(self.store, name)


def test_no_label_of_an_unlabelled_image_is_read(store):
    watched = Watched(store)
    loader = make(watched)
    batches = list(loader.batches(0, 10))
    assert set(watched.read) == set(LABELLED)
    loader.hidden_labels(batches[0])
    assert set(watched.read) & set(UNLABELLED)


def test_hidden_labels_have_the_geometry_of_the_weak_view(store):
    loader = make(store, scale=(0.7, 2.0))
    for batch in loader.batches(0, 4):
        hidden = loader.hidden_labels(batch)
        masked = torch.tensor([id_ != "image-17" for id_ in batch.ids_unlabelled])
        assert torch.equal((hidden != 255)[masked], batch.valid[masked])
        assert (hidden[~masked] == 255).all()
        red, known = batch.unlabelled[:, 0].float(), hidden != 255
        assert (hidden[known & (red < 41)] == 0).all()
        assert (hidden[known & (red > 199)] == 1).all()


def test_full_labels_have_no_unlabelled_batch(store):
    batch = Loader(store, LABELLED, (), seed=0, batch_labelled=2, batch_unlabelled=6, crop=(8, 8)).batch(0)
    assert batch.unlabelled is None and batch.valid is None and batch.ids_unlabelled == ()
    assert len(Draws(0, 0, batch.samples_unlabelled)) == 0


def test_what_cannot_be_trained_is_said_at_once(store):
    with pytest.raises(UserError, match="no labelled image"):
        Loader(store, (), UNLABELLED, seed=0, batch_labelled=2, batch_unlabelled=2, crop=(8, 8))
    with pytest.raises(UserError, match="recipe.batch.unlabelled is 6"):
        make(store, world=4)


def test_an_error_in_a_worker_reaches_the_caller(store):
    def fail(id_):
        raise UserError(f"{id_} is gone")

    broken = Watched(store)
    broken.image = fail
    with pytest.raises(UserError, match="is gone"):
        list(make(broken, workers=2).batches(0, 3))


def test_a_loop_that_is_left_early_ends_its_workers(store):
    batches = make(store, workers=2).batches(0, 10**6)
    assert next(batches).iteration == 0
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]
