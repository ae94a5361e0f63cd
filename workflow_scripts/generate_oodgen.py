"""Rule generate_oodgen: type I and type II images to keep, to look at and to test with."""

import numpy as np
import torch

from ood import plots
from ood.images import ImageSet, to_array, to_unit
from ood.methods import oodgen
from ood.training import derive_seed
from training_job import id_images, machine
from workflow_job import job

COUNT = 1000
TYPES = ["type I", "type II"]
STEPS = 5

with job(snakemake):
    settings = snakemake.params.settings
    seed = [snakemake.wildcards.seed, snakemake.wildcards.model]
    with machine(snakemake) as chosen:
        cvae = oodgen.load_cvae(snakemake.input.vae, chosen)
        base = oodgen.encode(cvae, id_images(snakemake))
        ellipsoids = oodgen.fit_ellipsoids(base, settings["radius_quantile"])
        generator = oodgen.Generator(cvae, settings, ellipsoids, base)

        torch.manual_seed(derive_seed(*seed, "samples"))
        index = generator.sample(COUNT)
        labels = base.labels[index]
        for images, path in (
            (generator.type1(index), snakemake.output.type1),
            (generator.type2(labels), snakemake.output.type2),
        ):
            ImageSet(to_array(images), labels.cpu().numpy()).save(path)

        torch.manual_seed(derive_seed(*seed, "test"))
        test = ImageSet.load(snakemake.input.test).renumbered(snakemake.params.classes)
        on_test = oodgen.Generator(cvae, settings, ellipsoids, oodgen.encode(cvae, test))
        order = on_test.sample(len(test))
        first, second = order.chunk(2)
        parts = [on_test.type1(first), on_test.type2(on_test.base.labels[second])]
        if not settings["clip_type1"]:
            parts = [to_unit(part) for part in parts]
        kinds = np.repeat([0, 1], [len(part) for part in parts])
        generated = ImageSet(to_array(torch.cat(parts)), kinds)
        generated.save(snakemake.output.test)
        generated.save_manifest(
            snakemake.output.manifest,
            dataset=snakemake.wildcards.model,
            split="test",
            classes=TYPES,
            sources={},
        )

        torch.manual_seed(derive_seed(*seed, "grid"))
        lengths = torch.from_numpy(np.geomspace(*settings["lengths"], STEPS)).float()
        factors = torch.linspace(*settings["shell"], STEPS)
        heads = ["real"] + [f"I, {one:.2g}" for one in lengths]
        heads += [f"II, {one:.3g}" for one in factors]
        rows = []
        for k in range(cvae.n_classes):
            image = (base.labels == k).nonzero()[0]
            strip = [
                to_unit(base.images[image]),
                to_unit(generator.type1(image.repeat(STEPS), lengths)),
                to_unit(generator.type2(base.labels[image].repeat(STEPS), factors)),
            ]
            label = snakemake.params.classes[k]
            rows.append((f"class {label}", to_array(torch.cat(strip))))
        plots.grid(snakemake.output.grid, rows, heads)

        # the plane of the largest variance; with two latents, all there is
        latents = base.latents[index].double()
        plane = torch.linalg.svd(latents - latents.mean(0), full_matrices=False)[2][:2]
        if cvae.latent <= 2:
            plane = torch.eye(2, cvae.latent, dtype=torch.float64, device=latents.device)
        angles = torch.linspace(0, 2 * torch.pi, 100, dtype=torch.float64)
        circle = torch.stack([angles.cos(), angles.sin()]).to(latents.device)
        outlines = [
            [
                (one.mean[:, None] + factor * one.radius * one.axes @ circle).T.cpu().numpy()
                for factor in settings["shell"]
            ]
            if one.axes.shape == (2, 2)
            else []
            for one in ellipsoids
        ]
        plots.latents(
            snakemake.output.latents,
            f"latents of {len(labels)} ID images (dots), and type II in their shells (crosses)",
            (latents @ plane.T).cpu().numpy(),
            (generator.shell(labels) @ plane.T).cpu().numpy(),
            np.asarray(snakemake.params.classes)[labels.cpu().numpy()],
            outlines,
        )
