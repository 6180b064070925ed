# Tables, plots and the HTML report, from the runs' records and stored evaluations only.


localrules:
    tables,
    plots,
    report,


rule tables:
    input:
        ASKED["tables"][STUDY.name],
        rules.evaluate.output,
    output:
        f"{FOLDER}/records.jsonl",
        f"{FOLDER}/evaluations.npz",
        f"{FOLDER}/tables/made_from.json",
        f"{FOLDER}/metrics/made_from.json",
        f"{FOLDER}/metrics/summary.json",
        report(
            f"{FOLDER}/tables/comparison.md",
            category="Tables",
            caption="../report/comparison.rst",
        ),
    log:
        f"logs/{STUDY.name}/tables.log",
    benchmark:
        f"logs/{STUDY.name}/tables.tsv"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        semiseg=SEMISEG,
        suite=STUDY.name,
    message:
        "Assembling the tables"
    shell:
        "{params.semiseg} report tables --suite {params.suite} > {log} 2>&1"


rule plots:
    input:
        ASKED["plots"][STUDY.name],
        rules.tables.output,
    output:
        f"{FOLDER}/README.md",
        f"{FOLDER}/plots/made_from.json",
        *[plot(name, words) for name, words in STUDY.plots.items()],
    log:
        f"logs/{STUDY.name}/plots.log",
    benchmark:
        f"logs/{STUDY.name}/plots.tsv"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        semiseg=SEMISEG,
        suite=STUDY.name,
    message:
        "Drawing the plots, and writing the study's README.md"
    shell:
        "{params.semiseg} report plots --suite {params.suite} > {log} 2>&1"


rule report:
    input:
        ASKED["report"][STUDY.name],
        rules.tables.output,
        rules.plots.output,
    output:
        report(
            directory(f"{FOLDER}/report"),
            htmlindex="index.html",
            category="Report",
            caption="../report/pages.rst",
        ),
    log:
        f"logs/{STUDY.name}/report.log",
    benchmark:
        f"logs/{STUDY.name}/report.tsv"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        semiseg=SEMISEG,
        suite=STUDY.name,
    message:
        "Writing the report"
    shell:
        "{params.semiseg} report html --suite {params.suite} > {log} 2>&1"


onstart:
    EARLY_REPORT.start()


onsuccess:
    EARLY_REPORT.remove()


# After a failed training the tables are made anyway; its cell shows the state of the run.
onerror:
    if workflow.is_main_process:
        EARLY_REPORT.stop()
        shell(
            "{SEMISEG} report all --suite {STUDY.name} >> logs/{STUDY.name}/report.log 2>&1 || true"
        )
