"""Real Snakemake over a tiny study."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests import tiny

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
}


@dataclass
class Outcome:
    code: int
    text: str

    def jobs(self, rule: str) -> int:
        """How many jobs of a rule were finished (short trainings are called train_short)."""
        return len(re.findall(rf"^Finished jobid: \d+ \(Rule: {rule}(?:_short)?\)", self.text, re.MULTILINE))


@dataclass
class Workspace:
    root: Path

    def command(self, *arguments: str, **options) -> list[str]:
        return ["snakemake", "--profile", "local", "--cores", "2", "--nocolor", *arguments]

    def snakemake(self, *arguments: str, timeout: float = 600) -> Outcome:
        begun = time.time()
        done = subprocess.run(
            self.command(*(arguments or ("all",))), cwd=self.root, env=ENVIRONMENT, timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout + tiny.snakemake_log(self.root, begun))

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*(arguments or ("all",))), cwd=self.root, env=ENVIRONMENT, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    @property
    def params(self) -> dict:
        return yaml.safe_load((self.root / "params.yaml").read_text())

    def write(self, content: dict) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    @property
    def folder(self) -> Path:
        return self.root / "results/tiny"

    def tables(self) -> dict[str, bytes]:
        """Every table but the costs, which differ from one execution to the next."""
        found = sorted((self.folder / "tables").glob("*.csv"))
        return {path.name: path.read_bytes() for path in found if not path.name.startswith("cost")}

    def trained(self) -> dict[str, int]:
        """When each run was finished: a training again would change it."""
        return {str(path): path.stat().st_mtime_ns for path in self.folder.glob("runs/**/model.safetensors")}


@pytest.fixture
def study(tmp_path):
    """Factory of workspaces with the repository's own rules; where asked, the data and the lists are there already."""

    def make(content: dict, name: str = "study", prepared: bool = False) -> Workspace:
        return workspace(tmp_path / name, content, prepared)

    return make


def workspace(root: Path, content: dict, prepared: bool = False) -> Workspace:
    tiny.with_workflow(tiny.workspace(root, content), REPOSITORY)
    if prepared:
        tiny.prepare(root)
    return Workspace(root)
