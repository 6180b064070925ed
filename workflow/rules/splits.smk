# Lists of labelled and unlabelled images.


localrules:
    split,
    split_of_trials,
    splits_all,


rule split:
    input:
        request=lambda wildcards: ASKED["split"][wildcards.split],
        data=f"data/{STUDY.suite.dataset}/manifest.json",
    output:
        f"{FOLDER}/splits/{{split}}.json",
    log:
        f"logs/{STUDY.name}/splits/{{split}}.log",
    benchmark:
        f"logs/{STUDY.name}/splits/{{split}}.tsv"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        semiseg=SEMISEG,
    message:
        "Choosing the labelled images of the split {wildcards.split}"
    shell:
        "{params.semiseg} split {output} --request {input.request} > {log} 2>&1"


use rule split as split_of_trials with:
    input:
        request=lambda wildcards: ASKED["split"][
            f"{wildcards.dataset}/{wildcards.split}"
        ],
        data="data/{dataset}/manifest.json",
    output:
        f"{FOLDER}/splits/{{dataset}}/{{split}}.json",
    log:
        f"logs/{STUDY.name}/splits/{{dataset}}/{{split}}.log",
    benchmark:
        f"logs/{STUDY.name}/splits/{{dataset}}/{{split}}.tsv"


rule splits_all:
    input:
        expand(f"{FOLDER}/splits/{{split}}.json", split=STUDY.splits),
    message:
        "All lists of labelled images are chosen"
