# The cells of ablations are like those of the comparison; these targets build the runs of one ablation, or of all.


localrules:
    ablations_all,


for ABLATION in STUDY.suite.ablations:

    rule:
        name:
            f"ablation_{ABLATION}"
        input:
            each(
                "spec.json",
                [cell for cell in STUDY.plan.cells if cell.kind == ABLATION],
            ),
        localrule: True
        message:
            f"The runs of the ablation {ABLATION} are trained and scored"


rule ablations_all:
    input:
        request=ASKED["stage"]["ablations"],
        specs=each(
            "spec.json",
            [cell for cell in STUDY.plan.cells if cell.kind != "comparison"],
        ),
    output:
        f"{FOLDER}/stages/ablations.json",
    log:
        f"logs/{STUDY.name}/ablations.log",
    benchmark:
        f"logs/{STUDY.name}/ablations.tsv"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        semiseg=SEMISEG,
    message:
        "All runs of the ablations are trained"
    shell:
        "{params.semiseg} stage {output} {input.specs} > {log} 2>&1"
