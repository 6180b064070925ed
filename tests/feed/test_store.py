from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.feed import store as store_module
from semiseg.feed.store import build, open_store


@dataclass(frozen=True)
class Sample:
    id: str
    image: Path
    mask: Path | None
    group: str | None = None


@dataclass
class Dataset:
    subsets: dict[str, tuple[Sample, ...]]
    name: str = "made"
    classes: tuple[str, ...] = ("sky", "road")
    palette: tuple[tuple[int, int, int], ...] = ((0, 0, 0), (9, 9, 9))
    decoded: list[str] = field(default_factory=list)

    def read_image(self, sample):
        self.decoded.append(sample.id)
        return np.asarray(Image.open(sample.image).convert("RGB"))

    def read_mask(self, sample):
        return np.asarray(Image.open(sample.mask))


def make(root: Path, count: int = 6, unlabelled: int = 2) -> Dataset:
    root.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    samples = []
    for i in range(count):
        height, width = 20 + i % 7, 31 - i % 7
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(root / f"{i}.png")
        mask = None
        if i >= unlabelled:
            mask = root / f"{i}-mask.png"
            Image.fromarray(generator.integers(0, 2, (height, width), dtype=np.uint8)).save(mask)
        samples.append(Sample(f"image-{i}", root / f"{i}.png", mask, f"group-{i % 2}"))
    return Dataset({"extra": tuple(samples[:unlabelled]), "train": tuple(samples[unlabelled:])})


def test_views_equal_the_sources(tmp_path):
    dataset = make(tmp_path / "raw")
    build(dataset, tmp_path / "store", threads=3)
    store = open_store(tmp_path / "store")
    assert store.subsets == {name: tuple(s.id for s in subset) for name, subset in dataset.subsets.items()}
    assert store.group("image-3") == "group-1"
    for sample in sum(dataset.subsets.values(), ()):
        image = dataset.read_image(sample)
        np.testing.assert_array_equal(store.image(sample.id), image)
        assert store.size(sample.id) == image.shape[:2]
        assert store.has_label(sample.id) == (sample.mask is not None)
        if sample.mask is not None:
            np.testing.assert_array_equal(store.label(sample.id), dataset.read_mask(sample))
    assert not store.image("image-2").flags.writeable


def test_index_names_the_hash_of_every_source(tmp_path):
    dataset = make(tmp_path / "raw")
    build(dataset, tmp_path / "store")
    index = json.loads((tmp_path / "store/index.json").read_text())
    entries = index["samples"].values()
    hashes = {entry[kind]["sha256"] for entry in entries for kind in ("image", "mask") if kind in entry}
    assert hashes == {store_module.files.sha256_file(path) for path in (tmp_path / "raw").iterdir()}


def test_missing_mask_unknown_id_and_missing_store_are_user_errors(tmp_path):
    build(make(tmp_path / "raw"), tmp_path / "store")
    store = open_store(tmp_path / "store")
    with pytest.raises(UserError, match="image-0 .* has no mask"):
        store.label("image-0")
    with pytest.raises(UserError, match="nobody"):
        store.image("nobody")
    with pytest.raises(UserError, match="semiseg data prepare NAME"):
        open_store(tmp_path / "elsewhere")


def test_nothing_is_decoded_twice_until_a_source_changes(tmp_path):
    dataset = make(tmp_path / "raw")
    build(dataset, tmp_path / "store")
    dataset.decoded.clear()
    build(dataset, tmp_path / "store")
    os.utime(tmp_path / "raw/3.png", ns=(5, 5))
    build(dataset, tmp_path / "store")
    assert dataset.decoded == []
    assert json.loads((tmp_path / "store/index.json").read_text())["samples"]["image-3"]["image"]["mtime_ns"] == 5

    changed = 255 - dataset.read_image(dataset.subsets["train"][1])
    Image.fromarray(changed).save(tmp_path / "raw/3.png")
    dataset.decoded.clear()
    build(dataset, tmp_path / "store")
    assert len(dataset.decoded) == 6
    np.testing.assert_array_equal(open_store(tmp_path / "store").image("image-3"), changed)


@pytest.mark.parametrize("change", [{"classes": ("sky", "street")}, {"name": "other"}])
def test_a_changed_definition_rebuilds(tmp_path, change):
    dataset = make(tmp_path / "raw")
    build(dataset, tmp_path / "store")
    other = replace(dataset, decoded=[], **change)
    build(other, tmp_path / "store")
    assert len(other.decoded) == 6


def test_a_build_that_dies_leaves_no_store(tmp_path):
    dataset = make(tmp_path / "raw")
    build(dataset, tmp_path / "store")
    (tmp_path / "raw/4.png").write_bytes(b"not an image")
    with pytest.raises(OSError):
        build(dataset, tmp_path / "store")
    with pytest.raises(UserError, match="no complete store"):
        open_store(tmp_path / "store")


def test_a_truncated_file_is_noticed_and_rebuilt(tmp_path):
    dataset = make(tmp_path / "raw")
    build(dataset, tmp_path / "store")
    os.truncate(tmp_path / "store/labels.bin", 10)
    with pytest.raises(UserError, match="no complete store"):
        open_store(tmp_path / "store")
    build(dataset, tmp_path / "store")
    open_store(tmp_path / "store").label("image-5")


def test_images_without_any_mask(tmp_path):
    build(make(tmp_path / "raw", count=2, unlabelled=2), tmp_path / "store")
    assert not open_store(tmp_path / "store").has_label("image-1")


def test_two_images_of_one_name_and_a_mask_of_another_size(tmp_path):
    dataset = make(tmp_path / "raw")
    twin = replace(dataset.subsets["train"][0], image=tmp_path / "raw/5.png")
    with pytest.raises(UserError, match="two images called image-2"):
        build(replace(dataset, subsets=dataset.subsets | {"val": (twin,)}), tmp_path / "store")
    small = replace(dataset.subsets["train"][0], mask=tmp_path / "raw/5-mask.png")
    with pytest.raises(UserError, match="26x25, its image 29x22"):
        build(replace(dataset, subsets={"val": (small,)}), tmp_path / "store")


def _build_and_count(raw: Path, store: Path, queue, barrier) -> None:
    dataset = make_existing(raw)
    barrier.wait(30)
    build(dataset, store)
    queue.put(len(dataset.decoded))


def make_existing(raw: Path) -> Dataset:
    ids = sorted(int(path.stem) for path in raw.glob("*.png") if "mask" not in path.stem)
    return Dataset({"train": tuple(Sample(f"image-{i}", raw / f"{i}.png", None) for i in ids)})


def test_two_processes_that_prepare_at_once_decode_once(tmp_path):
    make(tmp_path / "raw", count=40, unlabelled=40)
    context = multiprocessing.get_context("spawn")
    queue, barrier = context.Queue(), context.Barrier(2)
    arguments = (tmp_path / "raw", tmp_path / "store", queue, barrier)
    processes = [context.Process(target=_build_and_count, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    counts = sorted(queue.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert counts == [0, 40]
    assert len(open_store(tmp_path / "store").subsets["train"]) == 40
