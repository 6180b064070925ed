"""A clone of a small repository with the real rules, stages and code, and the commands of its users."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests import tiny

REPOSITORY = Path(__file__).resolve().parents[2]
COMPARISON = ("supervised/default", "fixmatch/default")
ABLATION = "fixmatch/confidence=0.5"


def content() -> dict:
    """Three runs of eight iterations."""
    return tiny.params(
        {"supervised": {}, "fixmatch": {"options": {"confidence": 0.8}}},
        splits={"partitions": [4]},
        recipe={"iterations": 8},
        ablations={"threshold": {"method": "fixmatch", "at": 4, "vary": {"confidence": [0.5]}}},
    )


def environment(home: Path) -> dict[str, str]:
    """An empty DVC configuration, so that the settings of the current user are neither used nor changed."""
    home.mkdir(parents=True, exist_ok=True)
    theirs = ("DVC_", "GIT_", "SNAKEMAKE_", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(theirs)}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "OMP_NUM_THREADS": "1",
        **{f"GIT_{who}_{what}": "tests@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


@dataclass
class Outcome:
    code: int
    text: str

    def jobs(self, *rules: str) -> int:
        """How many jobs of these rules Snakemake carried out (short trainings are called train_short)."""
        return len(re.findall(rf"^Finished jobid: \d+ \(Rule: (?:{'|'.join(rules)})(?:_short)?\)", self.text, re.M))

    def planned(self, rule: str) -> int:
        """How many jobs of a rule a dry run announces."""
        found = re.search(rf"^{rule}(?:_short)? +(\d+)$", self.text, re.M)
        return int(found[1]) if found else 0

    @property
    def trainings(self) -> int:
        return self.jobs("train")


@dataclass
class Clone:
    root: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        # The clone's own code, as its own environment would import it, and what lets Snakemake start faster.
        return environment(self.home) | {"PYTHONPATH": f"{self.root / 'src'}:{REPOSITORY / 'tests/slurm/hook'}"}

    # ---------------------------------------------------------------- commands

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=self.root, env=self.environment, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, timeout: float = 1800) -> Outcome:
        begun = time.time()
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, text=True, timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout + tiny.snakemake_log(self.root, begun))

    def must(self, *command: str) -> Outcome:
        outcome = self.run(*command)
        assert outcome.code == 0, f"{' '.join(command)} in {self.root}:\n{outcome.text}"
        return outcome

    def repro(self) -> Outcome:
        return self.must("dvc", "repro")

    def snakemake(self, *arguments: str) -> Outcome:
        return self.must("snakemake", "--profile", "local", "--nocolor", *(arguments or ("all",)))

    def commit(self, message: str) -> str:
        self.must("git", "add", "--all")
        self.must("git", "commit", "--quiet", "--allow-empty", "--message", message)
        return self.must("git", "rev-parse", "HEAD").text.strip()

    def is_clean(self) -> bool:
        """To DVC and to git."""
        status = self.must("dvc", "status").text
        return "up to date" in status and not self.must("git", "status", "--porcelain").text

    # ---------------------------------------------------------------- what is wanted, and what is there

    def change(self, method: str, **options: float) -> None:
        """Other options of a method in the comparison; the run's folder keeps its name."""
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        entry = params["suites"]["tiny"]["methods"][method]
        entry["options"] = entry.get("options", {}) | options
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    @property
    def folder(self) -> Path:
        return self.root / "results/tiny"

    def path_of(self, run: str) -> Path:
        return self.folder / "runs/tiny/stratified-0-4" / run / "seed0"

    def trained(self) -> dict[str, str]:
        """When each run's training ended, by its record: a copy of the results keeps it, a training does not."""
        base = self.folder / "runs/tiny/stratified-0-4"
        records = {path.parent.parent: json.loads(path.read_text()) for path in base.glob("*/*/seed0/record.json")}
        return {str(path.relative_to(base)): record["finished"] for path, record in records.items()}

    def tables(self) -> dict[str, bytes]:
        """Every table, and the figures that DVC compares; costs differ from one execution to the next."""
        found = sorted([*self.folder.glob("tables/*"), *self.folder.glob("metrics/*")])
        kept = [path for path in found if not path.name.startswith(("cost", "made_from"))]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in kept}

    # ---------------------------------------------------------------- others like it

    def copy(self, root: Path) -> Clone:
        """A copy of the folder, with its cache and the notes of its drivers."""
        shutil.copytree(self.root, root, symlinks=True)
        return Clone(root, self.home)

    def clone(self, root: Path) -> Clone:
        """The clone of another user, with images; `dvc pull` can fetch the results."""
        self.must("git", "clone", "--quiet", str(self.root), str(root))
        shutil.copytree(self.root / "data/tiny/raw", root / "data/tiny/raw", copy_function=shutil.copyfile)
        return Clone(root, self.home)


def create(root: Path, home: Path) -> Clone:
    """A repository with one commit and no results."""
    tiny.with_workflow(tiny.workspace(root, content()), REPOSITORY)
    ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache", "config.local")
    for name in ("src", ".dvc"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=ignored)
    made = Clone(root, home)
    made.must("git", "init", "--quiet", "--initial-branch", "main")
    made.must("dvc", "remote", "add", "--default", "results", str(home / ".cache/semiseg/results"))
    made.must("dvc", "remote", "modify", "results", "verify", "true")
    made.commit("the experiment")
    return made
