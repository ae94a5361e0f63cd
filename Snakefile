import os

from snakemake.utils import min_version

min_version("9.11")


# with --directory, of that folder if it has one
configfile: "config.yaml" if os.path.exists("config.yaml") else f"{workflow.basedir}/config.yaml"


report: "rules/captions/start.rst"


container: None


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/fit.smk"
include: "rules/baselines.smk"
include: "rules/gaussians.smk"
include: "rules/cmg.smk"
include: "rules/oodgen.smk"
include: "rules/likelihood_ratio.smk"
include: "rules/leave_out.smk"
include: "rules/vmdls.smk"
include: "rules/csi.smk"
include: "rules/pytorch_ood.smk"
include: "rules/scores.smk"
include: "rules/tables.smk"
include: "rules/documents.smk"
include: "rules/pictures.smk"


# a cluster's nodes may have no way out, and what is left is short
localrules:
    all,
    download,
    tables,
    available,
    book,
    reference,


onstart:
    pass_on_signals()


onerror:
    print(*FAILURES.lines(), sep="\n", file=sys.stderr)


rule all:
    "Tables and pictures of the config's benchmarks."
    default_target: True
    input:
        rules.tables.output,
        JOBS.pseudo_ood(),
        JOBS.rankings(),
        [
            figure(PLAN.config.scale, benchmark, kind, name, config["figure_format"])
            for benchmark in PLAN.benchmarks
            for kind, one in PICTURES.items()
            for name in one["names"](benchmark)
        ],
