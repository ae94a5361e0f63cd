"""Rule sample_pixelcnn: what a model was shown, and what it draws during and after training."""

import torch

from ood import training
from ood.images import to_array, to_tensor, to_unit
from ood.methods import likelihood_ratio
from ood.plots import grid
from ood.training import derive_seed
from training_job import id_images, machine
from workflow_job import job

COLUMNS = 8
ROWS = 4

with job(snakemake):
    content = training.load_model(snakemake.input.model)
    snapshots = training.load_model(snakemake.input.snapshots)
    steps = sorted(snapshots)
    shown = sorted({steps[round(i * (len(steps) - 1) / (ROWS - 1))] for i in range(ROWS)})
    images = to_unit(to_tensor(id_images(snakemake).images[:COLUMNS]))
    seed = derive_seed(snakemake.wildcards.seed, snakemake.wildcards.model, "samples")
    torch.manual_seed(seed)
    values = likelihood_ratio.to_values(images)
    mutated = likelihood_ratio.mutate(values, content["settings"]["mutation_rate"])
    rows = [("shown", to_array(mutated.byte()))]
    with machine(snakemake) as chosen:
        for step in shown:
            network = likelihood_ratio.restore(content["settings"], snapshots[step], chosen)
            # the same random numbers for each: what differs is what was learned
            torch.manual_seed(seed)
            drawn = likelihood_ratio.sample(network, COLUMNS)
            rows.append((f"step {step}", to_array(drawn)))
    grid(snakemake.output[0], rows)
