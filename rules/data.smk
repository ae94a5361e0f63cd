"""From published bytes to image sets in a benchmark's shape."""


rule download:
    output:
        "data/raw/{dataset}/{file}",
    log:
        "results/logs/download/{dataset}/{file}.log",
    wildcard_constraints:
        file=one_of({re.escape(file) for entry in REGISTRY.values() for file in entry.files}),
    conda:
        "../envs/environment.yaml"
    script:
        "../workflow_scripts/download.py"


rule prepare:
    input:
        raw_files,
    output:
        images="data/prepared/{shape}/{dataset}/{split}.npz",
        manifest="data/prepared/{shape}/{dataset}/{split}.json",
    log:
        "results/logs/prepare/{shape}/{dataset}/{split}.log",
    wildcard_constraints:
        dataset=one_of(set(REGISTRY) - {*NOISES, *ID_NOISES}),
    conda:
        "../envs/environment.yaml"
    params:
        decoder=lambda w: REGISTRY[w.dataset].decoder,
        files=lambda w: {
            file: REGISTRY[files_of(w)].files[file].digest
            for file in REGISTRY[w.dataset].splits[w.split][0]
        },
        argument=lambda w: REGISTRY[w.dataset].splits[w.split][1],
        classes=lambda w: REGISTRY[w.dataset].classes,
        invert=lambda w: REGISTRY[w.dataset].invert,
        shape=lambda w: [int(n) for n in w.shape.split("x")],
        folder=lambda w: f"data/raw/{files_of(w)}",
        code=code("prepare.py"),
    script:
        "../workflow_scripts/prepare.py"


rule generate_noise:
    output:
        images="data/prepared/{shape}/{dataset}/test.npz",
        manifest="data/prepared/{shape}/{dataset}/test.json",
    log:
        "results/logs/generate_noise/{shape}/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(NOISES),
    conda:
        "../envs/environment.yaml"
    params:
        shape=lambda w: [int(n) for n in w.shape.split("x")],
        code=code("generate_noise.py"),
    script:
        "../workflow_scripts/generate_noise.py"


rule generate_id_noise:
    input:
        unpack(lambda w: images(w.benchmark, of(w).dataset, ID_NOISES[w.dataset])),
    output:
        images="data/prepared/{shape}/{dataset}_{benchmark}/test.npz",
        manifest="data/prepared/{shape}/{dataset}_{benchmark}/test.json",
    log:
        "results/logs/generate_id_noise/{shape}/{dataset}/{benchmark}.log",
    wildcard_constraints:
        dataset=one_of(ID_NOISES),
    conda:
        "../envs/environment.yaml"
    params:
        shape=lambda w: [int(n) for n in w.shape.split("x")],
        classes=id_classes,
        code=code("generate_noise.py"),
    script:
        "../workflow_scripts/generate_noise.py"
