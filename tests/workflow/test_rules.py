"""What each rule has to say about itself."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
TOLD = {"log", "benchmark", "resources", "message"}


def rules() -> dict[str, set[str]]:
    """Name -> keywords, of all rules in the files; a rule without a name is one of the loop over ablations."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        for part in re.split(r"^(?: {4})?rule ?(?=\w*:)", path.read_text(), flags=re.M)[1:]:
            name, _, body = part.partition(":")
            body = re.split(r"^\S", body.lstrip("\n"), maxsplit=1, flags=re.M)[0]
            found[name or "ablation"] = set(re.findall(r"^(?: {4}| {8})([a-z_]+):", body, flags=re.M))
    return found


def test_a_rule_that_runs_something_has_log_benchmark_resources_and_message():
    running = {name: keywords for name, keywords in rules().items() if "shell" in keywords}
    assert {"data", "split", "train", "evaluate", "tables", "plots", "report", "train_all"} <= set(running)
    assert {name: TOLD - keywords for name, keywords in running.items() if TOLD - keywords} == {}


def test_a_mere_target_has_a_message():
    targets = {name: keywords for name, keywords in rules().items() if "shell" not in keywords}
    assert set(targets) == {"all", "ablation", "data_all", "splits_all", "evaluate_all"}
    assert all("message" in keywords for keywords in targets.values())
