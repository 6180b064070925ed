# Get, check and decode data sets. Downloads run where snakemake runs, all else where trainings run.

# Generated images take seconds, less than the waiting time in a queue.
DOWNLOADED = [
    name for name in ASKED["data"] if STUDY.params.datasets[name].kind != "pocket"
]


localrules:
    get,
    data_all,


rule get:
    input:
        request_of_data,
    output:
        temp(touch(".snakemake/got/{dataset}")),
    log:
        f"logs/{STUDY.name}/get/{{dataset}}.log",
    benchmark:
        f"logs/{STUDY.name}/get/{{dataset}}.tsv"
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        semiseg=SEMISEG,
    message:
        "Getting the source files of the data set {wildcards.dataset}"
    shell:
        "{params.semiseg} data get {wildcards.dataset} > {log} 2>&1"


rule data:
    input:
        request_of_data,
        got,
    output:
        "data/{dataset}/manifest.json",
    log:
        f"logs/{STUDY.name}/data/{{dataset}}.log",
    benchmark:
        f"logs/{STUDY.name}/data/{{dataset}}.tsv"
    localrule: not DOWNLOADED
    threads: 2
    resources:
        mem_mb=4000,
        runtime=240,  # minutes; Cityscapes on a slow disk
        slurm_partition=site.here().cpu_partition or site.here().partition,
    params:
        semiseg=SEMISEG,
    message:
        "Checking and decoding the data set {wildcards.dataset}"
    shell:
        "{params.semiseg} data prepare {wildcards.dataset} > {log} 2>&1"


rule data_all:
    input:
        expand(rules.data.output, dataset=ASKED["data"]),
    message:
        f"The data of the suite {STUDY.name} are prepared"
