# Scores under all selection rules, from the stored confusion matrices, without network and images. Each training is scored
# at the end of its job. This job scores the remaining runs, for example after a change of the scoring code.


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
        "Checking that all runs are scored"
    shell:
        "{params.semiseg} evaluate --suite {params.suite} --list {output} > {log} 2>&1"


rule evaluate_all:
    input:
        rules.evaluate.output,
    message:
        "All runs are scored"
