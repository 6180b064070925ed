"""semiseg train --config repeats a run from the file in its folder."""

from __future__ import annotations

import pytest

from semiseg.cli import main
from tests import tiny


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("- no: run", "is not the config.yaml of a run"),
        ("dataset: {name: tinny}", "params.yaml has no data set 'tinny'; did you mean 'tiny'"),
    ],
)
def test_what_is_no_runs_config_is_answered(text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tiny.workspace(tmp_path / "work", tiny.params()))
    if text is not None:
        (tmp_path / "work/config.yaml").write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "again", "--config", "config.yaml"])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
