# Scores under all selection rules, from the stored confusion matrices: no network, no images. Each training scores itself
# at the end of its own job; this one job sees to what is left, as after a change of the code of the scores.


localrules:
    evaluate,
    evaluate_all,


rule evaluate:
    input:
        request=ASKED["evaluation"][STUDY.name],
        specs=each("spec.json"),
    output:
        f"{FOLDER}/stages/scores.json",
    log:
        f"logs/{STUDY.name}/evaluate.log",
    benchmark:
        f"logs/{STUDY.name}/evaluate.tsv"
    resources:
        mem_mb=500,
        runtime=30,
    params:
        semiseg=SEMISEG,
        suite=STUDY.name,
    message:
        "Looking whether all runs are scored"
    shell:
        "{params.semiseg} evaluate --suite {params.suite} --list {output} > {log} 2>&1"


rule evaluate_all:
    input:
        rules.evaluate.output,
    message:
        "All runs are scored"
