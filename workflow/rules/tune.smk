# The best of a method's trials. Tuned runs are planned beforehand and wait for this file.


localrules:
    tuning,


rule tuning:
    input:
        request=lambda wildcards: ASKED["tuning"][wildcards.method],
        trials=lambda wildcards: each(
            "spec.json",
            runs=[run for run in STUDY.plan.trials if run.method == wildcards.method],
        ),
    output:
        f"{FOLDER}/tuning/{{method}}.json",
    log:
        f"logs/{STUDY.name}/tuning/{{method}}.log",
    benchmark:
        f"logs/{STUDY.name}/tuning/{{method}}.tsv"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        semiseg=SEMISEG,
    message:
        "Choosing the best trial of {wildcards.method}"
    shell:
        "{params.semiseg} tune {output} > {log} 2>&1"
