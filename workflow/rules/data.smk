# Get, check and decode the data set.


localrules:
    data,
    data_all,


rule data:
    input:
        ASKED["data"][STUDY.suite.dataset],
    output:
        f"data/{STUDY.suite.dataset}/manifest.json",
    log:
        f"logs/{STUDY.name}/data.log",
    benchmark:
        f"logs/{STUDY.name}/data.tsv"
    resources:
        mem_mb=2000,
        runtime=240,  # minutes; Cityscapes on a slow disk, seconds for pocket
    params:
        semiseg=SEMISEG,
        name=STUDY.suite.dataset,
    message:
        f"Getting, checking and decoding the data set {STUDY.suite.dataset}"
    shell:
        "{params.semiseg} data prepare {params.name} > {log} 2>&1"


rule data_all:
    input:
        rules.data.output,
    message:
        f"The data set {STUDY.suite.dataset} is prepared"
