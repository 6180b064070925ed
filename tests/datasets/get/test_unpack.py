from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from semiseg.base.errors import UserError
from semiseg.datasets.get.archives import Limits
from semiseg.datasets.get.unpack import unpack

MOST = Limits(bytes=10_000, files=5)


def tar(path: Path, *members: tuple[str, bytes | None, bytes], mode: str = "w:gz") -> Path:
    """members: (name, content or None for a link, type)."""
    with tarfile.open(path, mode) as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(content or b"")
            info.linkname = "" if content is not None else "/etc/passwd"
            archive.addfile(info, io.BytesIO(content or b""))
    return path


def regular(name: str, content: bytes = b"x") -> tuple[str, bytes, bytes]:
    return name, content, tarfile.REGTYPE


def zipped(path: Path, content: dict[str, bytes], link: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name == link else 0o100644) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_only_the_products_are_unpacked(kind: str, tmp_path: Path) -> None:
    names = {"top/images/a.txt": b"a", "top/images/deep/b.txt": b"b", "top/imagesque/c.txt": b"c", "top/readme": b"d"}
    if kind == "zip":
        archive = zipped(tmp_path / "a.zip", names)
    else:
        members = [regular(name, content) for name, content in names.items()]
        archive = tar(tmp_path / "a.tar", *members, mode="w:gz" if kind == "tar.gz" else "w")
    target = tmp_path / "raw"
    unpack(archive, target, ("images", "readme"), MOST, strip=1)
    assert tree(target) == ["images/a.txt", "images/deep/b.txt", "readme"]
    assert (target / "images/deep/b.txt").read_bytes() == b"b"


def test_what_exists_stays(tmp_path: Path) -> None:
    (tmp_path / "raw" / "a").mkdir(parents=True)
    (tmp_path / "raw" / "a" / "mine").write_text("mine")
    unpack(tar(tmp_path / "a.tar", regular("a/x"), regular("b/x")), tmp_path / "raw", ("a", "b"), MOST)
    assert tree(tmp_path / "raw") == ["a/mine", "b/x"]


def cut(path: Path) -> Path:
    content = tar(path, *(regular(f"a/{k}", os.urandom(1500)) for k in range(4))).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def flipped(path: Path) -> Path:
    content = bytearray(zipped(path, {"a/x": bytes(range(200))}).read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "dots": (lambda p: tar(p, regular("a/ok"), regular("a/../../evil")), "leads out of its folder"),
    "dots elsewhere": (lambda p: tar(p, regular("a/ok"), regular("../evil")), "leads out of its folder"),
    "absolute": (lambda p: tar(p, regular("/tmp/evil")), "leads out of its folder"),
    "backslash": (lambda p: zipped(p, {"a\\..\\evil": b"x"}), "leads out of its folder"),
    "zip dots": (lambda p: zipped(p, {"a/../../evil": b"x"}), "leads out of its folder"),
    "symbolic link": (lambda p: tar(p, regular("a/ok"), ("a/link", None, tarfile.SYMTYPE)), "link or device"),
    "hard link": (lambda p: tar(p, ("a/link", None, tarfile.LNKTYPE)), "link or device"),
    "device": (lambda p: tar(p, ("a/dev", None, tarfile.CHRTYPE)), "link or device"),
    "zip link": (lambda p: zipped(p, {"a/link": b"/etc/passwd"}, link="a/link"), "link or device"),
    "twice": (lambda p: tar(p, regular("a/x"), regular("a/x", b"y")), "twice"),
    "many": (lambda p: tar(p, *(regular(f"a/{k}") for k in range(6))), "more than 5 files"),
    "large": (lambda p: tar(p, regular("a/x", b"x" * 10_001)), "more bytes"),
    "zip bomb": (lambda p: zipped(p, {"a/x": b"\0" * 1_000_000}), "more bytes"),
    "cut": (cut, "damaged"),
    "flipped": (flipped, "damaged"),
    "no archive": (lambda p: p.write_bytes(b"<html>moved</html>") and p, "no archive"),
    "other archive": (lambda p: tar(p, regular("b/x")), "has no a; is it the right archive"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives_leave_nothing_behind(name: str, tmp_path: Path) -> None:
    make, sentence = BAD[name]
    folder = tmp_path / "data" / "set"
    folder.mkdir(parents=True)
    archive = make(folder / "archive")
    with pytest.raises(UserError) as caught:
        unpack(archive, folder / "raw", ("a",), MOST)
    assert sentence in str(caught.value)
    assert tree(tmp_path) == ["data/set/archive"]
    assert list((folder / "raw").iterdir()) == []
