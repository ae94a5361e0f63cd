"""From published bytes to image sets in a benchmark's shape."""


rule download:
    "Fetch one file of a dataset and check it."
    output:
        "data/raw/{dataset}/{file}",
    log:
        "results/logs/download/{dataset}/{file}.log",
    wildcard_constraints:
        file=one_of({re.escape(file) for entry in REGISTRY.values() for file in entry.files}),
    conda:
        "../envs/environment.yaml"
    script:
        "../workflow_scripts/data/download.py"


rule prepare:
    "Bring one split of a dataset into a benchmark's shape."
    input:
        lambda w: [
            f"data/raw/{files_of_dataset(w)}/{file}"
            for file in REGISTRY[w.dataset].splits[w.split][0]
        ],
    output:
        images=update("data/prepared/{shape}/{dataset}/{split}.npz"),
        manifest=update("data/prepared/{shape}/{dataset}/{split}.json"),
    log:
        "results/logs/prepare/{shape}/{dataset}/{split}.log",
    wildcard_constraints:
        dataset=one_of(set(REGISTRY) - {*NOISES, *ID_NOISES}),
    group:
        "images"
    conda:
        "../envs/environment.yaml"
    params:
        **CODE.of("data/prepare.py"),
        decoder=lambda w: REGISTRY[w.dataset].decoder,
        files=lambda w: {
            file: REGISTRY[files_of_dataset(w)].files[file].digest
            for file in REGISTRY[w.dataset].splits[w.split][0]
        },
        argument=lambda w: REGISTRY[w.dataset].splits[w.split][1],
        classes=lambda w: REGISTRY[w.dataset].classes,
        invert=lambda w: REGISTRY[w.dataset].invert,
        first=lambda w: REGISTRY[w.dataset].first,
        folder=lambda w: f"data/raw/{files_of_dataset(w)}",
    script:
        "../workflow_scripts/data/prepare.py"


rule prepare_user_images:
    "Bring a user's own images into a benchmark's shape."
    output:
        images=update("data/prepared/{shape}/{dataset}/{split}.npz"),
        manifest=update("data/prepared/{shape}/{dataset}/{split}.json"),
    log:
        "results/logs/prepare/{shape}/{dataset}/{split}.log",
    wildcard_constraints:
        dataset=one_of(PLAN.user_images),
    group:
        "images"
    conda:
        "../envs/environment.yaml"
    params:
        **CODE.of("data/prepare_user_images.py"),
        about=lambda w: PLAN.user_images[w.dataset],
        stamp=PARAMS.stamp,
    script:
        "../workflow_scripts/data/prepare_user_images.py"


rule generate_noise:
    "Draw a noise set."
    output:
        images=update("data/prepared/{shape}/{dataset}/test.npz"),
        manifest=update("data/prepared/{shape}/{dataset}/test.json"),
    log:
        "results/logs/generate_noise/{shape}/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(NOISES),
    group:
        "images"
    conda:
        "../envs/environment.yaml"
    params:
        **CODE.of("data/generate_noise.py"),
        classes=None,
    script:
        "../workflow_scripts/data/generate_noise.py"


use rule generate_noise as generate_id_noise with:
    "Draw a noise set around a benchmark's ID images."
    input:
        unpack(edges(INPUTS.noise_source)),
    output:
        images=update("data/prepared/{shape}/{dataset}_{benchmark}/test.npz"),
        manifest=update("data/prepared/{shape}/{dataset}_{benchmark}/test.json"),
    log:
        "results/logs/generate_id_noise/{shape}/{dataset}/{benchmark}.log",
    wildcard_constraints:
        dataset=one_of(ID_NOISES),
    params:
        classes=PARAMS.classes,
