from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from semiseg.base.errors import UserError
from semiseg.datasets.get.download import Expected, Patience, download
from tests.datasets.misbehaving_server import Behaviour, serve

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KNOWN = Expected(len(CONTENT), (("sha256", SHA256),))
HASTY = Patience(timeout=0.4, attempts=2, progress=10_000, pause=0.01, slowest=1000, window=0.3)


def fetch(behaviour: Behaviour, folder: Path, expected: Expected = KNOWN):
    with serve({"/a": behaviour}) as address:
        return download((f"{address}/a",), folder / "a.bin", expected, HASTY)


def refusal(behaviour: Behaviour, folder: Path, expected: Expected = KNOWN) -> str:
    with pytest.raises(UserError) as caught:
        fetch(behaviour, folder, expected)
    assert not (folder / "a.bin").exists()
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_and_its_receipt(tmp_path: Path) -> None:
    receipt = fetch(Behaviour(CONTENT), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert receipt.bytes == len(CONTENT)
    assert receipt.hashes["sha256"] == SHA256
    assert receipt.hashes["md5"] == hashlib.md5(CONTENT).hexdigest()
    assert names(tmp_path) == ["a.bin"]


def test_a_cut_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT, cut=[100_000, 200_000])
    fetch(behaviour, tmp_path)
    assert behaviour.requests == [None, "bytes=100000-", "bytes=200000-"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_progress_earns_new_attempts(tmp_path: Path) -> None:
    fetch(Behaviour(CONTENT, cut=[40_000, 80_000, 120_000, 160_000, 200_000, 240_000]), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_an_interrupted_command_goes_on_in_the_next(tmp_path: Path) -> None:
    message = refusal(Behaviour(CONTENT, cut=[100_000] * 9), tmp_path)
    assert "the connection ended after 100000 of 256000 bytes" in message
    assert "0.1 MB are kept" in message
    behaviour = Behaviour(CONTENT)
    with serve({"/a": behaviour}) as address:
        download((f"{address}/a",), tmp_path / "a.bin", KNOWN, HASTY)
    assert behaviour.requests == ["bytes=100000-"]
    assert names(tmp_path) == ["a.bin"]


def test_without_ranges_it_starts_again(tmp_path: Path) -> None:
    fetch(Behaviour(CONTENT, ranges=False, cut=[100_000]), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_starts_again(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT[::-1], etag='"old"', cut=[100_000] * 9)
    with serve({"/a": behaviour}) as address:
        with pytest.raises(UserError):
            download((f"{address}/a",), tmp_path / "a.bin", Expected(), HASTY)
        behaviour.content, behaviour.etag, behaviour.cut = CONTENT, '"new"', []
        download((f"{address}/a",), tmp_path / "a.bin", Expected(), HASTY)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_without_a_hash_no_part_of_another_mirror_is_continued(tmp_path: Path) -> None:
    with serve({"/a": Behaviour(CONTENT[::-1], cut=[100_000] * 9), "/b": Behaviour(CONTENT)}) as address:
        download((f"{address}/a", f"{address}/b"), tmp_path / "a.bin", Expected(), HASTY)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"x")
    fetch(Behaviour(CONTENT), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_the_next_mirror_is_asked(tmp_path: Path) -> None:
    wrong = Behaviour(b"x" * len(CONTENT))
    with serve({"/wrong": wrong, "/good": Behaviour(CONTENT)}) as address:
        urls = tuple(f"{address}/{path}" for path in ("none", "wrong", "good"))
        assert download(urls, tmp_path / "a.bin", KNOWN, HASTY).url == urls[2]
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (Behaviour(CONTENT, status=404), "status 404"),
        (Behaviour(CONTENT, status=503), "status 503"),
        (Behaviour(CONTENT[:-1]), "offers 255999 bytes, expected 256000"),
        (Behaviour(CONTENT + b"more", chunked=True), "sends more than the 256000 bytes expected"),
        (Behaviour(CONTENT[:-1] + b"x"), "wrong sha256"),
        (Behaviour(CONTENT, silent=True), "no byte for 0.4 s"),
    ],
    ids=["missing", "overloaded", "short", "overlong", "wrong", "silent"],
)
def test_failures_are_named_and_leave_nothing(behaviour: Behaviour, sentence: str, tmp_path: Path) -> None:
    assert sentence in refusal(behaviour, tmp_path)
    assert names(tmp_path) == []


def test_a_length_that_is_not_kept_ends_in_a_sentence(tmp_path: Path) -> None:
    message = refusal(Behaviour(CONTENT[:1000], announce=len(CONTENT), ranges=False), tmp_path)
    assert "the connection ended after 1000 of 256000 bytes" in message


def test_a_trickle_is_not_waited_for(tmp_path: Path) -> None:
    assert "bytes per second" in refusal(Behaviour(CONTENT, trickle=0.02), tmp_path)


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        download(("http://127.0.0.1:9/a",), tmp_path / "a.bin", KNOWN, HASTY)
    assert "no connection" in str(caught.value)


def test_no_room(tmp_path: Path) -> None:
    message = refusal(Behaviour(CONTENT, announce=10**18), tmp_path, Expected())
    assert "GB free" in message
