"""A Slurm to throw away: several nodes on this host, fake GPUs, with or without an accounting database.

    python tests/slurm/throwaway.py up FOLDER [--accounting]
    python tests/slurm/throwaway.py down FOLDER

It needs root and the packages slurm-wlm, munge (and slurmdbd, mariadb-server), but neither systemd nor a network. Its
configuration is linked into /etc/slurm, because jobs that Snakemake sends find it nowhere else (the plugin removes
SLURM_CONF from their environment): one such cluster on a host at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ETC = Path("/etc/slurm")
MARK = ETC / "throwaway"  # names the folder of the cluster that is up
SLURM_CONF = """\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=slurm
AuthType=auth/munge
CredType=cred/munge
AuthInfo=cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout={silence}
KillWait=10
MinJobAge=600
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
AccountingStorageType=accounting_storage/{storage}
{books}GresTypes=gpu
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-{last_port}] CPUs=4 Boards=1 \
SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=16000 Gres=gpu:fake:2 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES LLN=YES DefaultTime=10 MaxTime=1-0 State=UP PriorityTier=1 GraceTime=60
PartitionName=brief Nodes=ALL MaxTime=1 State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=10 State=UP PriorityTier=9 PreemptMode=OFF
"""
BOOKS = """\
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu
"""
# Character devices that exist everywhere: Slurm numbers them in CUDA_VISIBLE_DEVICES and touches nothing else.
GRES_CONF = "Name=gpu Type=fake File=/dev/null\nName=gpu Type=fake File=/dev/zero\n"
DBD_CONF = """\
AuthType=auth/munge
DbdHost=localhost
DbdPort=16819
SlurmUser=slurm
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm_acct_db
"""
DATABASE = """\
create database slurm_acct_db;
create user slurm@localhost identified via unix_socket;
grant all on slurm_acct_db.* to slurm@localhost;
"""


class Cluster:
    """The daemons of one cluster, each of which can be stopped and started again while jobs run."""

    def __init__(self, folder: Path, nodes: int = 3, accounting: bool = False, silence: int = 10) -> None:
        self.folder, self.nodes, self.accounting, self.silence = Path(folder), nodes, accounting, silence

    @classmethod
    def running(cls) -> Cluster | None:
        """The running cluster of this host, if these tests started it and it answers."""
        if not MARK.exists() or not shutil.which("sinfo") or _run("sinfo", check=False).returncode:
            return None
        folder = Path(MARK.read_text().strip())
        nodes = len(list((folder / "spool").iterdir()))
        return cls(folder, nodes, accounting=(folder / "etc/slurmdbd.conf").exists())

    # ---------------------------------------------------------------- up and down

    def up(self) -> Cluster:
        self._refuse_a_closed_folder()
        for name in ("etc", "state", "spool", "log", "run", "database", "sockets"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name in ("state", "log", "run"):
            shutil.chown(self.folder / name, "slurm", "slurm")
        self._configure()
        self.start("munged")
        _wait("munge", lambda: _run("munge", "-n", check=False).returncode == 0)
        if self.accounting:
            self._open_books()
        self.start("slurmctld")
        for node in self.names:
            (self.folder / "spool" / node).mkdir(exist_ok=True)
            self.start(f"slurmd-{node}")
        _wait("the nodes", lambda: self.idle() == self.nodes, 60, self._last_words)
        return self

    def down(self) -> None:
        _run("scancel", "-u", getpass.getuser(), check=False)
        for name in (*(f"slurmd-{node}" for node in self.names), "slurmctld", "slurmdbd", "mariadbd", "munged"):
            self.stop(name, signal.SIGKILL)
        for path in ETC.iterdir():
            if path.is_symlink() and Path(os.readlink(path)).is_relative_to(self.folder):
                path.unlink()
        MARK.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def names(self) -> list[str]:
        return [f"n{number + 1}" for number in range(self.nodes)]

    def idle(self) -> int:
        return len(_run("sinfo", "-h", "-N", "-p", "main", "-t", "idle", check=False).stdout.split("\n")) - 1

    def _refuse_a_closed_folder(self) -> None:
        """The daemons run as other users and need access."""
        for folder in self.folder.parents:
            if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
                raise SystemExit(f"{folder} is closed to other users: `chmod o+x {folder}`, or take another folder")

    def _last_words(self) -> str:
        """The logs of the daemons, for error messages."""
        logs = sorted(path for path in (self.folder / "log").iterdir() if path.stat().st_size)
        return "\n".join(f"{path.name}: {line}" for path in logs for line in path.read_text().splitlines()[-5:])

    def _configure(self) -> None:
        host, last = socket.gethostname().split(".")[0], 17000 + self.nodes
        texts = {
            "slurm.conf": SLURM_CONF.format(
                host=host,
                folder=self.folder,
                nodes=self.nodes,
                last_port=last,
                silence=self.silence,
                storage="slurmdbd" if self.accounting else "none",
                books=BOOKS if self.accounting else "",
            ),
            "gres.conf": GRES_CONF,
            "cgroup.conf": "CgroupAutomount=no\n",
        }
        if self.accounting:
            texts["slurmdbd.conf"] = DBD_CONF.format(folder=self.folder)
        for name, text in texts.items():
            path = self.folder / "etc" / name
            path.write_text(text)
            link = ETC / name
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        MARK.write_text(f"{self.folder}\n")
        if self.accounting:
            shutil.chown(self.folder / "etc/slurmdbd.conf", "slurm", "slurm")
            (self.folder / "etc/slurmdbd.conf").chmod(0o600)

    def _open_books(self) -> None:
        """A database that listens on a socket alone, the accounting daemon, one account with this user."""
        for name in ("database", "sockets"):
            shutil.chown(self.folder / name, "mysql")
        _run(
            "mariadb-install-db",
            "--user=mysql",
            f"--datadir={self.folder}/database",
            "--skip-test-db",
            "--auth-root-authentication-method=socket",
        )
        self.start("mariadbd")
        options = ("--no-defaults", "-S", f"{self.folder}/sockets/database")
        _wait("the database", lambda: _run("mariadb-admin", *options, "ping", check=False).returncode == 0)
        _run("mariadb", *options, "-e", DATABASE)
        self.start("slurmdbd")
        _wait("slurmdbd", lambda: _run("sacctmgr", "-n", "show", "cluster", check=False).returncode == 0)
        _run("sacctmgr", "-i", "add", "cluster", "throwaway")
        _run("sacctmgr", "-i", "add", "account", "research", "cluster=throwaway")
        _run("sacctmgr", "-i", "add", "user", getpass.getuser(), "account=research", "cluster=throwaway")

    def mend(self) -> None:
        """Start stopped daemons, and wait until every node answers."""
        books = ("slurmdbd",) if self.accounting else ()
        for name in (*books, "slurmctld", *(f"slurmd-{node}" for node in self.names)):
            if not (self.folder / f"{name}.pid").exists():
                self.start(name)
        _run("scontrol", "update", "NodeName=ALL", "State=RESUME", check=False)

    # ---------------------------------------------------------------- single daemons

    def start(self, name: str) -> None:
        log = (self.folder / "log" / f"{name}.out").open("ab")
        environment = dict(os.environ, MYSQL_UNIX_PORT=f"{self.folder}/sockets/database")
        for variable in ("SLURM_CONF", "PYTHONPATH"):
            environment.pop(variable, None)
        process = subprocess.Popen(
            self._command(name),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            user="munge" if name == "munged" else None,
            group="munge" if name == "munged" else None,
        )
        (self.folder / f"{name}.pid").write_text(str(process.pid))

    def _command(self, name: str) -> list[str]:
        if name.startswith("slurmd-"):
            return ["slurmd", "-D", "-N", name.removeprefix("slurmd-")]
        if name == "munged":
            for path in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
                Path(path).mkdir(exist_ok=True)
                shutil.chown(path, "munge", "munge")
            Path("/run/munge").chmod(0o755)
            return ["munged", "-F"]
        return {
            "slurmctld": ["slurmctld", "-D"],
            "slurmdbd": ["slurmdbd", "-D"],
            "mariadbd": [
                "mariadbd",
                "--no-defaults",
                "--user=mysql",
                f"--datadir={self.folder}/database",
                f"--socket={self.folder}/sockets/database",
                f"--pid-file={self.folder}/sockets/pid",
                "--skip-networking",
                "--innodb-buffer-pool-size=128M",
                "--innodb-lock-wait-timeout=900",
            ],
        }[name]

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one daemon; with SIGKILL it is lost rather than stopped."""
        note = self.folder / f"{name}.pid"
        if not note.exists():
            return
        pid = int(note.read_text())
        note.unlink()
        for attempt in (how, signal.SIGKILL):  # a slurmd that looks for its controller does not listen
            try:
                os.kill(pid, attempt)
                _wait(f"the end of {name}", lambda: not _alive(pid), 5)
                return
            except ProcessLookupError:
                return
            except TimeoutError:
                continue

    def lose(self, node: str) -> None:
        """Simulate the loss of a machine: end its daemon, and every process of its jobs."""
        jobs = _run("squeue", "-h", "-w", node, "-o", "%A").stdout.split()
        self.stop(f"slurmd-{node}", signal.SIGKILL)
        marks = tuple(f"slurmstepd: [{job}." for job in jobs)
        everyone = psutil.process_iter(["cmdline"])
        for step in [one for one in everyone if " ".join(one.info["cmdline"] or ()).startswith(marks)]:
            for process in (step, *step.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # our own child would stay a zombie
    return Path(f"/proc/{pid}").exists()


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done


def _wait(what: str, ready: Callable[[], bool], seconds: float = 30, why: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not answer within {seconds:.0f} s\n{why()}")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounting", action="store_true")
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    cluster = Cluster(options.folder.resolve(), options.nodes, options.accounting)
    if options.action == "down":
        (Cluster.running() or cluster).down()
    else:
        cluster.up()
        print(_run("sinfo", "-N", "-o", "%N %T %c %m %G %P").stdout)


if __name__ == "__main__":
    main()
