# Get, check and decode the data set.


localrules:
    data,
    data_all,


rule data:
    input:
        lambda wildcards: ASKED["data"][wildcards.dataset],
    output:
        "data/{dataset}/manifest.json",
    log:
        f"logs/{STUDY.name}/data/{{dataset}}.log",
    benchmark:
        f"logs/{STUDY.name}/data/{{dataset}}.tsv"
    resources:
        mem_mb=2000,
        runtime=240,  # minutes; Cityscapes on a slow disk, seconds for pocket
    params:
        semiseg=SEMISEG,
    message:
        "Getting, checking and decoding the data set {wildcards.dataset}"
    shell:
        "{params.semiseg} data prepare {wildcards.dataset} > {log} 2>&1"


rule data_all:
    input:
        expand(rules.data.output, dataset=ASKED["data"]),
    message:
        f"The data set {STUDY.suite.dataset} is prepared"
