from __future__ import annotations

import pytest

from semiseg.base.errors import UserError
from semiseg.cluster import check, site
from semiseg.cluster.resources import Resources

SINFO = """\
standard*|up|2-00:00:00|120|64|256000|(null)
a100|up|1-00:00:00|10|128|1000000|gpu:a100:4(S:0-1)
a100|up|1-00:00:00|2|128|2000000|gpu:a100:8
test|up|30:00|2|64|256000|gpu:v100:2
old|down|infinite|4|16|64000|gpu:k80:2
"""
CONFIG = """\
Configuration data as of 2026-11-20T23:46:02
AccountingStorageType   = {storage}
JobRequeue              = {requeue}
KillWait                = 30 sec
MinJobAge               = {age} sec
"""


def cluster(
    storage="accounting_storage/slurmdbd", requeue=1, age=300, accounts="physics|normal\n", books="", sinfo=SINFO
):
    answers = {
        "sinfo": sinfo,
        "scontrol": CONFIG.format(storage=storage, requeue=requeue, age=age),
        "sacctmgr": accounts,
        "sacct": books,
    }
    return check.look(lambda command: answers[command[0]])


def asks(minutes, gpus=0, short=False, partition=None):
    return Resources(gpus, 1, 1000, minutes, 3, short, partition, None, None)


def test_partitions_as_sinfo_shows_them():
    found = {one.name: one for one in cluster().partitions}
    assert set(found) == {"standard", "a100", "test"}, "what is down is not offered"
    assert found["standard"].default and found["standard"].gpus == 0
    a100 = found["a100"]
    assert (a100.nodes, a100.gpus, a100.models, a100.minutes, a100.memory_mib) == (12, 8, ("a100",), 1440, 2_000_000)
    assert found["test"].minutes == 30


def test_the_proposed_site_sends_gpu_work_to_the_gpus():
    lines = check.proposal(cluster())
    assert lines["partition"] == "a100" and lines["cpu_partition"] == "standard"
    assert lines["max_minutes"] == 1440 and lines["account"] == "physics" and lines["gpu_model"] == "a100"
    assert "first_poll_seconds" not in lines


def test_without_accounting_the_hang_and_its_cure_are_told():
    found = cluster(storage="accounting_storage/none", age=60, accounts="")
    assert check.proposal(found)["first_poll_seconds"] == 20
    said = " ".join(check.warnings(found))
    assert "press Ctrl-C and repeat the command" in said
    assert "MinJobAge is 60 s" in said and "first_poll_seconds as proposed" in said


def test_nothing_to_warn_of_on_a_healthy_cluster():
    assert check.warnings(cluster(), [asks(1000, gpus=8), asks(2880)]) == []


def test_what_will_hurt_is_told():
    assert "sacct does not answer" in " ".join(check.warnings(cluster(books=None)))
    assert "several accounts (art, physics)" in " ".join(check.warnings(cluster(accounts="physics|\nart|\n")))
    assert "no account of yours" in " ".join(check.warnings(cluster(accounts="")))
    assert "JobRequeue is 0" in " ".join(check.warnings(cluster(requeue=0)))
    assert "requests 16 GPUs" in " ".join(check.warnings(cluster(), [asks(10, gpus=16)]))


def test_time_limits_are_those_of_the_partition_that_a_job_goes_to():
    """`standard` allows two days, `a100` one, `test` half an hour."""
    [said] = check.warnings(cluster(), [asks(2000, gpus=1), asks(1000, gpus=1), asks(2000)])
    assert "requests 2000 min; the time limit of a100 is 1440 min" in said
    assert "set max_minutes to 1440" in said and "continue in the next job" in said
    [said] = check.warnings(cluster(), [asks(31, gpus=1, partition="test")])
    assert "the time limit of test is 30 min" in said
    assert check.warnings(cluster(), [asks(31, gpus=1, partition="test,a100")]) == []
    [said] = check.warnings(cluster(), [asks(5, gpus=4, partition="test")])
    assert "requests 4 GPUs on one node, but the largest node of test has 2" in said
    [said] = check.warnings(cluster(), [asks(1, partition="old")])
    assert "the partition old, which sinfo does not list as up" in said


def test_a_group_asks_for_the_time_of_all_its_members():
    short = [asks(10, short=True, partition="test")] * 5
    assert check.warnings(cluster(), short, group_size=3) == []
    assert "requests 40 min" in " ".join(check.warnings(cluster(), short, group_size=4))
    assert "requests 50 min" in " ".join(check.warnings(cluster(), short, group_size=16))


@pytest.mark.parametrize(
    ("gres", "gpus", "models"),
    [
        ("gpu:4", 4, ()),
        ("gpu:4(S:0-1)", 4, ()),
        ("gpu:a100:4", 4, ("a100",)),
        ("gpu:a100:4(S:0-1)", 4, ("a100",)),
        ("gpu:2080ti:8", 8, ("2080ti",)),
        ("gpu:3090:4", 4, ("3090",)),
        ("gpu:1g.10gb:7", 7, ("1g.10gb",)),
        ("gpu:a100-sxm4-80gb:4(S:0,2)", 4, ("a100-sxm4-80gb",)),
        ("gpu:tesla-v100:2", 2, ("tesla-v100",)),
        ("gpu:a100:no_consume:2", 2, ("a100",)),
        ("gpu:no_consume:2", 2, ()),
        ("gpu:a100:3(S:0-1),gpu:v100:2(S:0),nvme:1", 5, ("a100", "v100")),
        ("craynetwork:4,gpu:h100:8", 8, ("h100",)),
        ("shard:a100:32", 0, ()),
        ("(null)", 0, ()),
    ],
)
def test_gpus_in_all_their_forms(gres, gpus, models):
    found = cluster(sinfo=f"main*|up|1:00:00|1|8|9000|{gres}\n")
    [one] = found.partitions
    assert (one.gpus, one.models) == (gpus, models)
    proposed = check.proposal(found).get("gpu_model")
    assert proposed == (models[0] if len(models) == 1 and "-" not in models[0] else None), (
        "what the plugin would refuse"
    )


def test_a_gpu_whose_name_is_a_number_comes_back_from_the_site_file(tmp_path):
    (tmp_path / "site.yaml").write_text("gpu_model: 3090\n")
    assert site.load(tmp_path / "site.yaml", {}).gpu_model == "3090"
    assert site.load(tmp_path / "none.yaml", {"SEMISEG_SLURM_GPU_MODEL": "2080ti"}).gpu_model == "2080ti"
    with pytest.raises(UserError, match="gpu_model"):
        site.load(tmp_path / "none.yaml", {"SEMISEG_SLURM_GPU_MODEL": "tesla-v100"})


def test_where_there_is_no_slurm():
    found = check.look(lambda command: None)
    assert check.proposal(found) == {}
    assert ["not a login node" in one for one in check.warnings(found)] == [True]


def test_time_limits_in_all_their_forms():
    forms = {"infinite": None, "30:00": 30, "1:00": 1, "12:00:00": 720, "2-12:00:00": 3600}
    assert {text: check.minutes(text) for text in forms} == forms
