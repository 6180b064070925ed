from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from semiseg.base.errors import UserError
from semiseg.datasets.dataset import Sample, open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.first_look.proposal import look
from semiseg.datasets.kinds.folder import divide
from semiseg.datasets.reading.classes import ClassesFile
from semiseg.datasets.verdict import check
from semiseg.params.schema import Suite
from semiseg.study.suite_proposal import blocks, recommended
from tests.datasets import dataset_trees as trees

INDEX_CLASSES = "masks: index\nclasses: [{name: ground}, {name: water}, {name: roof, colour: [9, 8, 7]}]\n"


def folder(root: Path, labelled: list[str], unlabelled: list[str] = (), classes: str = INDEX_CLASSES) -> Path:
    for number, name in enumerate([*labelled, *unlabelled]):
        trees.save(root / "images" / f"{name}.png", trees.rgb(number))
        if name in labelled:
            trees.save(root / "masks" / f"{name}.png", trees.label(number, 3))
    (root / "classes.yaml").write_text(classes)
    return root


def open_folder(root: Path, **options: object):
    return open_dataset("own", DatasetConfig(kind="folder", data_root=root, **options), root.parent / "data")


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        open_folder(root, **options)
    return str(caught.value)


NAMES = [f"tile{t}/part{p}" for t in range(5) for p in range(4)]


def test_images_without_masks_are_the_extra_pool(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", NAMES, ["more/1", "more/2"])
    (root / "images" / ".hidden.png").write_bytes(b"")
    (root / "images" / "notes.txt").write_text("no image")
    dataset = open_folder(root)
    sizes = {subset: len(samples) for subset, samples in dataset.subsets.items()}
    assert sizes == {"train": 16, "val": 4, "extra": 2}
    assert dataset.classes == ("ground", "water", "roof")
    assert dataset.palette == ((0, 0, 0), (128, 0, 0), (9, 8, 7))
    sample = dataset.subsets["val"][0]
    assert np.array_equal(dataset.read_mask(sample), trees.label(NAMES.index(sample.id), 3))
    assert "extra" not in open_folder(root, extra=False).subsets


def test_groups_are_never_split(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", NAMES, ["tile0/x", "tile1/x", "tile2/x", "tile3/x", "tile4/x"])
    dataset = open_folder(root, group_pattern=r"^(tile\d)", val_share=0.2, test_share=0.2, split_seed=3)
    groups = {subset: {sample.group for sample in samples} for subset, samples in dataset.subsets.items()}
    assert len(groups["val"]) == len(groups["test"]) == 1
    assert not groups["train"] & groups["val"] | groups["train"] & groups["test"] | groups["val"] & groups["test"]
    # An unlabelled image of a tile that val or test holds would leak its looks.
    assert groups["extra"] == groups["train"]
    assert dataset.notes[-1] == "2 images without a mask are left out: their groups are in val or test"


@given(share=st.floats(0.05, 0.9), seed=st.integers(0, 99), sizes=st.lists(st.integers(1, 5), min_size=3, max_size=9))
def test_shares_are_kept_as_far_as_groups_allow(share: float, seed: int, sizes: list[int]) -> None:
    samples = [Sample(f"g{g}_{k}", Path(), Path(), f"g{g}") for g, size in enumerate(sizes) for k in range(size)]
    config = DatasetConfig(kind="folder", val_share=share, split_seed=seed)
    wanted = max(1, round(share * len(samples)))
    try:
        subsets = divide(samples, config)
    except UserError:
        assert wanted > len(samples) - max(sizes)
        return
    assert len(subsets["val"]) >= 1
    assert abs(len(subsets["val"]) - wanted) < max(sizes)
    assert len(subsets["train"]) + len(subsets["val"]) == len(samples)
    assert divide(samples[::-1], config)["val"] == subsets["val"][::-1]


def test_groups_that_leave_nothing_to_train_on_are_answered(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a_1", "a_2", "a_3"])
    assert "take every labelled image; lower val_share" in refusal(root, group_pattern="^a")


def test_lists_choose_val_and_test(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", NAMES)
    (tmp_path / "val.txt").write_text("# my choice\ntile0/part0\nimages/tile0/part1.png\n")
    (tmp_path / "test.txt").write_text("tile4/part3\n")
    lists = {"val_list": tmp_path / "val.txt", "test_list": tmp_path / "test.txt"}
    dataset = open_folder(root, **lists)
    assert [sample.id for sample in dataset.subsets["val"]] == ["tile0/part0", "tile0/part1"]
    assert [sample.id for sample in dataset.subsets["test"]] == ["tile4/part3"]
    assert "the group tile0 is in train and in val" in refusal(root, **lists, group_pattern=r"tile\d")
    (tmp_path / "test.txt").write_text("tile0/part0\n")
    assert "already in val" in refusal(root, **lists)
    (tmp_path / "test.txt").write_text("tile9/part0\n")
    assert "lists tile9/part0, which is no image with a mask" in refusal(root, **lists)


def test_mixed_formats_and_sizes(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"])
    trees.save(root / "images" / "c.JPG", trees.rgb(3, (40, 24)))
    trees.save(root / "masks" / "c.tiff", trees.label(3, 3, (40, 24)).astype(np.uint16))
    trees.save(root / "images" / "d.webp", np.dstack([trees.rgb(4), trees.rgb(5)[..., 0]]))
    trees.save(root / "masks" / "d.png", trees.label(4, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    trees.save(root / "images" / "e.jpeg", trees.rgb(5), exif=exif)
    trees.save(root / "masks" / "e.png", trees.label(5, 3, trees.SIZE[::-1]))
    dataset = open_folder(root)
    shapes = {}
    for samples in dataset.subsets.values():
        for sample in samples:
            assert dataset.read_image(sample).shape[:2] == dataset.read_mask(sample).shape
            shapes[sample.id] = dataset.read_mask(sample).shape
    assert shapes == {"a": (24, 32), "b": (24, 32), "c": (40, 24), "d": (24, 32), "e": (32, 24)}


def test_wrong_folders_are_answered(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    assert "semiseg data init" in refusal(tmp_path / "own")
    root = folder(tmp_path / "own", ["a"])
    assert "train and val need a labelled image each; images with a mask: 1" in refusal(root)
    trees.save(root / "images" / "a.jpg", trees.rgb(0))
    assert "have the same stem" in refusal(root)
    (root / "images" / "a.jpg").unlink()
    trees.save(root / "masks" / "a_mask.png", trees.label(0, 3))
    assert "masks: a_mask has no image with the same name" in refusal(root)
    trees.save(root / "masks" / "b_mask.png", trees.label(0, 3))
    assert "masks: a_mask, b_mask have no image with the same name" in refusal(root)
    (root / "masks" / "b_mask.png").unlink()
    (root / "masks" / "a_mask.png").unlink()
    assert "does not match the image a" in refusal(root, group_pattern="tile")
    assert "needs a validation set" in refusal(root, val_share=0)
    (root / "masks" / "a.png").unlink()
    assert "holds no mask" in refusal(root)
    (root / "images" / "a.png").unlink()
    assert "holds no image" in refusal(root)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("masks: index\n", "`classes` is missing; write for example `classes: [{name: soil, value: 0}"),
        ("masks: both\nclasses: [{name: a}, {name: b}]\n", "`masks` is 'both'; write for example `masks: index`"),
        ("masks: index\nclasses: [{name: a}]\n", "`classes` has 1 entry; between 2"),
        ("masks: index\nclasses: [{name: a}, {name: a}]\n", "the name a occurs twice"),
        ("masks: index\nclasses: [{name: a, value: 1}, {name: b}]\n", "the value 1 occurs twice"),
        ("masks: index\nclasses: [{name: a}, {name: b}]\nignore: [1]\n", "the value 1 occurs twice"),
        ("masks: index\nclasses: [{name: a}, {name: b}]\nignore: [[1, 2, 3]]\n", "ignore holds a colour"),
        ("masks: colour\nclasses: [{name: a}, {name: b}]\n", "every class needs its colour"),
        (
            "masks: colour\nclasses: [{name: a, colour: [1, 2, 300]}, {name: b}]\n",
            "`colour` of class 1 of the list is 300; write for example `{name: crop, colour",
        ),
        ("masks: index\nclasses: [{name: a}, {name: b}]\ncolour: 1\n", "`colour` is an unknown key"),
        ("masks: [\n", "is not valid YAML"),
        ("- a\n", "`classes` has 1 entry; between 2 and 255 are possible; write for example `classes: ["),
        ("masks: index\nclasses: []\n", "`classes` has 0 entries; between 2"),
        (
            "masks: colour\nclasses: [{name: a, colour: [0, 0]}, b]\n",
            "`colour` of class 1 of the list is [0, 0]; write for example `{name: crop, colour",
        ),
        (
            "masks: colour\nclasses: [{name: a, colour: [0, 0, 1, 2]}, b]\n",
            "`colour` of class 1 of the list is [0, 0, 1, 2]; write for example `{name: crop, colour",
        ),
        ("masks: index\nmasks: colour\nclasses: [a, b]\n", "is not valid YAML (the key 'masks' stands twice"),
        ("[1]: 2\n", "is not valid YAML (a key is a list or a mapping"),
        ("[2024-13-01, b]\n", "is not valid YAML (month must be in 1..12)"),
        (
            "masks: index\nclases: [a, b]\n",
            "`clases` is an unknown key; did you mean 'classes'? Write for example `classes: [{name: soil, value: 0}",
        ),
        ("masks: index\nclasses: [a, b]\n3: 3\n", "`3` is an unknown key; valid: background, classes"),
        (
            "[true, b]\n",
            "class 1 of the list is true, but a name is text; write 'true' in quotes, for example `{name: '",
        ),
        ("[2024-01-01, b]\n", "class 1 of the list is 2024-01-01, but a name is text"),
        (
            "masks: index\nclasses: [a, {name: 3}]\n",
            "`name` of class 2 of the list is 3, but a name is text; write '3' in quotes, for example `{name: '3'}`",
        ),
        ("", "holds empty, expected keys and lists such as\nmasks: index"),
        ("soil\n", "holds 'soil', expected keys"),
        (
            "masks: colour\nclasses: [{name: a, colour: green}, {name: b}]\n",
            "`colour` of class 1 of the list is 'green'",
        ),
        ("masks: index\nclasses: [a, b]\nignore: 255\n", "`ignore` is 255; write for example `ignore: [255]"),
        ("masks: index\nclasses: [a, b]\nbackground: c\n", "background is 'c', which is no class"),
        (
            "masks: index\nclasses: [{name: a, valu: 1}, b]\n",
            "`valu` of class 1 of the list is an unknown key; did you",
        ),
        ("masks: index\nclasses: a, b\n", "`classes` is 'a, b'; write for example `classes: ["),
    ],
)
def test_wrong_classes_files_are_answered(text: str, sentence: str, tmp_path: Path) -> None:
    assert sentence in refusal(folder(tmp_path / "own", ["a", "b"], classes=text))


def test_bare_names_and_web_colours_are_accepted(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"], classes="[ground, water, roof]")
    assert open_folder(root).classes == ("ground", "water", "roof")
    (root / "classes.yaml").write_text("[yes, no, off]")
    assert open_folder(root).classes == ("yes", "no", "off"), "text, as in params.yaml"
    file = ClassesFile.model_validate({"masks": "index", "classes": ["a", {"name": "b", "colour": "#0aFF80"}]})
    assert file.classes[1].colour == (10, 255, 128)


def test_a_binary_mask_of_0_and_255_has_two_classes_and_no_ignored_pixels() -> None:
    file = ClassesFile.model_validate({"masks": "index", "classes": [{"name": "a"}, {"name": "b", "value": 255}]})
    assert (file.index_values(), file.ignored_values()) == ([0, 255], [])


def proposed(root: Path) -> tuple[dict, dict, list[str]]:
    said: list[str] = []
    found = look(root, said.append)
    return yaml.safe_load(found.classes), blocks(found, "cpu", None), said


@pytest.mark.parametrize("unlabelled", [[], ["more"]])
def test_init_proposes_classes_and_a_suite_that_is_valid(unlabelled: list[str], tmp_path: Path) -> None:
    root = folder(tmp_path / "My tiles", NAMES, unlabelled)
    (root / "classes.yaml").unlink()
    classes, suite, said = proposed(root)
    assert classes["masks"] == "index"
    assert [entry["value"] for entry in classes["classes"]] == [0, 1, 2]
    assert classes["ignore"] == [255]
    assert any("replace the names" in line for line in said)
    config = DatasetConfig.model_validate(suite["datasets"]["my_tiles"])
    dataset = open_dataset("my_tiles", config, tmp_path)
    assert len(dataset.classes) == 3
    assert list(suite["suites"]) == ["my_tiles_try", "my_tiles_final"]
    tried, final = (Suite.model_validate(one) for one in suite["suites"].values())
    assert tried.recipe.crop == (32, 32) and tried.seeds == (0, 1, 2)
    assert tried.splits.partitions == (("1/2", "full") if unlabelled else ("1/4", "1/2", "full"))
    assert list(tried.methods) == ["supervised", *recommended()]
    assert list(final.methods) == (recommended()[:1] if unlabelled else ["supervised"])
    assert final.recipe.iterations > tried.recipe.iterations


def test_init_keeps_what_is_there(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"])
    _, _, said = proposed(root)
    assert (root / "classes.yaml").read_text() == INDEX_CLASSES
    assert any("ground, water, roof" in line for line in said)


def test_init_sees_colours_palettes_and_binary_masks(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"])
    (root / "classes.yaml").unlink()
    colours = np.array([[60, 16, 152], [132, 41, 246], [155, 155, 155]], np.uint8)
    for number, name in enumerate(["a", "b"]):
        trees.save(root / "masks" / f"{name}.png", colours[trees.label(number, 3) % 3])
    classes, _, _ = proposed(root)
    assert classes["masks"] == "colour"
    assert {tuple(entry["colour"]) for entry in classes["classes"]} == {tuple(map(int, c)) for c in colours}
    (root / "classes.yaml").unlink()
    for number, name in enumerate(["a", "b"]):
        trees.save_palette(root / "masks" / f"{name}.png", trees.label(number, 3))
    classes, _, _ = proposed(root)
    assert classes["classes"][1] == {"name": "class 1", "value": 1, "colour": [128, 0, 0]}
    (root / "classes.yaml").unlink()
    for number, name in enumerate(["a", "b"]):
        trees.save(root / "masks" / f"{name}.png", (trees.label(number, 2) > 0) * np.uint8(255))
    classes, _, _ = proposed(root)
    assert [entry["value"] for entry in classes["classes"]] == [0, 255]
    assert classes["ignore"] == []


def drawn(root: Path, names: list[str], masks: list[np.ndarray], suffix: str = ".png") -> Path:
    """A folder without classes.yaml."""
    for number, (name, mask) in enumerate(zip(names, masks, strict=True)):
        trees.save(root / "images" / f"{name}.png", trees.rgb(number, mask.shape[:2]))
        trees.save(root / "masks" / f"{name}{suffix}", mask)
    return root


@pytest.mark.parametrize(
    ("folder_name", "taken", "name"),
    [
        ("2024", (), "data_2024"),
        ("1e5", (), "data_1e5"),
        ("inf", (), "data_inf"),
        ("true", (), "data_true"),
        ("camvid", ("camvid", "camvid_2"), "camvid_3"),
        ("2024", ("data_2024",), "data_2024_2"),
        ("fields", ("camvid",), "fields"),
    ],
)
def test_init_chooses_a_name_that_can_be_typed_and_is_free(folder_name, taken, name, tmp_path: Path) -> None:
    root = folder(tmp_path / folder_name, ["a", "b"])
    said: list[str] = []
    assert look(root, said.append, taken).name == name


def test_init_refuses_masks_that_the_check_refuses(tmp_path: Path) -> None:
    root = drawn(tmp_path / "own", ["a", "b"], [trees.label(k, 3) for k in range(2)], ".jpg")
    with pytest.raises(UserError, match="a.jpg is a lossy JPEG: its labels are not exact"):
        look(root, lambda _: None)
    assert not (root / "classes.yaml").exists()


def test_init_reads_every_mask_that_the_training_reads(tmp_path: Path) -> None:
    root = drawn(tmp_path / "own", ["a", "b"], [trees.label(k, 3) for k in range(2)])
    for number, name in enumerate(["a", "b"]):
        (root / "masks" / f"{name}.png").unlink()
        big = trees.label(number, 3).astype(">u2")
        Image.frombytes("I;16B", big.shape[::-1], big.tobytes()).save(root / "masks" / f"{name}.tif")
    assert Image.open(root / "masks/a.tif").mode == "I;16B"
    classes, _, _ = proposed(root)
    assert [entry["value"] for entry in classes["classes"]] == [0, 1, 2]
    assert len(open_folder(root).subsets["train"]) == 1


def test_init_warns_of_smoothed_greys(tmp_path: Path) -> None:
    y, x = np.mgrid[:200, :200]
    discs = [(np.clip((60 + 9 * k - np.hypot(x - 100, y - 100)) / 6, 0, 1) * 255).astype(np.uint8) for k in range(2)]
    _, _, said = proposed(drawn(tmp_path / "own", ["a", "b"], discs))
    assert any("look like smoothed edges" in line for line in said)
    assert len(yaml.safe_load((tmp_path / "own/classes.yaml").read_text())["classes"]) == 2
    many = [np.random.default_rng(k).integers(0, 40, (64, 64), dtype=np.uint8) for k in range(2)]
    _, _, said = proposed(drawn(tmp_path / "classes", ["a", "b"], many))
    assert not any("smoothed edges" in line for line in said)


def test_init_asks_for_a_second_labelled_image(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a"], ["more"])
    with pytest.raises(UserError, match="holds one mask, and a data set needs two"):
        look(root, lambda _: None)


def test_init_hides_no_mask_where_that_leaves_none(tmp_path: Path) -> None:
    _, suite, _ = proposed(folder(tmp_path / "own", ["a", "b"]))
    assert suite["suites"]["own_try"]["splits"]["partitions"] == ["full"]
    assert list(suite["suites"]["own_try"]["methods"]) == ["supervised"]
    _, suite, _ = proposed(folder(tmp_path / "five", list("abcde")))
    assert set(recommended()) < set(suite["suites"]["five_try"]["methods"])


def test_init_goes_on_after_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b", "c"])
    (root / "images/a.png").write_bytes(b"nothing")
    _, suite, said = proposed(root)
    assert suite["suites"]["own_try"]["recipe"]["crop"] == 32
    assert any(line.startswith("warning: ") and "a.png cannot be read" in line for line in said)


def test_a_proposed_suite_can_be_shortened(tmp_path: Path) -> None:
    _, suite, _ = proposed(folder(tmp_path / "own", NAMES))
    suite["suites"]["own_try"]["recipe"]["iterations"] = 5
    suite["suites"]["own_try"]["evaluation"]["every"] = 5
    assert Suite.model_validate(suite["suites"]["own_try"]).recipe.iterations == 5


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", NAMES)
    assert not any("ignored" in line for line in proposed(root)[2])
    (root / "images/IMG_1.HEIC").write_bytes(b"x")
    (root / "masks/notes").write_text("x")
    (root / "images/.hidden").write_text("x")
    sentence = "2 files of other kinds ignored (.heic, no suffix)"
    assert any(line.startswith(sentence) for line in proposed(root)[2])
    said: list[str] = []
    check("own", DatasetConfig(kind="folder", data_root=root), tmp_path / "data", said.append)
    assert any(line.startswith(sentence) for line in said)


def test_the_check_warns_of_classes_that_will_not_be_learned(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", list("abcd"), classes=INDEX_CLASSES)
    for name in "abcd":
        mask = np.zeros(trees.SIZE, np.uint8)
        mask[0, :3] = 1
        trees.save(root / "masks" / f"{name}.png", mask)
    verdict = check("own", DatasetConfig(kind="folder", data_root=root), tmp_path / "data", lambda _: None)
    warnings = " | ".join(verdict["warnings"])
    sentence = "no mask of train or val has a pixel of the class roof; correct its value or colour in classes.yaml"
    assert sentence in warnings and warnings.count("roof") == 1
    assert "water has 0.39 % of the labelled pixels of train, in 3 of 3 images" in warnings
    assert "class_weights: balanced" in warnings
    assert "the colour of 1 class is for display only" in warnings


def test_init_refuses_photographs_as_masks(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", ["a", "b"])
    (root / "classes.yaml").unlink()
    for number, name in enumerate(["a", "b"]):
        trees.save(root / "masks" / f"{name}.png", trees.rgb(number, (200, 200)))
    trees.save(root / "images" / "a.png", trees.rgb(0, (200, 200)))
    with pytest.raises(UserError, match="edges are smoothed"):
        look(root, lambda _: None)
    assert not (root / "classes.yaml").exists()
    with pytest.raises(UserError, match="does not exist"):
        look(tmp_path / "nowhere")
