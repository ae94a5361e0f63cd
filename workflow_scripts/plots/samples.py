"""What a PixelCNN++ was shown, and what it draws during and after training."""

from support.figure_inputs import place
from support.job import job

COLUMNS = 8
ROWS = 4

with job(snakemake):
    import torch

    from ood.data.images import to_array, to_tensor, to_unit
    from ood.layout import Seed
    from ood.methods import likelihood_ratio
    from ood.reports.image_plots import grid
    from ood.training.model_files import TrainedModel, restore
    from ood.training.run import derive_seed
    from support import model_inputs

    params, seed = snakemake.params, snakemake.params.seeds[0]
    images = to_unit(to_tensor(model_inputs.training_images(snakemake).images[:COLUMNS]))
    values = likelihood_ratio.to_values(images)
    with model_inputs.compute(snakemake) as chosen:
        for name, path in zip(params.names, snakemake.output, strict=True):
            saved = TrainedModel(Seed(f"{params.run}/seed{seed}").model_folder(name))
            steps = sorted(saved.snapshots)
            shown = sorted({steps[round(i * (len(steps) - 1) / (ROWS - 1))] for i in range(ROWS)})
            start = derive_seed(seed, name, "samples")
            torch.manual_seed(start)
            mutated = likelihood_ratio.mutate(values, saved.settings.mutation_rate)
            rows = [("shown", to_array(mutated.byte()))]
            for step in shown:
                content = saved.content | {"state": saved.snapshots[step]}
                network = restore(likelihood_ratio.build, content, chosen)
                # the same random numbers for each: what differs is what was learned
                torch.manual_seed(start)
                drawn = likelihood_ratio.sample(network, COLUMNS)
                rows.append((f"step {step}", to_array(drawn)))
            grid(path, f"{name} on {place(snakemake, seed)}", rows)
