"""Unusual folders: odd names, links and files."""

from __future__ import annotations

import base64
import io
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from semiseg.base.errors import UserError
from semiseg.datasets.checking import check_dataset
from semiseg.datasets.dataset import Dataset, open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.first_look.proposal import look
from semiseg.datasets.reading import coco, polygons
from tests.datasets import dataset_trees as trees

CLASSES = "masks: index\nbackground: ground\nclasses: [ground, water, roof]\n"
SIZE = trees.SIZE
OUTLINE = [[4.0, 2.0], [12.0, 2.0], [12.0, 10.0], [4.0, 10.0]]


def folder(root: Path, names: list[str], classes: str = CLASSES) -> Path:
    for number, name in enumerate(names):
        trees.save(root / "images" / f"{name}.png", trees.rgb(number))
    (root / "masks").mkdir(parents=True)
    (root / "classes.yaml").write_text(classes)
    return root


def opened(root: Path, **options: object) -> Dataset:
    return open_dataset("own", DatasetConfig(kind="folder", data_root=root, **options), root.parent / "data")


def labels(root: Path) -> dict[str, np.ndarray]:
    dataset = opened(root)
    return {one.id: dataset.read_mask(one) for found in dataset.subsets.values() for one in found if one.mask}


def refusal(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        labels(root)
    return str(caught.value)


def labelme(path: Path, *shapes: dict, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": "5.5.0", "shapes": list(shapes), "imageHeight": size[0], "imageWidth": size[1]}
    path.write_text(json.dumps(content))


def shape(label: str, points: list, kind: str = "polygon", **more: object) -> dict:
    return {"label": label, "points": points, "shape_type": kind} | more


def square(k: int = 1) -> np.ndarray:
    expected = np.zeros(SIZE, np.uint8)
    expected[2:10, 4:12] = k
    return expected


def test_names_with_accents_blanks_and_capitals(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a"])
    (root / "images/a.png").unlink()
    for number, name in enumerate(["Grüne Wiese 1", "Grüne Wiese 2"]):
        # A Mac writes the image's name in two signs for ü, the tool that made the mask in one.
        trees.save(root / "images" / f"{unicodedata.normalize('NFD', name)}.JPG", trees.rgb(number))
        trees.save(root / "masks" / f"{unicodedata.normalize('NFC', name)}.PNG", trees.label(number, 3))
    assert sorted(labels(root)) == ["Grüne Wiese 1", "Grüne Wiese 2"]
    (tmp_path / "val.txt").write_text(unicodedata.normalize("NFD", "Grüne Wiese 2") + ".JPG\n")
    assert opened(root, val_list=tmp_path / "val.txt").subsets["val"][0].id == "Grüne Wiese 2"


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path / "elsewhere", ["x/a", "x/b", "c"])
    for number, name in enumerate(["x/a", "x/b", "c"]):
        trees.save(elsewhere / "masks" / f"{name}.png", trees.label(number, 3))
    root = folder(tmp_path / "own", [])
    (root / "images").mkdir()
    for part in ("images", "masks"):
        (root / part / "linked").symlink_to(elsewhere / part / "x")
        (root / part / "c.png").symlink_to(elsewhere / part / "c.png")
        (root / part / "back").symlink_to(root / part)  # a circle
    assert sorted(labels(root)) == ["c", "linked/a", "linked/b"]


@pytest.mark.parametrize("mode", ["grey PNG", "RGB PNG", "RGB TIFF"])
def test_sixteen_bits_become_eight(mode: str, tmp_path: Path) -> None:
    import cv2

    wide = np.random.default_rng(0).integers(0, 65536, (*SIZE, 3), dtype=np.uint16)
    wide = wide if mode.startswith("RGB") else wide[..., 0]
    path = tmp_path / f"a.{'tif' if 'TIFF' in mode else 'png'}"
    cv2.imwrite(str(path), wide)
    from semiseg.datasets.reading.images import read_image

    expected = (wide >> 8).astype(np.uint8)
    expected = expected[..., ::-1] if expected.ndim == 3 else np.repeat(expected[..., None], 3, 2)
    assert np.array_equal(read_image(path), expected)


def smoothed(root: Path, colours: bool) -> np.ndarray:
    """Masks of a disc with smoothed edges; returns the pixels of the disc."""
    y, x = np.mgrid[:64, :64]
    share = np.clip(20 - np.hypot(x - 32, y - 32), 0, 1)
    share = np.where(share == 0.5, 0.4, share)
    for name in ("a", "b"):
        trees.save(root / "images" / f"{name}.png", trees.rgb(0, (64, 64)))
        grey = np.rint(share * 200).astype(np.uint8)
        trees.save(root / "masks" / f"{name}.png", np.stack([grey, grey * 0, grey * 0], -1) if colours else grey)
    return np.rint(share * 200) > 100


@pytest.mark.parametrize("colours", [False, True])
def test_smoothed_edges_are_named_and_refused_unless_tolerated(colours: bool, tmp_path: Path) -> None:
    marks = [{"colour": [0, 0, 0]}, {"colour": [200, 0, 0]}] if colours else [{"value": 0}, {"value": 200}]
    classes = {"masks": "colour" if colours else "index",
               "classes": [{"name": n} | m for n, m in zip("ab", marks, strict=True)]}  # fmt: skip
    root = folder(tmp_path / "own", [], json.dumps(classes))
    disc = smoothed(root, colours)
    sentence = refusal(root)
    assert (
        "labels that are no class" in sentence and "(class 1) at distance" in sentence and "pixels in all" in sentence
    )
    (tolerance,) = [int(word) for word in sentence.split("`tolerance: ")[1].split("`")[:1]]
    (root / "classes.yaml").write_text(json.dumps(classes | {"tolerance": tolerance - 1}))
    assert "labels that are no class" in refusal(root)
    (root / "classes.yaml").write_text(json.dumps(classes | {"tolerance": tolerance}))
    assert np.array_equal(labels(root)["a"], disc)


def test_the_manifest_knows_the_tolerance(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"])
    for name in "ab":
        trees.save(root / "masks" / f"{name}.png", trees.label(0, 3))
    config, seen = DatasetConfig(kind="folder", data_root=root), set()
    for classes in (CLASSES, CLASSES + "tolerance: 1\n", CLASSES.replace("background: ground", "background: roof")):
        (root / "classes.yaml").write_text(classes)
        check_dataset("own", config, tmp_path / "data")
        seen.add(json.loads((tmp_path / "data/own/manifest.json").read_text())["sha256"])
    assert len(seen) == 3


def test_matlab_masks(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"])
    expected = trees.label(0, 3)
    savemat(root / "masks/a.mat", {"labels": expected, "author": "me", "scale": 2.0})
    savemat(root / "masks/b.MAT", {"labels": expected.astype(float)}, do_compression=True)
    found = labels(root)
    assert np.array_equal(found["a"], expected) and np.array_equal(found["b"], expected)
    savemat(root / "masks/a.mat", {"labels": expected, "depth": expected})
    assert "2 matrices of numbers: labels, depth; expected one" in refusal(root)
    savemat(root / "masks/a.mat", {"labels": expected + 0.5})
    assert "holds fractions" in refusal(root)
    (root / "masks/a.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(600))
    assert "version 7.3" in refusal(root)


def test_labelme_beside_the_images_and_among_the_masks(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b", "c"])
    labelme(root / "images/a.json", shape("water", OUTLINE))
    labelme(root / "masks/b.json", shape("roof", [[4, 2], [12, 10]], "rectangle"))
    trees.save(root / "masks/c.png", square(2))
    found = labels(root)
    assert np.array_equal(found["a"], square(1))
    assert np.array_equal(found["b"], square(2)) and np.array_equal(found["c"], square(2))
    labelme(root / "masks/a.json", shape("water", OUTLINE))
    assert "masks of one image" in refusal(root)


def test_shapes_of_labelme(tmp_path: Path) -> None:
    classes = {"ground": 0, "water": 1, "roof": 2}

    def drawn(*shapes: dict) -> np.ndarray:
        labelme(tmp_path / "a.json", *shapes)
        return polygons.decode((tmp_path / "a.json").read_bytes(), "a.json", classes, 0)

    inner = shape("roof", [[6, 4], [8, 4], [8, 6], [6, 6]])
    both = drawn(shape("water", OUTLINE), inner)
    assert (both[4:6, 6:8] == 2).all() and (both == 1).sum() == 60
    assert (drawn(inner, shape("water", OUTLINE)) == square(1)).all(), "later shapes cover earlier ones"
    assert (drawn(shape("ignore", OUTLINE)) == square(255)).all()
    circle = drawn(shape("water", [[16, 12], [16, 20]], "circle"))
    assert abs(int((circle == 1).sum()) - np.pi * 64) < 8
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(buffer, "PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    assert (drawn(shape("water", [[4, 2], [11, 9]], "mask", mask=encoded)) == square(1)).all()
    triangle = drawn(shape("water", [[0, 0], [8, 0], [0, 8]]))
    assert (triangle == 1).sum() == 36 or (triangle == 1).sum() == 28, "centres on the edge count once"
    with pytest.raises(UserError, match="labelled 'watr', which is no class of classes.yaml; did you mean 'water'"):
        drawn(shape("watr", OUTLINE))
    with pytest.raises(UserError, match="shape 1 is a line, which has no area"):
        drawn(shape("water", OUTLINE[:2], "line"))
    with pytest.raises(UserError, match="cannot be read as a circle"):
        drawn(shape("water", OUTLINE[:1], "circle"))


def test_without_a_background_class_what_is_not_covered_is_ignored(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"], "[ground, water]")
    for name in "ab":
        labelme(root / "masks" / f"{name}.json", shape("water", OUTLINE))
    assert np.array_equal(labels(root)["a"], np.where(square(1), 1, 255))


def coco_file(path: Path, names: list[str], annotations: list[dict]) -> None:
    images = [{"id": 7 + k, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for k, name in enumerate(names)]
    categories = [{"id": 3, "name": "water"}, {"id": 5, "name": "roof"}, {"id": 9, "name": "unused"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def annotation(image: int, category: int, segmentation: object, area: float = 1.0) -> dict:
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation, "area": area}


def test_one_coco_file_for_many_images(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["x/a", "x/b", "c", "d"])
    flat = [value for point in OUTLINE for value in point]
    inner = [6, 4, 8, 4, 8, 6, 6, 6]
    counts = [4 * 24 + 2, *([8, 16] * 7), 8, 24 * 32 - (4 * 24 + 2) - 8 * 8 - 16 * 7]
    coco_file(
        root / "masks/instances.json", ["a.png", "x/b.png", "images/c.png", "d.png"],
        [annotation(7, 5, [inner], 4), annotation(7, 3, [flat], 64), annotation(8, 5, [flat]),
         annotation(9, 3, {"size": list(SIZE), "counts": counts})],
    )  # fmt: skip
    found = labels(root)
    assert sorted(found) == ["c", "x/a", "x/b"], "no annotations: not labelled yet"
    assert (found["x/a"][4:6, 6:8] == 2).all() and (found["x/a"] == 1).sum() == 60, "small ones on large ones"
    assert np.array_equal(found["x/b"], square(2)) and np.array_equal(found["c"], square(1))
    written = tmp_path / "data/own/prepared/annotations/x/a.json"
    before = written.stat().st_mtime_ns
    labels(root)
    assert written.stat().st_mtime_ns == before
    coco_file(
        root / "masks/instances.json", ["x/b.png", "c.png"], [annotation(7, 5, [inner]), annotation(8, 5, [inner])]
    )
    assert sorted(labels(root)) == ["c", "x/b"] and not written.exists()
    coco_file(root / "masks/instances.json", ["z.png"], [annotation(7, 5, [inner])])
    assert "lists z.png, which is no image of images/" in refusal(root)
    coco_file(root / "masks/instances.json", ["c.png"], [annotation(7, 5, [])])
    assert "has a box and no outline" in refusal(root)


def test_run_lengths_as_text() -> None:
    # The format's own arithmetic by hand: counts 5, 3, 40 and 1000; the fourth is stored as 1000 - 3.
    mask = coco.run_lengths_decode({"size": [8, 131], "counts": "53X1Uo0"})
    lengths = [5, 3, 40, 1000]
    assert mask.shape == (8, 131) and mask.T.ravel().tolist() == np.repeat([False, True, False, True], lengths).tolist()


JUNK = (None, True, -1, 0, 3.5, float("inf"), 10**20, "", "water", "\u0000", [], [[]], [1], {}, {"a": 1}, [["x", "y"]])


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The paths to all parts of a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in parts for place in places(part, (*path, key)))]


def damaged(content: object, random: np.random.Generator) -> bytes:
    """One part replaced by something else; or the text cut off."""
    content = json.loads(json.dumps(content))
    found = places(content)[1:]
    *way, last = found[random.integers(len(found))]
    target = content
    for key in way:
        target = target[key]
    target[last] = JUNK[random.integers(len(JUNK))]
    text = json.dumps(content).encode()
    return text if random.random() < 0.9 else text[: random.integers(1, len(text))]


def test_damaged_annotations_end_with_a_sentence_or_a_label_map(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labelme(tmp_path / "a.json", shape("water", OUTLINE), shape("roof", [[16, 12], [16, 20]], "circle"),
            shape("water", [[4, 2], [12, 10]], "rectangle"), coco.pasted("roof", square() > 0))  # fmt: skip
    first = json.loads((tmp_path / "a.json").read_text())
    flat = [value for point in OUTLINE for value in point]
    coco_file(tmp_path / "c.json", ["a.png", "b.png"], [
        annotation(7, 3, [flat]), annotation(8, 5, {"size": list(SIZE), "counts": [8, 16, SIZE[0] * SIZE[1] - 24]})
    ])  # fmt: skip
    second, outcomes = json.loads((tmp_path / "c.json").read_text()), set()
    for _ in range(400):
        try:
            label = polygons.decode(damaged(first, random), "a.json", {"ground": 0, "water": 1, "roof": 2}, 0)
            assert label.dtype == np.uint8 and set(np.unique(label)) <= {0, 1, 2, 255}
            (tmp_path / "d.json").write_bytes(damaged(second, random))
            coco.divide(tmp_path / "d.json", {"a", "b"}, tmp_path / "out")
            outcomes.add("read")
        except UserError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("kind", ["labelme", "coco"])
def test_init_proposes_classes_from_shapes(kind: str, tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b", "c"])
    (root / "classes.yaml").unlink()
    if kind == "labelme":
        for name, label in (("a", "water"), ("b", "roof: tiled")):
            labelme(root / "masks" / f"{name}.json", shape(label, OUTLINE))
    else:
        flat = [value for point in OUTLINE for value in point]
        coco_file(root / "masks/all.json", ["a.png", "b.png"], [annotation(7, 3, [flat]), annotation(8, 5, [flat])])
    look(root, lambda _: None)
    dataset = opened(root)
    second = "roof: tiled" if kind == "labelme" else "roof"
    assert dataset.classes == ("background", second, "water")
    assert np.array_equal(labels(root)["a"], square(2))
