# Lists of labelled and unlabelled images.


localrules:
    split,
    splits_all,


rule split:
    input:
        request=lambda wildcards: ASKED["split"][wildcards.split],
        data=rules.data.output,
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


rule splits_all:
    input:
        expand(rules.split.output, split=STUDY.splits),
    message:
        "All lists of labelled images are chosen"
