"""README's tables are those of the published studies, and its methods are those that there are."""

from __future__ import annotations

import importlib
import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import pytest

from scripts import readme_table
from semiseg import cli, methods
from semiseg.params import loading
from tests.params.test_method_pages import documented

README = Path(__file__).parents[2] / "README.md"


def test_the_tables_are_those_of_the_studies():
    text = README.read_text()
    assert readme_table.MARKED.search(text), "README shows no study"
    assert readme_table.filled(text) == text, "run scripts/readme_table.py"


def test_another_figure_is_noticed(tmp_path):
    page = tmp_path / "results" / "made" / "README.md"
    page.parent.mkdir(parents=True)
    page.write_text("# made\n\n| a |\n|---|\n| 1.0 |\n\nmore\n")
    marked = "x\n<!-- results:made -->\n| a |\n|---|\n| 2.0 |\n<!-- /results -->\ny\n"
    assert readme_table.filled(marked, tmp_path) == marked.replace("2.0", "1.0")


def test_the_methods_are_listed_with_their_fidelity():
    table = README.read_text().split("## Methods")[1].split("\n##")[0]
    rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("| `")]
    listed = {name: row[-1].strip() for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert listed == {name: methods.load(name).fidelity for name in listed}
    assert set(documented()) <= set(listed), "a method has a page, and README does not name it"


def typed() -> list[list[str]]:
    """The commands of README's and own-data.md's blocks, without comments and variables of the environment."""
    pages = (README, README.parent / "docs/own-data.md")
    blocks = [block for page in pages for block in re.findall(r"^```\n(.*?)^```", page.read_text(), re.M | re.S)]
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    lines = [[word for word in line if not re.fullmatch(r"[A-Z_]+=\S*", word)] for line in lines]
    return [line for line in lines if line and line[0] in ("semiseg", "snakemake", "dvc", "make")]


@pytest.mark.parametrize("command", typed(), ids=" ".join)
def test_every_command_can_be_typed(command):
    root = README.parent
    tool, *arguments = command
    suites = {*loading.load(root / "params.yaml").suites, "fields_try", "fields_final"}  # of `data init fields`
    named = [word.partition("suite=")[2] for word in arguments if "suite=" in word]
    named += [after for word, after in zip(arguments, arguments[1:], strict=False) if word == "--suite"]
    assert set(named) <= suites
    if tool == "semiseg":
        parser = ArgumentParser()
        importlib.import_module(f"semiseg.commands.{arguments[0]}").define(parser)
        parser.parse_args(arguments[1:])
        assert arguments[0] in cli.COMMANDS
        assert all((root / word).exists() for word in arguments if word.startswith("results/") and "fields" not in word)
    elif tool == "make":
        assert re.search(rf"^{arguments[0]}:", (root / "Makefile").read_text(), re.MULTILINE)
    elif tool == "snakemake":
        assert (root / arguments[arguments.index("--profile") + 1] / "config.yaml").exists()
    else:
        assert arguments[:3] == ["exp", "run", "-S"]


def test_the_commands_are_found():
    assert len(typed()) >= 20
