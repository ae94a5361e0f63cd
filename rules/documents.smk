"""Documents that the workflow writes. Targets of their own: `record` (with a study's config), `book`, `reference`."""

RECORDED = set(map(os.path.relpath, ROOT.glob("studies/results/*.csv")))


if config["study"]:
    RECORDED.add(f"studies/results/{config['study']['name']}.csv")

    localrules:
        record,

    rule record:
        "Keep the numbers of the config's study, to be committed."
        input:
            metrics="results/tables/metrics.csv",
            comparisons="results/tables/comparisons.csv",
            costs="results/tables/costs.csv",
        output:
            f"studies/results/{config['study']['name']}.csv",
        log:
            "results/logs/record.log",
        conda:
            "../envs/environment.yaml"
        params:
            **CODE.of("tables/record.py"),
            study=config["study"],
            # as numbers, where `--config seeds=[0,1]` gives text
            seeds=PLAN.config.seeds,
            root=os.path.relpath(ROOT),
        script:
            "../workflow_scripts/tables/record.py"


rule book:
    "Write docs/results.md from the numbers of all studies."
    input:
        published=os.path.relpath(ROOT / "benchmarks" / "published.csv"),
        claims=os.path.relpath(ROOT / "docs" / "claims.yaml"),
        studies=sorted(map(os.path.relpath, ROOT.glob("studies/*.yaml"))),
        results=sorted(RECORDED),
    output:
        "docs/results.md",
    log:
        "results/logs/book.log",
    conda:
        "../envs/environment.yaml"
    params:
        **CODE.of("tables/book.py"),
        root=os.path.relpath(ROOT),
    script:
        "../workflow_scripts/tables/book.py"


rule reference:
    "Write the pages of docs/ on configuration and image sets."
    input:
        sorted(
            os.path.relpath(path)
            for folder in ("benchmarks/recipes",)
            for path in ROOT.glob(f"{folder}/**/*.yaml")
        ),
        config=os.path.relpath(ROOT / "config.yaml"),
    output:
        configuration="docs/configuration.md",
        data="docs/data.md",
    log:
        "results/logs/reference.log",
    conda:
        "../envs/environment.yaml"
    params:
        **CODE.of("tables/reference.py"),
        root=os.path.relpath(ROOT),
    script:
        "../workflow_scripts/tables/reference.py"
