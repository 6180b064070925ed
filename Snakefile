# What there is to build. The experiment stands in params.yaml; `snakemake --config suite=NAME` builds another suite.
# The rules declare little: a run is fresh when it carries the wanted spec, whatever file times or metadata say.
from snakemake.utils import min_version

min_version("9.18")


configfile: "params.yaml"


containerized: "docker://ghcr.io/semiseg/semiseg:0.1.0"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/splits.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/report.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        rules.tables.output,
        rules.plots.output,
        rules.report.output,
    message:
        f"The study {STUDY.name}: tables, plots and report are made"
