# What the rules share: the study that params.yaml describes, and the guard against two drivers in one folder.
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from semiseg.cluster import arrays, board, site
from semiseg.cluster.early_report import EarlyReport
from semiseg.cluster.patience import remember_min_job_age
from semiseg.study.driver_lock import guard, only_reads, somebody_works_here
from semiseg.base.errors import UserError
from semiseg.study.study import Study

# A container (workflow/container.def) has a Python of its own; elsewhere it is the one that runs snakemake.
CONTAINED = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
PYTHON = "python" if CONTAINED else sys.executable
SEMISEG = f"{shlex.quote(PYTHON)} -m semiseg"


wildcard_constraints:
    dataset="[^/]+",
    split="[^/]+",
    method="[^/]+",
    variant="[^/]+",
    seed=r"\d+",


def asked(product):
    """The request file of a product. Only the main process decides what is fresh; jobs just read."""
    if workflow.is_main_process and not LOOKS_ON:
        product.ask()
    return str(product.request)


try:
    STUDY = Study.load(config.get("suite"))
    LOOKS_ON = False
    if workflow.is_main_process:
        STUDY.check_before_start()
        if only_reads(sys.argv):
            LOOKS_ON = somebody_works_here()
        elif not {"data_all", "splits_all"} & set(sys.argv):
            STUDY.check_before_training()
        if LOOKS_ON:
            STUDY.check_before_looking_on()
        guard(sys.argv)
        remember_min_job_age()
        arrays.mend()
    ASKED = {
        kind: {str(key): asked(product) for key, product in products.items()}
        for kind, products in STUDY.products().items()
    }
    # Reckoned here, so that what is wrong with slurm/site.yaml is said in a sentence.
    NEEDS = STUDY.needs
    CONTAINER = str(Path(site.here().container or site.IMAGE).absolute())
    if CONTAINED and not Path(CONTAINER).exists():
        raise UserError(
            f"the container {CONTAINER} does not exist; build it as docs/cluster.md says"
        )
except UserError as error:
    # One sentence instead of Snakemake's traceback; the exit code says that repeating cannot help.
    print(f"semiseg: {error}", file=sys.stderr)
    sys.exit(error.exit_code)

EARLY_REPORT = EarlyReport(STUDY, [PYTHON])
if workflow.is_main_process:
    board.use(STUDY, EARLY_REPORT)
FOLDER = str(STUDY.folder)
BY_PATH = {str(run.path): run for run in STUDY.plan.runs}
RUN = f"{FOLDER}/runs/{{dataset}}/{{split}}/{{method}}/{{variant}}/seed{{seed}}"
LISTS = {str(run.path): str(STUDY.split_file(run)) for run in STUDY.plan.runs}
BEFORE = {
    str(run.path): [str(path) for path in STUDY.must_precede(run)]
    for run in STUDY.plan.runs
    if run.tuned_by
}
RUN_LOG = "{dataset}/{split}/{method}/{variant}/seed{seed}"


def of_run(kind):
    """Input function: the request that belongs to the run of a job's wildcards."""

    def request(wildcards):
        keep_going()
        path = RUN.format(**wildcards)
        return ASKED[kind].get(path) or not_planned(path)

    return request


def before_run(wildcards):
    """What a tuned run waits for: the name of the best trial, and the run that it equals if that is the default."""
    return BEFORE.get(RUN.format(**wildcards), [])


def list_of_run(wildcards):
    """The list of labelled images of the run of a job's wildcards."""
    return LISTS.get(RUN.format(**wildcards)) or not_planned(RUN.format(**wildcards))


def needed(wildcards):
    """Input function: the runs that have to be finished before the run of a job's wildcards."""
    run = BY_PATH.get(RUN.format(**wildcards))
    return [str(one.path / "spec.json") for one in run.needs.values()] if run else []


def not_planned(path):
    """Somebody asked by hand for a file of a run that the suite has not."""
    try:
        STUDY.run_at(path)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def keep_going():
    """Members of a group do not need each other, but Snakemake hands its own --keep-going on to no job.

    Asked from an input function, because the settings come after the rules have been read.
    """
    if not workflow.is_main_process:
        workflow.execution_settings.keep_going = True


def each(product, cells=None, runs=None):
    """A file of every run's folder; of these runs only, or of those that fill the given cells."""
    if cells is not None:
        runs = {run.path: run for cell in cells for run in cell.runs}.values()
    return [str(run.path / product) for run in runs or STUDY.plan.runs]


def repeats(short):
    """Only the main process tries again: a job that reads `retries` too would do so inside itself, with no more memory."""
    return NEEDS.attempts(short) - 1 if workflow.is_main_process else 0


def resources_of(wildcards):
    """What the run of a job's wildcards asks of the scheduler."""
    return NEEDS[Path(RUN.format(**wildcards))]


def asks(what):
    """What runs ask of the scheduler: one value where it is the same for all, which saves Snakemake time for every job."""
    values = NEEDS.values(what)
    if len(values) == 1:
        return values.pop()
    return lambda wildcards: getattr(resources_of(wildcards), what)


def plot(name, words):
    """A plot's file, with its title and caption for `snakemake --report`; the texts are those of the HTML report."""
    caption = Path(f".snakemake/captions/{STUDY.name}/{name}.rst").absolute()
    if workflow.is_main_process:
        caption.parent.mkdir(parents=True, exist_ok=True)
        caption.write_text(words["caption"] + "\n")
    path = f"{FOLDER}/plots/{name}.svg"
    return report(
        path, category="Plots", labels={"plot": words["title"]}, caption=str(caption)
    )
