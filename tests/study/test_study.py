"""A study as a driver sees it while its data are being prepared."""

from __future__ import annotations

from semiseg.base.files import write_json
from semiseg.datasets.manifest import manifest_path
from semiseg.params.schema import Params
from semiseg.study.study import DATA, Study
from tests import tiny


def test_the_hash_of_the_data_is_kept_only_when_they_are_prepared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Study(Params.model_validate(tiny.params()))
    assert study.specs.data_sha256("tiny") is None
    content = {"sha256": "0" * 64, "kind": "pocket"}
    write_json(manifest_path("tiny", DATA), content)  # as the check leaves it
    checked = study.specs.data_sha256("tiny")
    write_json(manifest_path("tiny", DATA), content | {"made_from": {"code": "c"}})
    prepared = study.specs.data_sha256("tiny")
    assert prepared != checked
    assert study.specs.data_sha256("tiny") == prepared
