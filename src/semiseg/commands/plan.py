"""semiseg plan: the runs of a suite, which are done, and the cost of the rest; it starts nothing."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.study.plan import RESULTS

if TYPE_CHECKING:
    from semiseg.study.study import Study


def define(parser: argparse.ArgumentParser) -> None:
    from semiseg.cluster import estimate

    parser.add_argument("--suite", help="default: the suite that params.yaml names")
    parser.add_argument("--why", metavar="RUN", help="folder of a run: explain why it is done or will be trained")
    parser.add_argument(
        "--device",
        choices=[estimate.CPU, *sorted(estimate.PEAKS)],
        help=f"device of the estimates; default: {estimate.REFERENCE}, or cpu if there is neither a GPU nor Slurm",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from rich.console import Console

    from semiseg.study.study import Study

    console = Console()
    if not console.is_terminal:
        console.width = 140  # do not break lines in a file or a pipe
    study = Study.load(options.suite or _suite_of(options.why))
    study.check_before_start()
    if options.why:
        console.print(why(study, options.why), markup=False, highlight=False, soft_wrap=True)
        return
    for part in overview(study, options.device or _here()):
        console.print(part, highlight=False)


def _here() -> str:
    import shutil

    from semiseg.cluster import devices, estimate

    return estimate.REFERENCE if devices.count() or shutil.which("sbatch") else estimate.CPU


def _suite_of(run: str | None) -> str | None:
    """The suite in results/<suite>/runs/…"""
    parts = Path(run).parts if run else ()
    return parts[1] if len(parts) > 2 and parts[0] == str(RESULTS) and parts[2] == "runs" else None


def why(study: Study, path: str) -> str:
    """The differences between the run's stored spec and its current one, in words."""
    from semiseg.commands.adopt import objections

    found = study.run_at(path)
    reasons = objections(study, found)
    if not reasons and study.lacks_weights(found):
        reasons = ["it was collected without weights, which a run that is not trained yet needs"]
    if not reasons:
        return f"{found.path} is done: its spec is up to date"
    return "\n  ".join([f"{found.path} will be trained, because", *reasons])


def overview(study: Study, device: str) -> list[Any]:
    """A table with one line per method and variant, and the totals."""
    from semiseg.cluster import budget, estimate, site
    from semiseg.study.requirements import hints

    on_a_cluster = device != estimate.CPU
    done = {run.path for run in study.plan.runs if study.runs[run.path].fresh()}
    costs = budget.of_runs(study, done, device)
    left = [run for run in study.plan.runs if run.path not in done]
    asked = [study.needs[run.path] for run in left]
    lines = [f"{study.name}: {study.suite.title}" if study.suite.title else study.name]
    lines.append(f"{len(study.plan.runs)} runs, {len(done)} done, {len(left)} left; {_cells(study)}")
    lines.append(_collected(done))
    lines += [_hours("done", [costs[path] for path in done]), _hours("left", [costs[run.path] for run in left])]
    if left and on_a_cluster:
        lines.append(f"on a cluster: {budget.jobs(asked, site.here().group_size)} jobs")
    if left:
        lines.append(_calendar([costs[run.path] for run in left]))
    lines += [f"warning: {hint}" for hint in hints(study, done, costs)]
    return [_table(study, done, costs, on_a_cluster), "\n".join(filter(None, lines))]


def _collected(done: set[Path]) -> str:
    """How many of the finished runs were collected from elsewhere."""
    from semiseg.runs.run_folder import RunFolder

    sources = Counter(source for path in done if (source := RunFolder(path).source))
    return "collected: " + ", ".join(f"{n} from {source}" for source, n in sorted(sources.items())) if sources else ""


def _table(study: Study, done: set[Any], costs: dict[Any, Any], on_a_cluster: bool) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("method", "variant", "runs", "done", "each", "", *(("requests", "job") if on_a_cluster else ())):
        right = name in ("runs", "done", "each")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "variant", overflow="fold")
    kinds = Counter((run.method, run.variant) for run in study.plan.runs)
    for (method, variant), count in kinds.items():
        runs = [run for run in study.plan.runs if (run.method, run.variant) == (method, variant)]
        asks, cost = study.needs[runs[0].path], costs[runs[0].path]
        job = [_asked(asks, runs[0].config), "in a group" if asks.short else "alone"] if on_a_cluster else []
        finished = sum(run.path in done for run in runs)
        table.add_row(method, variant, str(count), str(finished), _duration(cost.seconds), cost.source, *job)
    return table


def _asked(one: Any, config: dict[str, Any]) -> str:
    """What the first attempt of this run's job requests from Slurm, and how much of a GPU's memory the run needs."""
    from semiseg.cluster import gpu_memory
    from semiseg.cluster.resources import RETRIES

    sittings = one.attempts - RETRIES
    parts = [f"{one.gpus} GPU"] if one.gpus else []
    if one.gpus and (needed := gpu_memory.mib(config)):
        parts[0] += f" of {needed / 1024:.1f} GiB or more"
    parts += [f"{one.cpus} CPU", f"{one.memory_mib} MiB", f"{one.minutes} min"]
    return ", ".join(parts) + (f" x {sittings} sittings" if sittings > 1 else "")


def _cells(study: Study) -> str:
    full = [cell for cell in study.plan.cells if cell.runs]
    kinds = Counter("comparison" if cell.kind == "comparison" else "ablations" for cell in full)
    parts = [f"{count} cells of the {kind}" for kind, count in kinds.items()]
    empty = Counter(cell.reason for cell in study.plan.cells if not cell.runs)
    return ", ".join([*parts, *(f"{count} that do not apply ({reason})" for reason, count in empty.items())])


def _hours(label: str, costs: list[Any]) -> str:
    if not costs:
        return ""
    gpu = sum(cost.seconds * cost.on_gpu for cost in costs) / 3600
    cpu = sum(cost.seconds for cost in costs if not cost.on_gpu) / 3600
    hours = [f"{gpu:.1f} GPU-hours"] * bool(gpu) + [f"{cpu:.2f} hours on CPU cores"] * bool(cpu)
    sources = {cost.source for cost in costs}
    origin = "measured" if sources == {"measured"} else "estimate" if sources == {"estimate"} else "partly estimate"
    return f"{label}: {', '.join(hours)}, {_size(sum(cost.bytes for cost in costs))} of results ({origin})"


def _calendar(costs: list[Any]) -> str:
    from semiseg.cluster import budget

    on_gpu = any(cost.on_gpu for cost in costs)
    seconds = [cost.seconds for cost in costs]
    slots = (1, 8, 64) if on_gpu else (1, 2, 8)
    times = ", ".join(f"{_duration(86400 * budget.days(seconds, n))} on {n}" for n in slots)
    return f"elapsed time, if all devices are always busy: {times} {'GPUs' if on_gpu else 'CPU cores'}"


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
