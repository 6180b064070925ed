# One job per run. Only spec.json is an output: Snakemake deletes outputs before a job, and a checkpoint must survive.
# Short trainings travel in groups (slurm/config.yaml says how many together), long ones go alone.


localrules:
    train_all,


rule train:
    input:
        request=of_run("run"),
        data=rules.data.output,
        split=f"{FOLDER}/splits/{{split}}.json",
    output:
        f"{RUN}/spec.json",
    log:
        f"logs/{STUDY.name}/train/{RUN_LOG}.log",
    benchmark:
        f"logs/{STUDY.name}/train/{RUN_LOG}.tsv"
    message:
        "Training {wildcards.method} ({wildcards.variant}) on {wildcards.split}, seed {wildcards.seed}"
    wildcard_constraints:
        method=STUDY.methods_pattern(short=False),
    threads: lambda wildcards: STUDY.resources(wildcards).cpus
    retries: 2
    resources:
        gpu=lambda wildcards: STUDY.resources(wildcards).gpus,
        mem_mb=lambda wildcards, attempt: STUDY.resources(wildcards).memory_mib * attempt,
        runtime=lambda wildcards: STUDY.resources(wildcards).minutes,
    params:
        run=subpath(output[0], parent=True),
        launcher=lambda wildcards: STUDY.resources(wildcards).launcher(sys.executable),
    shell:
        "{params.launcher} train {params.run} --request {input.request} > {log} 2>&1"


use rule train as train_short with:
    wildcard_constraints:
        method=STUDY.methods_pattern(short=True),
    group:
        "short"


rule train_all:
    input:
        each("spec.json", [cell for cell in STUDY.plan.cells if cell.kind == "comparison"]),
