"""Rule fit_baseline: a detector from the shared classifier, or from nothing."""

from dataclasses import asdict

from ood import classifier as classifiers
from ood import training
from ood.methods import baselines
from training_job import id_images, machine, save_config
from workflow_job import job

with job(snakemake):
    settings = dict(snakemake.params.settings)
    classifier, image_set = None, None
    if "classifier" in snakemake.input.keys():
        classifier = classifiers.load(snakemake.input.classifier)
    if "images" in snakemake.input.keys():
        image_set = id_images(snakemake)
    with machine(snakemake) as chosen:
        statistics = baselines.fit(settings, classifier and classifier[0], image_set, chosen)
    content = baselines.detector_content(settings, classifier, statistics)
    training.save_model(snakemake.output.detector, content)
    save_config(
        snakemake,
        snakemake.output.config,
        sum(value.numel() for value in classifier[0].parameters()) if classifier else 0,
        chosen,
        sha256=training.state_digest(content.get("state", {}) | statistics),
        record=asdict(baselines.record(settings)),
    )
