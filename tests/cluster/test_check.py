from __future__ import annotations

from semiseg.cluster import check

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


def cluster(storage="accounting_storage/slurmdbd", requeue=1, age=300, accounts="physics|normal\n", books=""):
    answers = {
        "sinfo": SINFO,
        "scontrol": CONFIG.format(storage=storage, requeue=requeue, age=age),
        "sacctmgr": accounts,
        "sacct": books,
    }
    return check.look(lambda command: answers[command[0]])


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
    assert "Ctrl-C and the same command again" in said
    assert "MinJobAge is 60 s" in said and "first_poll_seconds as proposed" in said


def test_nothing_to_warn_of_on_a_healthy_cluster():
    assert check.warnings(cluster(), longest_minutes=1000, most_gpus=8) == []


def test_what_will_hurt_is_told():
    assert "sacct does not answer" in " ".join(check.warnings(cluster(books=None)))
    assert "several accounts (art, physics)" in " ".join(check.warnings(cluster(accounts="physics|\nart|\n")))
    assert "no account of yours" in " ".join(check.warnings(cluster(accounts="")))
    assert "JobRequeue is 0" in " ".join(check.warnings(cluster(requeue=0)))
    assert "go on in the next sitting" in " ".join(check.warnings(cluster(), longest_minutes=5000))
    assert "asks for 16 GPUs" in " ".join(check.warnings(cluster(), most_gpus=16))


def test_where_there_is_no_slurm():
    found = check.look(lambda command: None)
    assert check.proposal(found) == {}
    assert ["not a login node" in one for one in check.warnings(found)] == [True]


def test_time_limits_in_all_their_forms():
    forms = {"infinite": None, "30:00": 30, "1:00": 1, "12:00:00": 720, "2-12:00:00": 3600}
    assert {text: check.minutes(text) for text in forms} == forms
