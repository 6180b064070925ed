# Ablations are cells like those of the comparison; these targets build the runs of one of them, or of all.


localrules:
    ablations_all,


for ABLATION in STUDY.suite.ablations:

    rule:
        name:
            f"ablation_{ABLATION}"
        localrule: True
        input:
            each("eval.json", [cell for cell in STUDY.plan.cells if cell.kind == ABLATION]),


rule ablations_all:
    input:
        each("spec.json", [cell for cell in STUDY.plan.cells if cell.kind != "comparison"]),
