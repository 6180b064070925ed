from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.base.errors import UserError
from semiseg.splits import families, lists
from semiseg.splits.families import check_split, make_split
from semiseg.splits.split import Split
from tests.datasets.misbehaving_server import Behaviour, serve

POOL = [f"2008_{k:06d}" for k in range(100)]


def labels_of(key: str) -> set[int]:
    number = int(key[-6:])
    return {0, 1 + number % 3} | ({7} if number == 50 else set()) | {255}


def test_stride_is_the_regular_one_of_the_sorted_pool() -> None:
    split = make_split("cps", "1/8", list(reversed(POOL)))
    assert split.labelled == tuple(POOL[::8])
    assert make_split("stride", "1/8", POOL).labelled == split.labelled
    assert split.sha256 == hashlib.sha256("\n".join(POOL[::8]).encode()).hexdigest()
    assert sorted(split.labelled + split.unlabelled) == POOL


@pytest.mark.parametrize("family", ["random:0", "random:5", "stratified:0"])
@given(numerator=st.integers(1, 4), denominator=st.integers(4, 40))
def test_draws_are_repeatable_nested_and_of_the_asked_size(family: str, numerator: int, denominator: int) -> None:
    partition = f"{numerator}/{denominator}"
    split = make_split(family, partition, POOL, labels_of)
    assert len(split.labelled) == -(-100 * numerator // denominator)
    assert split == make_split(family, partition, POOL[::-1], labels_of)


def test_random_seeds_differ_and_larger_draws_contain_smaller_ones() -> None:
    small, large = (set(make_split("random:1", n, POOL).labelled) for n in ("10", "1/4"))
    assert small < large
    assert small != set(make_split("random:2", "10", POOL).labelled)


@given(count=st.integers(1, 100), seed=st.integers(0, 30))
def test_stratified_shows_every_class_when_it_can(count: int, seed: int) -> None:
    labelled = make_split(f"stratified:{seed}", str(count), POOL, labels_of).labelled
    seen = set().union(*(labels_of(k) for k in labelled)) - {255}
    assert len(labelled) == count
    # The rare class 7 shares its image with 0 and 3; classes 1 and 2 need one image each.
    assert len(seen) >= min(count + 2, 5)
    per_class = [sum(c in labels_of(k) for k in labelled) for c in (1, 2, 3)]
    assert max(per_class) - min(per_class) <= 2


def test_full_has_no_unlabelled_images() -> None:
    split = make_split("full", "full", POOL)
    assert len(split.labelled) == 100
    assert split.unlabelled == ()


def test_stored_split_comes_back() -> None:
    split = make_split("random:0", "12", POOL)
    assert Split.from_dict(split.to_dict()) == split


@pytest.mark.parametrize(
    ("family", "partition", "dataset", "sentence"),
    [
        ("psc", "1/8", "voc", "there is no split family 'psc'"),
        ("random", "1/8", "voc", "random:<seed>"),
        ("random:x", "1/8", "voc", "there is no split family"),
        ("u2pl:1", "1/8", "voc", "there is no split family"),
        ("cps", "100", "voc", "1/k"),
        ("random:0", "1/0", "voc", "neither a count"),
        ("random:0", "101", "", "but the pool has 100"),
        ("u2pl", "1/8", "camvid", "there are: none"),
        ("classic", "100", "voc", "there are: "),
        ("stratified:0", "10", "", "needs the masks"),
        ("own", "mine", "", "lists_dir"),
    ],
)
def test_wrong_requests_are_answered(family: str, partition: str, dataset: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        make_split(family, partition, POOL, None, dataset)
    assert sentence in str(caught.value)


def broken(**changes: object) -> Split:
    good = make_split("random:0", "10", POOL).to_dict()
    return Split.from_dict({**good, **changes})


@pytest.mark.parametrize(
    ("split", "forbidden", "sentence"),
    [
        (broken(unlabelled=POOL), [], "in both parts"),
        (broken(unlabelled=[]), [], "leaves out images"),
        (broken(), [POOL[3]], "images of val or test: 2008_000003"),
        (broken(labelled=["2008_999999"]), [], "does not have"),
        (broken(labelled=[]), [], "no labelled image"),
        (broken(labelled=[POOL[0], POOL[0]]), [], "twice as labelled"),
        (broken(sha256="0" * 64), [], "another"),
    ],
)
def test_bad_splits_are_refused(split: Split, forbidden: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check_split(split, POOL, forbidden)
    assert sentence in str(caught.value)


FORMATS = {
    "ids": "{0}\n",
    "pairs": "JPEGImages/{0}.jpg SegmentationClass/{0}.png\n",
    "rooted": "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png\n",
    "tabs": "/images/train/{0}.png\t/segmentation/train/{0}_gtFine.png\n",
    "cityscapes": "leftImg8bit/train/x/{0}_leftImg8bit.png gtFine/train/x/{0}_gtFine_labelTrainIds.png\n",
    "windows": "{0}\r\n\r\n",
}


@pytest.mark.parametrize("written", FORMATS.values(), ids=FORMATS)
def test_every_line_format_gives_the_ids(written: str) -> None:
    ids = ["2007_000032", "jena_000078_000019"]
    assert lists.parse_ids("".join(written.format(k) for k in ids)) == ids


def test_known_lists_are_complete_and_consistent() -> None:
    known = lists.known_lists()
    assert len(known) == 66
    for (family, dataset, partition), one in known.items():
        assert dataset in ("voc", "cityscapes")
        assert one.files
        assert all(len(file.sha256) == 64 and len(file.url.split("/")[5]) == 40 for file in one.files)
        if family != "reference":
            families.check_partition(family, partition, dataset)
    hashes = {(d, f, p): one.ids_sha256 for (f, d, p), one in known.items()}
    assert hashes["voc", "cps", "1/8"] != hashes["voc", "u2pl", "1/8"]
    assert hashes["voc", "classic", "366"] == hashes["voc", "classic_cps", "366"]
    assert hashes["voc", "classic", "732"] != hashes["voc", "classic_cps", "732"]


@pytest.fixture
def made_list(monkeypatch: pytest.MonkeyPatch) -> lists.KnownList:
    """A stand-in for a list of the literature."""
    text = "".join(f"{k}\n" for k in POOL[::9])
    file = lists.ListFile("Made", "http://127.0.0.1:1/none", "a.txt", hashlib.sha256(text.encode()).hexdigest())
    known = lists.KnownList("u2pl", "voc", "1/9", 12, lists.ids_sha256(POOL[::9]), (file,))
    monkeypatch.setattr(lists, "known_lists", lambda: {("u2pl", "voc", "1/9"): known})
    monkeypatch.setattr(families, "known_lists", lists.known_lists)
    lists._folder_index.cache_clear()
    return known


def test_a_list_is_found_by_its_content(tmp_path, made_list) -> None:
    (tmp_path / "clone" / "deep").mkdir(parents=True)
    (tmp_path / "clone" / "deep" / "whatever.txt").write_text("".join(f"{k}\n" for k in POOL[::9]))
    assert make_split("u2pl", "1/9", POOL, None, "voc", tmp_path).labelled == tuple(POOL[::9])


def test_a_changed_list_is_not_taken(tmp_path, made_list) -> None:
    (tmp_path / "1_9.txt").write_text("".join(f"{k}\n" for k in POOL[:12]))
    with pytest.raises(UserError) as caught:
        make_split("u2pl", "1/9", POOL, None, "voc", tmp_path)
    assert "could not be fetched" in str(caught.value)


def test_a_list_of_another_pool_is_refused(tmp_path, made_list) -> None:
    (tmp_path / "a.txt").write_text("".join(f"{k}\n" for k in POOL[::9]))
    with pytest.raises(UserError) as caught:
        make_split("u2pl", "1/9", POOL[:50], None, "voc", tmp_path)
    assert "does not have" in str(caught.value)


def test_a_list_is_fetched_from_the_first_sound_mirror_and_kept(tmp_path, made_list, monkeypatch) -> None:
    text = "".join(f"{k}\n" for k in POOL[::9]).encode()
    served = {"/wrong": Behaviour(text + b"x\n"), "/good": Behaviour(text)}
    with serve(served) as address:
        mirrors = tuple(replace(made_list.files[0], url=f"{address}/{name}") for name in ("none", "wrong", "good"))
        known = {("u2pl", "voc", "1/9"): replace(made_list, files=mirrors)}
        monkeypatch.setattr(lists, "known_lists", lambda: known)
        split = make_split("u2pl", "1/9", POOL, None, "voc", tmp_path / "lists")
    assert split.labelled == tuple(POOL[::9])
    lists._folder_index.cache_clear()
    assert make_split("u2pl", "1/9", POOL, None, "voc", tmp_path / "lists") == split  # nobody serves any more
    assert [path.read_bytes() for path in (tmp_path / "lists").rglob("*.txt")] == [text]


def test_own_lists(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("2008_000004\n2008_000002\n")
    assert make_split("own", "mine", POOL, None, "folder", tmp_path).labelled == ("2008_000002", "2008_000004")
    with pytest.raises(UserError):
        make_split("own", "other", POOL, None, "folder", tmp_path)
