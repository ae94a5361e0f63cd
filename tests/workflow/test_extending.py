"""The skeletons of docs/extending.md, copied into the workflow as they are, and run."""

import re
import zipfile

import pandas as pd
from conftest import ROOT
from PIL import Image

PAGE = (ROOT / "docs/extending.md").read_text()


def put_in(project, kind, name, text):
    """A block of the page in its place: a whole file, or changed lines of one."""
    path = project.path(name)
    if kind != "diff":
        assert not path.exists()
        path.write_text(text)
        return
    old, new = (
        "".join(line[1:] for line in text.splitlines(keepends=True) if line[0] == sign)
        for sign in "-+"
    )
    content = path.read_text()
    assert content.count(old) == 1, f"{name} has no such lines: {old}"
    path.write_text(content.replace(old, new))


def test_the_skeletons_of_a_dataset_a_backbone_a_score_and_a_method_run(fresh, tmp_path):
    blocks = re.findall(r'```(\w+) title="([^"]+)"\n(.*?)```', PAGE, re.S)
    assert len(blocks) == 10
    for block in blocks:
        put_in(fresh, *block)
    folder = tmp_path / "mirror" / "tiles"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "tiles.zip", "w") as archive:
        for number in range(20):
            name = tmp_path / f"{number}.png"
            Image.new("L", (8, 8), 12 * number).save(name)
            archive.write(name, f"tiles/{'light' if number > 9 else 'dark'}/{number}.png")

    def add_tiles(benchmark):
        benchmark["ood"]["far"].append("tiles")

    fresh.edit("benchmarks/tiny.yaml", add_tiles)

    def choose_two_maps(recipe):
        classifier = recipe["models"]["classifier"]
        classifier["architecture"] = "two_maps"
        del classifier["dropout"]

    fresh.edit_recipe(choose_two_maps)
    fresh.configure(
        methods=["margin", "bottleneck"], reference="margin", mirrors=[str(tmp_path / "mirror")]
    )
    fresh.run("results/tables/metrics.csv")
    found = pd.read_csv(fresh.path("results/tables/metrics.csv"))
    pairs = {(row.method, row.ood_set) for row in found.itertuples()}
    sets = ("unseen_digits", "uniform", "tiles")
    assert pairs == {(method, one) for method in ("margin", "bottleneck") for one in sets}
    assert found.loc[found["method"] == "margin", "id_accuracy"].notna().all()
    # of noise an auto-encoder of eight numbers knows nothing, however little it has learned
    noise = found[(found["method"] == "bottleneck") & (found["ood_set"] == "uniform")]
    assert noise["auroc"].item() > 0.9
