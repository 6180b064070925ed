"""What slurm/config.yaml asks while Snakemake reads it."""

from __future__ import annotations

import shutil
import subprocess

from semiseg.cluster import site

SITE = site.here()


def status_command() -> str:
    """How Snakemake learns how its jobs are: `sacct` only where accounting is kept, else it would wait for ever."""
    return SITE.status or ("sacct" if has_accounting() else "squeue")


def has_accounting() -> bool:
    """Whether Slurm stores jobs in a database, by its own configuration; False where it does not answer."""
    if not (shutil.which("scontrol") and shutil.which("sacct")):
        return False
    try:
        shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    for line in shown.stdout.splitlines():
        if line.startswith("AccountingStorageType"):
            return line.split("=")[1].strip() not in ("accounting_storage/none", "(null)")
    return False
