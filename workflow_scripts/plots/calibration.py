"""Score histograms on the validation sets for every temperature and input step."""

from pathlib import Path

from pictures import due
from workflow_job import job

with job(snakemake, several=True) as work:

    def file(name):
        return Path(snakemake.params.run) / f"{name}.panels"

    for name, path, key in due(snakemake, work, lambda name: [file(name)], lambda _: None):
        from ood import plots
        from ood.scores import load_panels

        panels = load_panels(file(name))
        columns = len({title.rpartition(" ")[2] for title in panels})
        title = f"{name.split('/')[2]} on the validation sets"
        with work.make(path, key) as temporary:
            plots.histograms(temporary, title, panels, columns)
