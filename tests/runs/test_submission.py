"""What an archive from somebody else may hold."""

from __future__ import annotations

import io
import tarfile

import pytest

from semiseg.base.errors import UserError
from semiseg.runs import submission

RUN = "tiny/full/supervised/default/seed0"


def archive(folder, name: str, kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(folder / submission.ARCHIVE, "w:xz") as made:
        entry = tarfile.TarInfo(name)
        entry.type, entry.size = kind, 8 if kind == tarfile.REGTYPE else 0
        entry.linkname = "/etc/hostname"
        made.addfile(entry, io.BytesIO(b"12345678"))


@pytest.mark.parametrize(
    ("runs", "name", "kind", "most"),
    [
        ((RUN,), f"{RUN}/model.pkl", tarfile.REGTYPE, 100),
        (("../../outside",), "../../outside/spec.json", tarfile.REGTYPE, 100),
        ((RUN,), f"{RUN}/spec.json", tarfile.SYMTYPE, 100),
        ((RUN,), f"{RUN}/spec.json", tarfile.REGTYPE, 7),
    ],
    ids=["another file", "outside", "link", "too large"],
)
def test_what_does_not_belong_is_not_unpacked(tmp_path, monkeypatch, runs, name, kind, most):
    monkeypatch.setattr(submission, "MOST_BYTES", most)
    (tmp_path / "sent").mkdir()
    archive(tmp_path / "sent", name, kind)
    manifest = {"runs": dict.fromkeys(runs), "source": "sent"}
    with pytest.raises(UserError, match="does not belong in a submission"):
        submission.unpack(tmp_path / "sent", manifest, tmp_path / "place", tmp_path)
    assert not (tmp_path / "place").exists() and not (tmp_path / "outside").exists()
