"""Write params.schema.json, from which editors complete and check params.yaml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.params.schema import MethodEntry, Params, Suite

FILE = Path(__file__).resolve().parents[1] / "params.schema.json"


def schema(names: Sequence[str] | None = None) -> dict[str, Any]:
    """The schema of the model, extended by what the loader accepts: suites that extend others, entries without a list.

    Editors complete the names of these methods, by default all. Other names are valid as well, because a plugin may add
    them.
    """
    names = methods.names() if names is None else list(names)
    one = {"anyOf": [{"enum": names}, {"type": "string"}]}
    content = Params.model_json_schema()
    content["required"] = ["suite", "datasets", "suites"]
    content["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = content["$defs"]
    suite = definitions[Suite.__name__]
    suite["properties"] |= {
        "extends": {"type": "string", "description": "name of the inherited suite"},
        "only": {"type": "array", "items": {"type": "string"}, "description": "names of the methods that are kept"},
        "methods": {"anyOf": [{"type": "array", "items": one}, _entries(names)]},
    }
    suite["required"] = []  # a suite that extends another one has only the differing keys
    for definition in definitions.values():
        definition.pop("required", None)
        for name, place in definition.get("properties", {}).items():
            if name in ("crop", "size", "family", "partitions", "at", "trials_at", "ablations"):
                definition["properties"][name] = {"description": place.get("description", "")}
    return content


def _entries(names: list[str]) -> dict[str, Any]:
    entry = {"$ref": f"#/$defs/{MethodEntry.__name__}"}
    one = {"anyOf": [entry, {"type": "array", "items": entry}, {"type": "null"}]}
    return {"type": "object", "properties": dict.fromkeys(names, one), "additionalProperties": one}


def text(names: Sequence[str] | None = None) -> str:
    return json.dumps(schema(names), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
