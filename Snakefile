# The workflow stands in workflow/, where the catalogue of Snakemake workflows looks for it; this makes it the default here.
include: "workflow/Snakefile"


workflow.default_target = "all"  # an included file cannot set it
