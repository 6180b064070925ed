# One job per run. Only spec.json is an output: Snakemake deletes outputs before a job, and checkpoints must be kept.
# Short trainings share jobs (slurm/config.yaml sets the group size); each long training has a separate job.

import signal

if not workflow.is_main_process:
    # Slurm's signal before the time limit is meant for the training; it would kill the snakemake process around it.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


localrules:
    train_all,


rule train:
    input:
        request=of_run("run"),
        data="data/{dataset}/manifest.json",
        split=list_of_run,
        before=before_run,
        needed=needed,
    output:
        f"{RUN}/spec.json",
    log:
        f"logs/{STUDY.name}/train/{RUN_LOG}.log",
    benchmark:
        f"logs/{STUDY.name}/train/{RUN_LOG}.tsv"
    wildcard_constraints:
        method=NEEDS.methods_pattern(short=False),
    retries: repeats(short=False)
    threads: asks("cpus")
    resources:
        gpu=lambda wildcards: resources_of(wildcards).gpus or None,
        gpu_model=asks("gpu_model"),
        mem_mb=lambda wildcards, attempt: resources_of(wildcards).memory(attempt),
        runtime=asks("minutes"),
        slurm_partition=asks("partition"),
        slurm_extra=asks("notice"),
        # Otherwise Slurm may combine GPUs of several nodes, but the processes of a training must share one node.
        nodes=1,
        turn=1,
    params:
        semiseg=SEMISEG,
        run=subpath(output[0], parent=True),
    message:
        "Training {wildcards.method} ({wildcards.variant}) on {wildcards.split}, seed {wildcards.seed}"
    shell:
        # exec: signals reach the training itself and not a shell around it, and Snakemake waits for the training.
        "exec {params.semiseg} train {params.run} --request {input.request} > {log} 2>&1"


use rule train as train_short with:
    wildcard_constraints:
        method=NEEDS.methods_pattern(short=True),
    retries: repeats(short=True)
    group:
        "short"


rule train_all:
    input:
        request=ASKED["stage"]["train"],
        specs=each(
            "spec.json",
            [cell for cell in STUDY.plan.cells if cell.kind == "comparison"],
        ),
    output:
        f"{FOLDER}/stages/train.json",
    log:
        f"logs/{STUDY.name}/train.log",
    benchmark:
        f"logs/{STUDY.name}/train.tsv"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        semiseg=SEMISEG,
    message:
        "All runs of the comparison are trained"
    shell:
        "{params.semiseg} stage {output} {input.specs} > {log} 2>&1"
