"""Score image sets with the detectors of one or several methods, which share their passes."""

import logging
from pathlib import Path

from workflow_job import job

log = logging.getLogger(__name__)

with job(snakemake, several=True) as work:
    params, suffix = snakemake.params, snakemake.params.suffix
    folder = Path(snakemake.output[0]).parents[2]
    sets = list(zip(params.datasets, snakemake.input.sets, snakemake.input.manifests, strict=True))
    shared = {k: v for k, v in params.items() if k not in ("datasets", "methods")}
    oracle = suffix == ".oracle"
    chosen_state = "" if oracle else suffix

    def detector_files(method: str) -> dict[str, Path]:
        """Detector, what is known of it, and what the oracle protocol chooses from."""
        base = folder / "detectors" / method
        return {
            "detector": base / f"detector{chosen_state}.pt",
            "config": base / f"detector{chosen_state}.json",
            "snapshots": base / f"snapshots{chosen_state}.pt",
        }

    def digests(method: str) -> list[Path]:
        """The small files that tell whether a method's detector is another one."""
        one = params.methods[method]
        kinds = ["snapshots"] if oracle else []
        if one["fitted"]:
            files = detector_files(method)
            found = [files[kind] for kind in ("detector", *kinds)]
            return [files["config"], *(Path(f"{path}.sha256") for path in found)]
        names = ["model.pt.sha256"] + ["states.pt.sha256"] * oracle
        models = [
            m
            for named in one["models"].values()
            for m in ([named] if isinstance(named, str) else named)
        ]
        return [folder / "models" / model / name for model in models for name in names]

    missing: dict[str, dict[str, tuple[Path, str]]] = {}
    for method, one in params.methods.items():
        for dataset, _, manifest in sets:
            path = folder / "scores" / method / f"{dataset}{suffix}.parquet"
            key = work.key([manifest, *digests(method)], one, shared)
            if not work.stands(path, key):
                missing.setdefault(dataset, {})[method] = path, key

    if missing:
        import importlib
        from dataclasses import asdict

        import numpy as np

        import fitting
        from ood import detector as detectors
        from ood.files import load_json
        from ood.images import ImageSet
        from ood.scores import save_scores
        from ood.training import Inputs, Run, Saved, load_model

        def fitted_in_place(method: str, chosen) -> detectors.Fitted:
            """A detector that needs no job of its own."""
            one = params.methods[method]

            def saved(named):
                if isinstance(named, list):
                    return [saved(name) for name in named]
                return Saved(folder / "models" / named)

            models = {key: saved(named) for key, named in one["models"].items()}
            run = Run(0, chosen, Path(), "", snapshots=oracle)
            module = importlib.import_module(one["module"])
            return module.fit(one["settings"], Inputs(models=models), run)

        def load(method: str, chosen) -> tuple[dict, dict]:
            """Detectors by the suffix of their columns, and what is known of the method."""
            module = importlib.import_module(params.methods[method]["module"])
            if params.methods[method]["fitted"]:
                files = detector_files(method)
                content, about = load_model(files["detector"]), load_json(files["config"])
                snapshots = load_model(files["snapshots"]) if oracle else {}
            else:
                fitted = fitted_in_place(method, chosen)
                content, snapshots = fitted.content, fitted.snapshots
                about = {"record": asdict(fitted.record), "parameters": fitted.parameters}
                about["flags"] = fitted.flags
            detector = module.load(content, chosen)
            about = {name: about[name] for name in ("record", "parameters", "flags")}
            if not oracle:
                return {"": detector}, about
            found = {f"_{s}": module.at_snapshot(detector, state) for s, state in snapshots.items()}
            return found, about

        classes = np.array([*params.classes, -1])
        with fitting.machine(snakemake) as chosen:
            wanted = dict.fromkeys(method for made in missing.values() for method in made)
            loaded = {method: load(method, chosen) for method in wanted}
            for dataset, images, _ in sets:
                if not (made := missing.get(dataset)):
                    continue
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
                        save_scores(temporary, columns, loaded[method][1])
                log.info("scored %s", dataset)
