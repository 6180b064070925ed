from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from semiseg.base.errors import UserError
from semiseg.cluster.site import Site, load

EXAMPLE = Path(__file__).parents[2] / "slurm/site.example.yaml"


def test_without_a_file_the_cluster_decides(tmp_path):
    assert load(tmp_path / "site.yaml", {}) == Site()
    assert Site().partition is None


def test_the_environment_wins_over_the_file(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("partition: slow\naccount: 4711\nmax_minutes: 2d\n")
    site = load(path, {"SEMISEG_SLURM_PARTITION": "fast", "SEMISEG_SLURM_JOBS": "7"})
    assert (site.partition, site.account, site.max_minutes, site.jobs) == ("fast", "4711", 2880, 7)


@pytest.mark.parametrize("text", ["partitoin: gpu\n", "time_factor: 0\n", "status: ps\n", "- gpu\n", "a: [\n"])
def test_mistakes_are_answered_with_the_file_and_the_key(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"site\.yaml"):
        load(path, {})


def test_a_mistake_in_the_environment_is_not_looked_for_in_the_file(tmp_path):
    with pytest.raises(UserError, match=r"^environment variables SEMISEG_SLURM_…: requeue: .* \(found 'maybe'\)$"):
        load(tmp_path / "site.yaml", {"SEMISEG_SLURM_REQUEUE": "maybe"})


def test_the_nearest_key_is_named(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("partitoin: gpu\n")
    with pytest.raises(UserError, match="did you mean 'partition'"):
        load(path, {})


def test_the_example_is_all_comments_and_knows_every_key():
    text = EXAMPLE.read_text()
    assert yaml.safe_load(text) is None
    offered = {line[2:].split(":")[0] for line in text.splitlines() if line.startswith("# ") and ": " in line}
    assert set(Site.model_fields) <= offered
    lines = [line[2:] for line in text.splitlines() if line[2:].split(":")[0] in Site.model_fields]
    Site.model_validate(yaml.safe_load("\n".join(lines)))
