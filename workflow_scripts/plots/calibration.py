"""Score histograms on the validation sets for every temperature and input step."""

from pathlib import Path

from pictures import due
from workflow_job import job

with job(snakemake, several=True) as work:
    params = snakemake.params

    def file(name):
        seed, method = name.split("/")
        method, _, chosen = method.partition(".")
        suffix = f".{chosen}" if chosen else ""
        return Path(params.run) / seed / "detectors" / method / f"calibration{suffix}.npz"

    for name, path, key in due(snakemake, work, lambda name: [file(name)], lambda _: None):
        from ood import plots
        from ood.scores import load_panels

        panels = load_panels(file(name))
        columns = len({title.rpartition(" ")[2] for title in panels})
        title = f"{name.split('/')[1]} on the validation sets"
        with work.make(path, key) as temporary:
            plots.histograms(temporary, title, panels, columns)
