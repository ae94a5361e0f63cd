"""Score image sets with the detectors of one or several methods, which share their passes."""

import logging

from ood.layout import Seed
from support.job import job

log = logging.getLogger(__name__)

with job(snakemake, several=True) as work:
    params, suffix = snakemake.params, snakemake.params.suffix
    seed = Seed.containing(snakemake.output[0])
    sets = list(zip(params.datasets, snakemake.input.sets, snakemake.input.manifests, strict=True))
    shared = {k: v for k, v in params.items() if k not in ("datasets", "methods")}
    oracle = suffix == ".oracle"
    chosen_state = "" if oracle else suffix

    def digests(method: str) -> list[str]:
        """The small files that tell whether a method's detector is another one."""
        one = params.methods[method]
        if one["fitted"]:
            names = [f"detector{chosen_state}.json", f"detector{chosen_state}.pt.sha256"]
            names += ["snapshots.pt.sha256"] * oracle
            return [seed.detector(method, name) for name in names]
        names = ["model.pt.sha256"] + ["states.pt.sha256"] * oracle
        models = [
            m
            for named in one["models"].values()
            for m in ([named] if isinstance(named, str) else named)
        ]
        return [seed.model(model, name) for model in models for name in names]

    missing: dict[str, dict[str, tuple[str, str]]] = {}
    for method, one in params.methods.items():
        for dataset, _, manifest in sets:
            path = seed.scores(method, dataset, suffix)
            key = work.key([manifest, *digests(method)], one, shared)
            if not work.is_up_to_date(path, key):
                missing.setdefault(dataset, {})[method] = path, key

    if missing:
        import numpy as np

        from ood.data.images import ImageSet
        from ood.detection import contract as detectors
        from ood.detection.files import restore
        from ood.evaluation.scores import save_scores
        from ood.files import load_json
        from support import model_inputs

        classes = np.array([*params.classes, -1])
        with model_inputs.compute(snakemake) as chosen:
            wanted = dict.fromkeys(method for made in missing.values() for method in made)
            loaded = {
                method: restore(seed, method, params.methods[method], chosen, chosen_state, oracle)
                for method in wanted
            }
            for dataset, images, manifest in sets:
                if not (made := missing.get(dataset)):
                    continue
                unreadable = len(load_json(manifest)["sources"].get("unreadable", []))
                image_set = ImageSet.load(images)
                by_name = {(m, s): one for m in made for s, one in loaded[m][0].items()}
                scored = detectors.run(by_name, image_set, chosen)
                for method, (path, key) in made.items():
                    columns = {"index": np.arange(len(image_set)), "label": image_set.labels}
                    if image_set.names is not None:
                        columns["file"] = image_set.names
                    for name in loaded[method][0]:
                        scores, predicted = scored[method, name]
                        columns[f"prediction{name}"] = classes[predicted]
                        columns[f"score{name}"] = scores
                    with work.make(path, key) as temporary:
                        about = loaded[method][1] | {"unreadable": unreadable}
                        save_scores(temporary, columns, about)
                log.info("scored %s", dataset, extra={"progress": True})
