# Shared by all rules: the study that params.yaml describes, and the guard against two drivers in one folder.
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from semiseg.cluster import board, mends, site
from semiseg.cluster.early_report import EarlyReport
from semiseg.cluster.patience import fail_preempted_jobs, remember_min_job_age
from semiseg.study.driver_lock import guard, only_reads, somebody_works_here
from semiseg.base.errors import UserError
from semiseg.study.study import Study

# In a container (workflow/container.def), jobs use its Python; otherwise they use the Python that runs snakemake.
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
    mends.mend_names()
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
        if not site.here().requeue:
            fail_preempted_jobs()
        mends.mend_arrays()
    ASKED = {
        kind: {str(key): asked(product) for key, product in products.items()}
        for kind, products in STUDY.products().items()
    }
    # Computed here, so that errors in slurm/site.yaml end with a message.
    NEEDS = STUDY.needs
    CONTAINER = str(Path(site.here().container or site.IMAGE).absolute())
    if CONTAINED and not Path(CONTAINER).exists():
        raise UserError(
            f"the container {CONTAINER} does not exist; build it as docs/cluster.md says"
        )
except UserError as error:
    # A message instead of Snakemake's traceback; the exit code means that repeating cannot help.
    print(f"semiseg: {error}", file=sys.stderr)
    sys.exit(error.exit_code)

EARLY_REPORT = EarlyReport(STUDY, [PYTHON])
if workflow.is_main_process:
    board.use(STUDY, EARLY_REPORT)
FOLDER = str(STUDY.folder)
BY_PATH = {str(run.path): run for run in STUDY.plan.runs}
RUN = f"{FOLDER}/runs/{{dataset}}/{{split}}/{{method}}/{{variant}}/seed{{seed}}"
LISTS = {str(run.path): str(STUDY.specs.split_file(run)) for run in STUDY.plan.runs}
BEFORE = {
    str(run.path): [str(path) for path in STUDY.must_precede(run)]
    for run in STUDY.plan.runs
    if run.tuned_by
}
RUN_LOG = "{dataset}/{split}/{method}/{variant}/seed{seed}"


def of_run(kind):
    """Input function: the request for the run of a job's wildcards."""

    def request(wildcards):
        keep_going()
        path = RUN.format(**wildcards)
        return ASKED[kind].get(path) or not_planned(path)

    return request


def before_run(wildcards):
    """Input function: the result of tuning, and the default run, which a tuned run may equal; empty for other runs."""
    return BEFORE.get(RUN.format(**wildcards), [])


def list_of_run(wildcards):
    """The list of labelled images of the run of a job's wildcards."""
    return LISTS.get(RUN.format(**wildcards)) or not_planned(RUN.format(**wildcards))


def needed(wildcards):
    """Input function: the runs that must be finished before the run of a job's wildcards."""
    run = BY_PATH.get(RUN.format(**wildcards))
    return [str(one.path / "spec.json") for one in run.needs.values()] if run else []


def not_planned(path):
    """Raise an error for a requested file of a run that is not in the suite."""
    try:
        STUDY.run_at(path)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def keep_going():
    """Let a group continue after a failure: its members are independent, but Snakemake does not pass --keep-going to jobs.

    Input functions call it, because the settings do not exist yet when the rules are read.
    """
    if not workflow.is_main_process:
        workflow.execution_settings.keep_going = True


def each(product, cells=None, runs=None):
    """The file `product` of all runs, of the given runs, or of the runs of the given cells."""
    if cells is not None:
        runs = {run.path: run for cell in cells for run in cell.runs}.values()
    return [
        str(run.path / product) for run in (STUDY.plan.runs if runs is None else runs)
    ]


def repeats(short):
    """Retries in the main process; 0 in jobs, which would otherwise retry inside themselves without more memory."""
    return NEEDS.attempts(short) - 1 if workflow.is_main_process else 0


def resources_of(wildcards):
    """The resources that the run of a job's wildcards requests."""
    return NEEDS[Path(RUN.format(**wildcards))]


def asks(what):
    """The requests of one resource: a single value if all runs agree, which saves Snakemake time, else a function."""
    values = NEEDS.values(what)
    if len(values) == 1:
        return values.pop()
    return lambda wildcards: getattr(resources_of(wildcards), what)


def plot(name, words):
    """A plot's file, with its title and caption for `snakemake --report`; the texts are the same as in the HTML report."""
    caption = Path(f".snakemake/captions/{STUDY.name}/{name}.rst").absolute()
    if workflow.is_main_process:
        caption.parent.mkdir(parents=True, exist_ok=True)
        caption.write_text(words["caption"] + "\n")
    path = f"{FOLDER}/plots/{name}.svg"
    return report(
        path, category="Plots", labels={"plot": words["title"]}, caption=str(caption)
    )


def request_of_data(wildcards):
    """DVC may ask for a data set that the present suite does not use."""
    name = wildcards.dataset
    if name not in STUDY.params.datasets:
        raise WorkflowError(f"params.yaml: there is no data set {name!r}")
    return ASKED["data"].setdefault(name, asked(STUDY.data_product(name)))


def got(wildcards):
    name = wildcards.dataset
    known = STUDY.params.datasets.get(name)
    return (
        [f".snakemake/got/{name}"]
        if known is not None and known.kind != "pocket"
        else []
    )
