"""Rule fit_baseline: a detector from the shared classifier, or from nothing."""

from ood import classifier as classifiers
from ood.methods import baselines
from training_job import id_images, machine, save_detector
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
    size = sum(value.numel() for value in classifier[0].parameters()) if classifier else 0
    states = [content.get("state", {}), statistics]
    save_detector(snakemake, content, states, size, baselines.record(settings), chosen)
