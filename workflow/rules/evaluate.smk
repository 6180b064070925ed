# Scores under all selection rules, from the stored confusion matrices: no network, no images.


localrules:
    evaluate,
    evaluate_all,


rule evaluate:
    input:
        request=of_run("evaluation"),
        spec=f"{RUN}/spec.json",
    output:
        f"{RUN}/eval.json",
    log:
        f"logs/{STUDY.name}/evaluate/{RUN_LOG}.log",
    benchmark:
        f"logs/{STUDY.name}/evaluate/{RUN_LOG}.tsv"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        semiseg=SEMISEG,
        run=subpath(output[0], parent=True),
    message:
        "Scoring {wildcards.method} ({wildcards.variant}) on {wildcards.split}, seed {wildcards.seed}"
    shell:
        "{params.semiseg} evaluate {params.run} > {log} 2>&1"


rule evaluate_all:
    input:
        each("eval.json"),
    message:
        "All runs are scored"
