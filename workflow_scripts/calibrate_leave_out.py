"""Rule calibrate_leave_out: every temperature and input step on the validation sets."""

import pandas as pd

from ood import detector as detectors
from ood import metrics, plots, training
from ood.methods import leave_out
from ood.tables import save_csv
from training_job import id_images, machine, validation_images
from workflow_job import job

METRICS = ["auroc", "fpr95", "detection_error"]

with job(snakemake):
    settings = dict(snakemake.params.settings)
    members = [training.load_model(path) for path in snakemake.input.members]
    sets = leave_out.calibration_sets(
        settings, members[0]["settings"], id_images(snakemake), validation_images(snakemake)
    )
    choices = leave_out.choices(settings)
    with machine(snakemake) as chosen:
        ensemble = leave_out.build_ensemble(members, settings["perturbation"], chosen)
        candidates = {
            name: leave_out.LeaveOutDetector(ensemble, **choice) for name, choice in choices.items()
        }
        known, unknown = (
            detectors.run(candidates, one, chosen, snakemake.config["scoring_batch"])
            for one in sets
        )
    rows, panels = [], {}
    for name, choice in choices.items():
        scores = known[name][0], unknown[name][0]
        found = metrics.evaluate(*scores)
        rows.append(choice | {key: found[key] for key in (*METRICS, "n_id", "n_ood")})
        title = f"T = {choice['temperature']:g}, ε = {choice['epsilon']:g}"
        panels[title] = (*scores, found["auroc"])
    table = pd.DataFrame(rows).sort_values("auroc", ascending=False, kind="stable")
    save_csv(table, snakemake.output.table)
    plots.histograms(
        snakemake.output.histograms,
        f"{snakemake.wildcards.method} on the validation sets",
        panels,
        len(settings["epsilons"]),
    )
