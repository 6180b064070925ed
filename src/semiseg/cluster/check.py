"""Inspect the present cluster: its resources, a matching site file, and likely problems."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from semiseg.cluster.resources import Resources

AFFECTS_RESULTS = False

SINFO = ("sinfo", "-h", "-o", "%P|%a|%l|%D|%c|%m|%G")
CONFIG = ("scontrol", "show", "config")
ASSOCIATIONS = ("sacctmgr", "-n", "-P", "list", "associations", f"user={getpass.getuser()}", "format=account,qos")
BOOKS = ("sacct", "-X", "-n", "-P", "-o", "jobid")
# gpu:4, gpu:a100:4(S:0-1), gpu:2080ti:8, gpu:1g.10gb:7, gpu:tesla-v100:no_consume:2 ...
GPUS = re.compile(r"(?<![\w-])gpu:(?:(?!no_consume:)([^:,()]+):)?(?:no_consume:)?(\d+)(?=[(,]|$)")
TAKEN = re.compile(r"[\w.]+")  # types that Snakemake's plugin lets through
POLL_SECONDS = 40  # seconds that Snakemake's plugin waits before its first query


@dataclass(frozen=True)
class Partition:
    name: str
    default: bool
    minutes: int | None  # None: no limit
    nodes: int
    cpus: int
    memory_mib: int
    gpus: int  # per node
    models: tuple[str, ...]


@dataclass
class Findings:
    partitions: list[Partition] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    accounting: bool = False
    books_answer: bool = False
    min_job_age: int | None = None
    requeue: bool = True
    kill_wait: int | None = None
    silent: list[str] = field(default_factory=list)  # commands that are missing or do not answer


Asker = Callable[[Sequence[str]], str | None]


def ask(command: Sequence[str]) -> str | None:
    """The output of a command; None if it is missing, fails or does not answer in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def look(asker: Asker = ask) -> Findings:
    found = Findings()
    texts = {command[0]: asker(command) for command in (SINFO, CONFIG, ASSOCIATIONS)}
    found.silent = [name for name, text in texts.items() if text is None]
    found.partitions = _partitions(texts["sinfo"] or "")
    settings = _settings(texts["scontrol"] or "")
    found.accounting = settings.get("AccountingStorageType", "accounting_storage/none") not in (
        "accounting_storage/none", "(null)",
    )  # fmt: skip
    found.books_answer = found.accounting and asker(BOOKS) is not None
    found.min_job_age = _number(settings.get("MinJobAge"))
    found.kill_wait = _number(settings.get("KillWait"))
    found.requeue = settings.get("JobRequeue", "1") != "0"
    found.accounts = sorted({line.split("|")[0] for line in (texts["sacctmgr"] or "").splitlines() if line})
    return found


def proposal(found: Findings) -> dict[str, object]:
    """The lines of a site file for the resources that were found."""
    lines: dict[str, object] = {}
    with_gpus = sorted((one for one in found.partitions if one.gpus), key=lambda one: (-one.gpus * one.nodes, one.name))
    default = next((one for one in found.partitions if one.default), None)
    gpu = default if default and default.gpus else with_gpus[0] if with_gpus else default
    if gpu:
        lines["partition"] = gpu.name
        plain = [one for one in found.partitions if not one.gpus]
        if gpu.gpus and plain:
            lines["cpu_partition"] = next((one for one in plain if one.default), plain[0]).name
        if gpu.minutes:
            lines["max_minutes"] = gpu.minutes
        lines["max_memory_mib"] = gpu.memory_mib
        if len(gpu.models) == 1 and TAKEN.fullmatch(gpu.models[0]):
            lines["gpu_model"] = gpu.models[0]
    if len(found.accounts) == 1:
        lines["account"] = found.accounts[0]
    if found.min_job_age is not None and found.min_job_age < 3 * POLL_SECONDS:
        lines["first_poll_seconds"] = max(1, found.min_job_age // 3)
    return lines


def warnings(found: Findings, asked: Sequence[Resources] = (), group_size: int = 1) -> list[str]:
    """Likely problems on this cluster and their remedies; `asked` holds the resources that the study's runs request."""
    said = []
    if "sinfo" in found.silent:
        return ["sinfo does not answer: this machine is not a login node of a Slurm cluster, or its controller is down"]
    if not found.accounting:
        said.append(
            "there is no accounting here (no slurmdbd): Snakemake may wait for ever after a short outage of the "
            "controller. Remedy: press Ctrl-C and repeat the command; finished runs are kept, interrupted ones continue"
        )
    elif not found.books_answer:
        said.append("accounting is configured, but sacct does not answer: slurmdbd is down, or does not know this user")
    if found.min_job_age is not None and found.min_job_age < 3 * POLL_SECONDS:
        said.append(
            f"MinJobAge is {found.min_job_age} s: the controller forgets a finished job before Snakemake has polled "
            f"three times. Ask the operators for a value of {3 * POLL_SECONDS}, or set first_poll_seconds as proposed"
        )
    if len(found.accounts) > 1:
        said.append(f"you have several accounts ({', '.join(found.accounts)}): name one in the site file")
    if found.accounting and not found.accounts:
        said.append("sacctmgr lists no account of yours: sbatch may refuse every job; ask the operators for one")
    if not found.requeue:
        said.append(
            "JobRequeue is 0: Slurm does not restart jobs after preemption or loss of a node, but Snakemake submits "
            "them again; if sbatch refuses --requeue, set requeue to false"
        )
    return said + _too_much(found, asked, group_size)


def _too_much(found: Findings, asked: Sequence[Resources], group_size: int) -> list[str]:
    """Requests that exceed the limits of the jobs' partitions; for each partition only the largest is reported."""
    said = []
    travelling = min(group_size, sum(one.short for one in asked))
    for names in dict.fromkeys(_destination(found, one) for one in asked):
        here = [one for one in found.partitions if one.name in names]
        runs = [one for one in asked if _destination(found, one) == names]
        where = " or ".join(names)
        if not here:
            said.append(f"jobs go to the partition {where}, which sinfo does not list as up: correct the site file")
            continue
        limit = max(one.minutes or 10**9 for one in here)
        longest = max(one.minutes * (travelling if one.short else 1) for one in runs)
        if longest > limit:
            said.append(
                f"the longest job requests {longest} min; the time limit of {where} is {limit} min: Slurm would refuse "
                f"it or let it wait for ever; set max_minutes to {limit}, so that trainings stop with a checkpoint and "
                "continue in the next job"
            )
        gpus, most = max(one.gpus for one in here), max(one.gpus for one in runs)
        if most > gpus:
            said.append(f"a recipe requests {most} GPUs on one node, but the largest node of {where} has {gpus}")
    return said


def _destination(found: Findings, one: Resources) -> tuple[str, ...]:
    """The partitions of a job: those in the site file, else those in the proposed file."""
    lines = proposal(found)
    name = one.partition or (None if one.gpus else lines.get("cpu_partition")) or lines.get("partition") or "default"
    return tuple(str(name).split(","))


def _partitions(text: str) -> list[Partition]:
    """Parse sinfo. A partition has one line for each kind of node; these are merged, and the largest node counts."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, up, limit, nodes, cpus, memory, gres = line.strip().split("|", 6)
        if up != "up":
            continue
        models = GPUS.findall(gres)
        one = Partition(
            name.rstrip("*"), name.endswith("*"), minutes(limit), int(nodes), _number(cpus) or 1, _number(memory) or 0,
            sum(int(count) for _, count in models), tuple(sorted({model for model, _ in models if model})),
        )  # fmt: skip
        other = found.get(one.name)
        found[one.name] = one if other is None else Partition(
            one.name, one.default, one.minutes, one.nodes + other.nodes, max(one.cpus, other.cpus),
            max(one.memory_mib, other.memory_mib), max(one.gpus, other.gpus),
            tuple(sorted({*one.models, *other.models})),
        )  # fmt: skip
    return list(found.values())


def minutes(limit: str) -> int | None:
    """Slurm's [days-]hours:minutes:seconds, or minutes:seconds."""
    if limit in ("infinite", "n/a", "UNLIMITED"):
        return None
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, mins = (parts[0], parts[1]) if len(parts) == 3 else (0, parts[0])
    return (int(days) if days else 0) * 1440 + hours * 60 + mins


def _settings(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _number(text: str | None) -> int | None:
    found = re.match(r"\d+", text or "")
    return int(found[0]) if found else None
