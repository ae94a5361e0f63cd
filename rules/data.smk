"""From published bytes to image sets in a benchmark's shape."""


def raw_folder(wildcards):
    """The dataset under whose name a dataset's raw files lie."""
    return REGISTRY[wildcards.dataset].files_of or wildcards.dataset


def shape_of(wildcards):
    return [int(n) for n in wildcards.shape.split("x")]


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
            f"data/raw/{raw_folder(w)}/{file}" for file in REGISTRY[w.dataset].splits[w.split][0]
        ],
    output:
        images=update("data/prepared/{shape}/{dataset}/{split}.npz"),
        manifest=update("data/prepared/{shape}/{dataset}/{split}.json"),
    log:
        "results/logs/prepare/{shape}/{dataset}/{split}.log",
    wildcard_constraints:
        dataset=one_of(set(REGISTRY) - {*NOISES, *ID_NOISES}),
    conda:
        "../envs/environment.yaml"
    params:
        decoder=lambda w: REGISTRY[w.dataset].decoder,
        files=lambda w: {
            file: REGISTRY[raw_folder(w)].files[file].digest
            for file in REGISTRY[w.dataset].splits[w.split][0]
        },
        argument=lambda w: REGISTRY[w.dataset].splits[w.split][1],
        classes=lambda w: REGISTRY[w.dataset].classes,
        invert=lambda w: REGISTRY[w.dataset].invert,
        shape=shape_of,
        folder=lambda w: f"data/raw/{raw_folder(w)}",
        **code("data/prepare.py"),
    script:
        "../workflow_scripts/data/prepare.py"


rule generate_noise:
    "Draw a noise set."
    output:
        images=update("data/prepared/{shape}/{dataset}/test.npz"),
        manifest=update("data/prepared/{shape}/{dataset}/test.json"),
    log:
        "results/logs/generate_noise/{shape}/{dataset}.log",
    wildcard_constraints:
        dataset=one_of(NOISES),
    conda:
        "../envs/environment.yaml"
    params:
        shape=shape_of,
        classes=None,
        **code("data/generate_noise.py"),
    script:
        "../workflow_scripts/data/generate_noise.py"


use rule generate_noise as generate_id_noise with:
    "Draw a noise set around a benchmark's ID images."
    input:
        unpack(lambda w: image_set("images", w, of(w).dataset, ID_NOISES[w.dataset])),
    output:
        images=update("data/prepared/{shape}/{dataset}_{benchmark}/test.npz"),
        manifest=update("data/prepared/{shape}/{dataset}_{benchmark}/test.json"),
    log:
        "results/logs/generate_id_noise/{shape}/{dataset}/{benchmark}.log",
    wildcard_constraints:
        dataset=one_of(ID_NOISES),
    params:
        classes=id_classes,
