"""Every command answers a full disk with a message and no traceback."""

from __future__ import annotations

import errno
import os

import pytest

from semiseg import cli
from semiseg.commands import status


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("name", ["results/tables/cost.csv", None])
def test_it_says_what_to_do(number, name, monkeypatch, capsys):
    def full(options):
        raise OSError(number, os.strerror(number), name) if name else OSError(number, os.strerror(number))

    monkeypatch.setattr(status, "run", full)
    with pytest.raises(SystemExit) as left:
        cli.main(["status"])
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert said.startswith(f"semiseg: {name or 'a file'}") and "free some space and repeat the command" in said
