"""Write blocks into params.local.yaml; all other lines and comments stay as they are."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from semiseg.base.errors import UserError
from semiseg.base.files import write_text
from semiseg.base.yaml_loader import UniqueKeys
from semiseg.params import loading


def as_text(blocks: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of the blocks `datasets:` and `suites:`."""
    return yaml.safe_dump(
        {key: dict(entries) for key, entries in blocks.items()}, sort_keys=False, default_flow_style=None, width=110,
        allow_unicode=True,
    )  # fmt: skip


def write(blocks: Mapping[str, Mapping[str, Any]], params: Path = Path("params.yaml")) -> Path:
    """Write the entries of each block into the file and replace entries of the same name; the result must be valid."""
    path = params.with_name(loading.LOCAL)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    text = before
    for block, entries in blocks.items():
        for name, value in reversed(entries.items()):  # each goes to the top of its block
            text = _with_entry(text, block, name, value)
    by_hand = f"add these lines to {path} by hand:\n\n{as_text(blocks)}"
    try:
        wanted = _laid_over(yaml.load(before, Loader=UniqueKeys) or {}, blocks)
        found = yaml.load(text, Loader=UniqueKeys)
    except yaml.YAMLError as error:
        raise UserError(
            f"{path} is not valid YAML ({' '.join(str(error).split())}); correct it, or {by_hand}"
        ) from error
    if found != wanted:
        raise UserError(f"{path} does not have one entry per line, as this command needs; {by_hand}")
    write_text(path, text)
    try:
        loading.load(params, next(iter(blocks.get("suites", {})), None))
    except UserError:
        write_text(path, before) if before else path.unlink()
        raise
    return path


def _with_entry(text: str, block: str, name: str, value: Any) -> str:
    lines = text.splitlines()
    header = next((k for k, line in enumerate(lines) if re.match(rf"{block}:\s*(#.*)?$", line)), None)
    if header is None:
        lines += [""] * bool(lines) + [f"{block}:"]
        header = len(lines) - 1
    end = next((k for k in range(header + 1, len(lines)) if re.match(r"[^\s#]", lines[k])), len(lines))
    children = [
        len(line) - len(line.lstrip()) for line in lines[header + 1 : end] if line.strip() and line.lstrip()[0] != "#"
    ]
    indent = min(children, default=2)
    first = next(
        (k for k in range(header + 1, end) if re.match(rf"\s{{{indent}}}['\"]?{re.escape(name)}['\"]?:", lines[k])),
        None,
    )
    if first is not None:
        last = next(
            (k for k in range(first + 1, end) if lines[k].strip() and not lines[k].startswith(" " * (indent + 1))), end
        )
        del lines[first:last]
    dumped = yaml.safe_dump({name: value}, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    lines[header + 1 : header + 1] = textwrap.indent(dumped, " " * indent).splitlines()
    return "\n".join(lines) + "\n"


def _laid_over(before: dict[str, Any], blocks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return before | {key: {**(before.get(key) or {}), **entries} for key, entries in blocks.items()}
