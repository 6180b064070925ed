"""semiseg cluster check: inspect the cluster and propose slurm/site.yaml"""

from __future__ import annotations

import argparse
from typing import Any


def define(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    summary = "list the cluster's resources, propose a site file, and name likely problems"
    check = actions.add_parser("check", help=summary, description=summary)
    check.add_argument("--suite", help="default: the suite that params.yaml names")
    check.add_argument("--write", action="store_true", help="write slurm/site.yaml unless it exists")
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import yaml

    from semiseg.cluster import check
    from semiseg.cluster.site import PATH, Site, here
    from semiseg.study.study import Study

    study = Study.load(options.suite)
    found = check.look()
    for line in _description(found):
        print(line)
    lines = check.proposal(found)
    text = yaml.safe_dump(lines, sort_keys=False) if lines else ""  # the name of a GPU may look like a number: 3090
    if found.partitions:
        print(f"\nProposed site file ({PATH}; site.example.yaml beside it explains every line):\n")
        print("".join(f"    {line}\n" for line in text.splitlines()))
    asked = [study.needs[run.path] for run in study.plan.runs]
    for warning in check.warnings(found, asked, here().group_size):
        print(f"- {warning}")
    if options.write:
        _write(PATH, Site, lines, text)


def _write(path: Any, model: Any, lines: dict[str, object], text: str) -> None:
    from semiseg.base.errors import UserError
    from semiseg.base.files import write_text

    if path.exists():
        raise UserError(f"{path} exists; remove it, or copy the lines that you want")
    if not lines:
        raise UserError("no partition was found for a site file; run this command on a login node of the cluster")
    model.model_validate(lines)
    write_text(path, text)
    print(f"wrote {path}")


def _description(found: Any) -> list[str]:
    if not found.partitions:
        return ["no Slurm was found here"]
    lines = ["partition        nodes  CPUs  memory     GPUs          time limit"]
    for one in found.partitions:
        gpus = f"{one.gpus} {'/'.join(one.models)}".strip() if one.gpus else "-"
        limit = f"{one.minutes} min" if one.minutes else "none"
        name = one.name + (" (default)" if one.default else "")
        lines.append(f"{name:<16} {one.nodes:>5} {one.cpus:>5}  {one.memory_mib:>6} MiB {gpus:<13} {limit}")
    lines.append(f"accounts: {', '.join(found.accounts) or 'none listed'}")
    keeps = "slurmdbd" if found.accounting else "nobody"
    lines.append(f"accounting is kept by {keeps}; a finished job is remembered for {found.min_job_age} s (MinJobAge)")
    return lines
