"""Configuration: every mistake is an error that names file, key and the nearest known name."""

import copy
import importlib
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from recipes import edit_recipe

from ood.config.benchmarks import Loader
from ood.config.contents import SCALES
from ood.config.graph import marks_behind, modules_behind, recipe_of, scored_together
from ood.config.kinds import kinds, module_of, settings_of
from ood.config.recipes import at_scale
from ood.config.variants import variant_of
from ood.config.yaml_files import load_yaml
from ood.data.registry import REGISTRY
from ood.errors import InputError
from ood.training.optimizers import build_optimizer
from support.jobs import Jobs
from support.plan import Plan

ROOT = Path(__file__).parents[2]
CONFIG = load_yaml(ROOT / "config.yaml")
# of a file with a split one benchmark
SPLITS = {"cifar10_class": "cifar10_class9", "cifar100_first": "cifar100_first50"}
# all but those by lists that are not in the repository
BENCHMARKS = sorted(
    SPLITS.get(path.stem, path.stem)
    for path in (ROOT / "benchmarks").glob("*.yaml")
    if not path.stem.startswith("openood")
)


@pytest.fixture
def root(tmp_path):
    """A copy of the configuration files that a test may spoil."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    shutil.copy(ROOT / "config.yaml", tmp_path)
    return tmp_path


def load(root, **changes):
    return Loader(root, copy.deepcopy(CONFIG) | changes).benchmarks()


def edit(path, change):
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_a_key_given_twice_is_an_error(tmp_path):
    (tmp_path / "a.yaml").write_text("a: {x: 1, y: 2}\nb: {x: 1, z: {k: 1, k: 2}}\n")
    with pytest.raises(InputError, match=r"a\.yaml: .*the key 'k' is given twice(.|\n)*line 2"):
        load_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("scale", SCALES)
def test_every_benchmark_is_valid_at_every_scale(scale):
    assert set(load(ROOT, benchmarks=BENCHMARKS, scale=scale)) == set(BENCHMARKS)


@pytest.mark.parametrize("scale", SCALES)
def test_the_plain_net_is_trained_as_long_as_oodgens(scale):
    """Else what OODGen gains could be its longer training."""
    found = load(ROOT, benchmarks=BENCHMARKS, scale=scale)
    both = [one.models for one in found.values() if "oodgen_classifier" in one.models]
    assert len(both) >= 4
    for models in both:
        assert models["small_classifier"]["epochs"] == models["oodgen_classifier"]["epochs"]


@pytest.mark.parametrize("scale", SCALES)
def test_members_are_trained_as_long_as_the_one_net_that_they_are_compared_with(scale):
    found = load(ROOT, benchmarks=["digits", "mnist", "cifar10"], scale=scale)
    for benchmark in found.values():
        members = benchmark.methods["leave_out"]["members"]
        epochs = {benchmark.models[name]["epochs"] for name in members}
        assert epochs == {benchmark.models["single_classifier"]["epochs"]}


def test_the_partitions_are_those_of_the_paper():
    found = load(ROOT, benchmarks=BENCHMARKS)
    for dataset, unseen in (("mnist", "unseen_digits"), ("cifar10", "unseen_classes")):
        for number in range(1, 6):
            one = found[f"{dataset}_partition{number}"]
            assert one.classes == tuple(range(number - 1, number + 5))
            assert sorted(one.classes + one.ood[unseen].classes) == list(range(10))
    assert set(found["cifar10"].ood) >= {
        "svhn",
        "lsun_resize",
        "tiny_imagenet_resize",
        "lsun_fix",
        "imagenet_fix",
        "cifar100",
    }


def test_paper_scale_is_cmgs_published_settings():
    found = load(ROOT, benchmarks=["mnist_partition1", "cifar10"], scale="paper")
    mnist, cifar = found["mnist_partition1"], found["cifar10"]
    for benchmark, epochs, sigma in ((mnist, 100, 3), (cifar, 200, 5)):
        for model in (benchmark.models[name] for name in ("classifier", "cvae")):
            assert (model["epochs"], model["batch_size"], model["width"]) == (epochs, 512, 1.0)
            assert model["optimizer"] == {"name": "adam", "learning_rate": 0.001}
        for name in ("cmg_softmax", "cmg_energy"):
            method = benchmark.methods[name]
            assert (method["epochs"], method["batch_size"]) == (15, 128)
            assert (method["sigma"], method["optimizer"]["learning_rate"]) == (sigma, 1e-4)
            assert method["pseudo_per_batch"] == 128
        assert benchmark.methods["cmg_energy"]["energy"] == {
            "weight": 0.1,
            "in_quantile": 0.2,
            "out_quantile": 0.8,
        }
    assert mnist.models["cvae"]["padding"] == 15
    assert mnist.models["cvae"]["kl_weight"] == cifar.models["cvae"]["kl_weight"] == 1.0
    assert cifar.models["classifier"]["augmentation"] == "crop_flip"


def test_scales_change_settings_only():
    for name in ("mnist_partition1", "cifar10", "digits"):
        shapes = set()
        for scale in SCALES:
            one = load(ROOT, benchmarks=[name], scale=scale)[name]
            parts = one.models | one.methods
            # a grid may have more members at one scale than at another, a net a depth
            shapes.add(
                frozenset((one.get("type"), *sorted({*one} - {"depth"})) for one in parts.values())
            )
        assert len(shapes) == 1


def test_a_key_without_a_value_at_the_scale_is_left_out():
    assert at_scale({"a": {"smoke": 1, "quick": 2, "paper": 3}}, "quick") == {"a": 2}
    assert at_scale({"a": {"smoke": 1, "quick": 2}, "b": 3}, "paper") == {"b": 3}
    assert at_scale({"a": {}, "b": {"quick": 1, "c": 2}}, "smoke") == {
        "a": {},
        "b": {"quick": 1, "c": 2},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": [1]}, r"config\.yaml: unknown key 'sedes'; did you mean 'seeds'\?"),
        ({"scale": "quik"}, r"config\.yaml: scale: 'quik'; did you mean 'quick'\?"),
        ({"seeds": []}, r"config\.yaml: seeds: write a list of whole numbers"),
        ({"seeds": ["a"]}, r"config\.yaml: seeds\.0: a seed is a whole number"),
        ({"seeds": 0}, r"config\.yaml: seeds: write a list .*: \[0, 1, 2\]"),
        ({"seeds": [float("nan")]}, r"config\.yaml: seeds\.0: nan is no number"),
        ({"benchmarks": ["a(b"]}, r"config\.yaml: benchmarks\.0: .*small letters"),
        ({"benchmarks": [".."]}, r"config\.yaml: benchmarks\.0: .*small letters"),
        ({"stand_ins": {"mnist": "emnist", "emnist": "mnist"}}, r"stand_ins: .*each other"),
        ({"benchmarks": ["digit"]}, r"unknown benchmark 'digit'; did you mean 'digits'\?"),
        ({"methods": ["cmg_enrgy"]}, r"unknown method 'cmg_enrgy'; did you mean 'cmg_energy'\?"),
        ({"reference": "mps"}, r"reference: unknown method 'mps'; did you mean 'msp'\?"),
        ({"methods": "msp"}, r"config\.yaml: methods: write all, or a list .*: \[msp, energy\]"),
        ({"exclude": ["spere"]}, r"exclude: unknown dataset 'spere'; did you mean 'sphere'\?"),
        ({"stand_ins": {"mnist": "emnits"}}, r"stand_ins: unknown dataset 'emnits'"),
        (
            {"benchmarks": ["mnist_partition1"], "exclude": ["mnist"]},
            r"benchmarks/mnist_partition1\.yaml: ood: no OOD set is left after 'exclude'",
        ),
    ],
)
def test_mistakes_in_the_config(changes, message):
    with pytest.raises(InputError, match=message):
        load(ROOT, **changes)


def test_a_mistake_names_the_place_that_its_key_comes_from():
    config = copy.deepcopy(CONFIG) | {"scale": "quik", "methods": ["mps"]}
    with pytest.raises(InputError, match=r"^mine\.yaml: scale: 'quik'"):
        Loader(ROOT, config, sources={"scale": "mine.yaml"})
    loader = Loader(ROOT, config | {"scale": "quick"}, sources={"methods": "--config"})
    with pytest.raises(InputError, match=r"^--config: methods: unknown method 'mps'"):
        loader.benchmarks()


@pytest.mark.parametrize(
    ("value", "message"),
    [(1e6, "1000000.0: it must be 64 or less"), (float("inf"), "inf is no number")],
)
def test_absurd_numbers_in_a_recipe_are_errors(root, value, message):
    def change(recipe):
        recipe["models"]["classifier"]["width"] = value

    edit_recipe(root, "digits", change)
    with pytest.raises(InputError, match=message):
        load(root)


def test_an_absurd_shape_is_an_error(root):
    edit(root / "benchmarks/digits.yaml", lambda one: one.update(shape=[100000, 100000, 1]))
    with pytest.raises(InputError, match=r"shape\.0: 100000: it must be 1024 or less"):
        load(root)


def test_two_ood_sets_of_one_name_are_an_error(root):
    edit(root / "benchmarks/digits.yaml", lambda one: one["ood"]["near"].append("uniform"))
    with pytest.raises(InputError, match=r"a second OOD set called 'uniform'"):
        load(root)


def test_a_protocol_that_no_chosen_method_has_is_an_error():
    changes = {"methods": ["msp"], "protocols": ["final", "validation"]}
    loader = Loader(ROOT, copy.deepcopy(CONFIG) | changes)
    with pytest.raises(InputError, match="protocols: none of the chosen methods has 'validation'"):
        Jobs(Plan(loader))


def test_names_that_unfold_without_end_are_an_error(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"bomb\.yaml: more than 1,000,000 values"):
        load_yaml(tmp_path / "bomb.yaml")


def test_numbers_from_the_command_line_are_numbers():
    config = copy.deepcopy(CONFIG) | {"seeds": ["0", "12"]}
    assert Loader(ROOT, config).config.seeds == [0, 12]
    # the caller's own is left alone
    assert config["seeds"] == ["0", "12"]
    variants = {"oodgen": {"classifier.vae.latent": ["2"], "score": ["max"]}}
    config = copy.deepcopy(CONFIG) | {"variants": variants}
    numbers = {"oodgen": {"classifier.vae.latent": [2], "score": ["max"]}}
    assert Loader(ROOT, config).config.variants == numbers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.update(ods={}), r"unknown key 'ods'; did you mean 'ood'\?"),
        (lambda b: b.pop("shape"), r"the key 'shape' is missing"),
        (lambda b: b["id"].update(dataset="digit"), r"id\.dataset: unknown dataset 'digit'"),
        (lambda b: b["id"].update(dataset="patches"), r"patches has no train split"),
        (
            lambda b: b["id"].update(classes=[0, 10]),
            r"id\.classes: digits has labels 0 to 9; no .* 10",
        ),
        (
            lambda b: b["ood"]["near"][0].update(classes=[6, 12]),
            r"ood\.near\[0\]\.classes: digits has labels 0 to 9; no images have label 12",
        ),
        (lambda b: b["ood"]["near"][0].update(classes=[]), r"ood\.near\.0\.classes: \[\]"),
        (
            lambda b: b["ood"]["near"][0].update(classes=[5, 6]),
            r"OOD set 'unseen_digits' shares classes of digits with the ID set",
        ),
        (lambda b: b["ood"]["far"].append("digits"), r"'digits' shares classes .* the ID set"),
        (
            lambda b: b.update(validation={"dataset": "digits", "classes": [0]}),
            r"OOD set 'digits' shares classes of digits with the ID set",
        ),
        (lambda b: b.update(recipe="digit"), r"unknown recipe 'digit'; did you mean 'digits'\?"),
        (
            lambda b: b["ood"]["generated"][0].update(generated_by="oodgen_clasifier"),
            r"ood\.generated\[0\]\.generated_by: no model 'oodgen_clasifier' .* did you mean",
        ),
        (
            lambda b: b["ood"]["generated"][0].update(generated_by="classifier"),
            r"no model 'classifier' that generates images",
        ),
        (lambda b: b["ood"]["generated"][0].pop("generated_by"), r"the key 'dataset' is missing"),
        (
            lambda b: b["ood"]["generated"][0].update(dataset="uniform"),
            r"ood\.generated\.0: the key 'dataset' has no use beside 'generated_by'",
        ),
        (
            lambda b: b.update(settings={"models.oodgen_vae.latnet": 2}),
            r"settings: no setting 'models\.oodgen_vae\.latnet': .* did you mean 'latent'\?",
        ),
        (
            lambda b: b.update(settings={"models.oodgen_vae.latent.size": 2}),
            r"settings: no setting .*: unknown key 'size'",
        ),
        (
            lambda b: b.update(settings={"models.oodgen_vae.latent": 0}),
            r"settings: models\.oodgen_vae\.latent: 0: it must be 1 or more",
        ),
    ],
)
def test_mistakes_in_a_benchmark(root, change, message):
    edit(root / "benchmarks" / "digits.yaml", change)
    with pytest.raises(InputError, match=r"benchmarks/digits\.yaml: .*" + message):
        load(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: r["methods"]["msp"].update(classifier="clasifier"),
            r"methods\.msp\.classifier: unknown model 'clasifier' of type classifier; did you mean",
        ),
        (
            lambda r: r["methods"]["cmg_energy"].update(cvae="classifier"),
            r"methods\.cmg_energy\.cvae: unknown model 'classifier' of type cmg_cvae",
        ),
        (
            lambda r: r["methods"]["cmg_energy"].update(simga=3),
            r"unknown key 'simga' in methods\.cmg_energy; did you mean 'sigma'\?",
        ),
        (lambda r: r["methods"]["cmg_energy"].pop("energy"), r"the key 'energy' is missing"),
        (
            lambda r: r["methods"]["cmg_energy"].update(loss="softmax"),
            r"methods\.cmg_energy: the key 'energy' has no use where loss is 'softmax'",
        ),
        (
            lambda r: r["methods"]["brightness"].update(classifier="classifier"),
            r"methods\.brightness: the key 'classifier' has no use where score is",
        ),
        (
            lambda r: r["methods"]["msp"].update(pipeline="baseline"),
            r"unknown pipeline 'baseline'; did you mean 'baselines'\?",
        ),
        (
            lambda r: r["models"]["oodgen_classifier"].update(vae="cvae"),
            r"models\.oodgen_classifier\.vae: unknown model 'cvae' of type oodgen_cvae",
        ),
        (
            lambda r: r["models"]["oodgen_vae"]["optimizer"].pop("alpha"),
            r"models\.oodgen_vae\.optimizer: the key 'alpha' is missing",
        ),
        (
            lambda r: r["models"]["classifier"]["optimizer"].update(rho=0.9),
            r"unknown key 'rho' in models\.classifier\.optimizer; known: betas",
        ),
        (
            lambda r: r["models"]["background"]["grid"].update(l3=[1]),
            r"unknown key 'l3' in models\.background_.*; known: .* l2,",
        ),
        (
            lambda r: r["models"]["background"]["grid"].update(l2=1),
            r"models\.background\.grid\.l2: 1: it must be a list",
        ),
        (
            lambda r: r["models"]["leave_out_member"].update(grid={"group": "gruops"}),
            r"leave_out_member\.grid\.group: a list, or a setting that is a number, not 'gruops'",
        ),
        (
            lambda r: r["models"]["leave_out_member"].update(grid={"group": [0, 2]}),
            r"leave_out\.members: needs one model for each group of 3 groups, has 0, 2",
        ),
        (
            lambda r: r["models"]["leave_out_member"].pop("padding"),
            r"leave_out_member_group_0: the key 'padding' is missing",
        ),
        (
            lambda r: r["models"]["single_classifier"].update(depth=10),
            r"single_classifier: the key 'depth' has no use where architecture is 'toynet'",
        ),
        (
            lambda r: r["models"]["single_classifier"]["normalization"].update(std=[1]),
            r"unknown key 'std' in models\.single_classifier\.normalization",
        ),
        (
            lambda r: r["methods"]["likelihood_ratio"].update(backgrounds=["cvae"]),
            r"likelihood_ratio\.backgrounds: unknown model 'cvae' of type pixelcnn",
        ),
        (
            lambda r: r["methods"]["likelihood_ratio"].pop("selection_images"),
            r"methods\.likelihood_ratio: .*selection_images",
        ),
        (lambda r: r["methods"]["knn"].pop("k"), r"methods\.knn: the key 'k' is missing"),
        (
            lambda r: r["models"]["classifier"].update(
                optimizer={"name": "adam", "learning_rate": "1e-4"}
            ),
            r"models\.classifier\.optimizer\.learning_rate: '1e-4': .* write 1\.0e-4",
        ),
        (
            lambda r: r["models"]["classifier"].update(type="clasifier"),
            r"unknown type 'clasifier'; did you mean 'classifier'\?",
        ),
    ],
)
def test_mistakes_in_a_recipe(root, change, message):
    edit_recipe(root, "digits", change)
    with pytest.raises(InputError, match=r"benchmarks/recipes/digits/whole\.yaml: .*" + message):
        load(root)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"cvae": {"like": "cvea"}}, r"cvae\.like: no entry 'cvea' in digits; did you mean 'cvae'"),
        (
            {"cvae": {"like": "other"}, "other": {"like": "cvae"}},
            r"goes in a circle: cvae -> other -> cvae",
        ),
        ({"foreground": {"type": "x"}}, r"models\.foreground is in .*cmg\.yaml too"),
        ({"cvae": {"latnet": 2}}, r"digits/cmg\.yaml: unknown key 'latnet' in models\.cvae; did"),
        ({"CVAE": {"latent": 2}}, r"digits/cmg\.yaml: models\.CVAE: it must have the form"),
        ({"cvae": 3}, r"digits/cmg\.yaml: models\.cvae: it must be a mapping"),
        ({"cvae": {"shape": [8, 8, 1]}}, r"models\.cvae: 'shape' comes from the benchmark"),
    ],
)
def test_mistakes_in_what_a_family_changes(root, entry, message):
    path = root / "benchmarks" / "recipes" / "digits" / "cmg.yaml"
    edit(path, lambda recipe: recipe["models"].update(entry))
    with pytest.raises(InputError, match=message):
        load(root)


def test_a_family_changes_the_base(root):
    path = root / "benchmarks" / "recipes" / "digits" / "cmg.yaml"
    edit(path, lambda recipe: recipe.update(models={"cvae": {"latent": 7}}))
    digits, mnist = (load(root, benchmarks=[b])[b].models["cvae"] for b in ("digits", "mnist"))
    assert digits["latent"] == 7
    differing = {name for name in mnist if mnist[name] != digits[name]}
    assert differing == {"latent", "shape", "n_classes"}


def test_a_family_leaves_an_entry_of_the_base_out(root):
    edit(
        root / "benchmarks/recipes/digits/baselines.yaml",
        lambda recipe: recipe["methods"].update(complexity=None),
    )
    assert "complexity" not in load(root)["digits"].methods
    assert "complexity" in load(root, benchmarks=["mnist"])["mnist"].methods


def test_an_entry_that_says_its_type_takes_nothing_from_the_base(root):
    whole = {"pipeline": "baselines", "score": "brightness"}
    edit(
        root / "benchmarks/recipes/digits/baselines.yaml",
        lambda recipe: recipe["methods"].update(complexity=whole),
    )
    assert load(root)["digits"].methods["complexity"] == whole


def test_a_family_without_a_file_has_none_of_its_entries(root):
    (root / "benchmarks/recipes/digits/cmg.yaml").unlink()
    (root / "benchmarks/recipes/digits/csi.yaml").unlink()
    assert not {"cmg_energy", "csi"} & set(load(root)["digits"].methods)


def test_no_entry_is_like_one_of_another_family():
    for path in (ROOT / "benchmarks/recipes").glob("*/*.yaml"):
        for entries in load_yaml(path).values():
            for settings in (entries or {}).values():
                assert "/" not in (settings or {}).get("like", "")


def test_methods_that_share_a_network_are_scored_together():
    digits = load(ROOT)["digits"]
    groups = scored_together(digits)
    shared = ["msp", "max_logit", "energy", "odin", "mahalanobis", "knn"]
    assert groups["baselines_classifier"] == shared
    assert groups["likelihood_ratio_foreground"] == ["likelihood_ratio", "likelihood"]
    assert groups["cmg_softmax"] == ["cmg_softmax"]
    assert groups["brightness"] == ["brightness"]
    methods = sorted(method for group in groups.values() for method in group)
    assert methods == sorted(digits.methods)
    few = load(ROOT, methods=["energy"], reference="energy")["digits"]
    assert scored_together(few) == {"baselines_classifier": ["energy"]}


def test_what_a_method_follows_from_holds_its_models_and_theirs():
    digits = load(ROOT)["digits"]
    assert set(recipe_of(digits, "oodgen")["models"]) == {"oodgen_classifier", "oodgen_vae"}
    assert modules_behind(digits, "oodgen") == ["ood.methods.oodgen", "ood.models.two_conv"]


def test_a_benchmark_changes_settings_of_its_recipe_for_itself_alone():
    found = load(ROOT, benchmarks=["mnist", "fashion_mnist"], scale="paper")
    mnist, fashion = (found[name].models for name in ("mnist", "fashion_mnist"))
    assert (mnist["oodgen_vae"]["latent"], fashion["oodgen_vae"]["latent"]) == (8, 10)
    rates = [one["oodgen_classifier"]["optimizer"]["learning_rate"] for one in (mnist, fashion)]
    assert rates == [0.05, 0.1]
    assert mnist["classifier"] == fashion["classifier"]


def test_paper_scale_is_oodgens_published_settings():
    names = ["mnist", "mnist_0to4", "fashion_mnist", "fashion_mnist_0to4"]
    found = load(ROOT, benchmarks=names, scale="paper")
    for name, latent, lengths, weight, every, epochs, rate in (
        ("mnist", 8, [0.1, 28.0], 0.1, 5, 200, 0.05),
        ("mnist_0to4", 8, [0.05, 1.0], 0.1, 5, 150, 0.02),
        ("fashion_mnist", 10, [0.1, 28.0], 0.1, 10, 200, 0.1),
        ("fashion_mnist_0to4", 10, [0.1, 28.0], 1.0, 5, 200, 0.1),
    ):
        vae, classifier = (found[name].models[m] for m in ("oodgen_vae", "oodgen_classifier"))
        assert (vae["latent"], vae["epochs"], vae["patience"], vae["batch_size"]) == (
            latent,
            100,
            5,
            128,
        )
        assert classifier["generation"]["lengths"] == lengths
        assert classifier["reject_weight"] == weight
        assert (classifier["type1_every"], classifier["type2_every"]) == (every, 1)
        assert (classifier["type1_per_batch"], classifier["type2_per_batch"]) == (64, 64)
        assert (classifier["epochs"], classifier["batch_size"]) == (epochs, 128)
        assert classifier["optimizer"] == {
            "name": "adadelta",
            "learning_rate": rate,
            "rho": 0.95,
            "eps": 1e-7,
            "weight_decay": 0,
        }
        assert vae["deterministic_latent"]
        assert vae["init"] == classifier["init"] == "glorot_uniform"
        generation = classifier["generation"]
        assert (generation["null_space"], generation["shell_axes"]) == ("rref", "published")
        assert classifier["width"] == vae["width"] == vae["kl_weight"] == 1.0


def test_a_variant_changes_copies_of_the_models_on_its_way():
    variants = {"oodgen": {"classifier.vae.latent": [2, 16]}, "cmg_energy": {"sigma": [1.5]}}
    found = load(ROOT, variants=variants)["digits"]
    plain = load(ROOT)["digits"]
    assert set(found.methods) - set(plain.methods) == {
        "oodgen_latent_2",
        "oodgen_latent_16",
        "cmg_energy_sigma_1_5",
    }
    assert {name: found.models[name] for name in plain.models} == plain.models
    assert found.methods["oodgen_latent_2"]["classifier"] == "oodgen_classifier_latent_2"
    classifier = found.models["oodgen_classifier_latent_2"]
    assert classifier == plain.models["oodgen_classifier"] | {"vae": "oodgen_vae_latent_2"}
    vae = found.models["oodgen_vae_latent_2"]
    assert vae == plain.models["oodgen_vae"] | {"latent": 2}
    assert found.methods["cmg_energy_sigma_1_5"] == plain.methods["cmg_energy"] | {"sigma": 1.5}


def test_two_methods_share_the_models_of_the_same_variant():
    change = {"classifier.generation.null_space": ["rref"]}
    found = load(ROOT, variants={"oodgen": change, "oodgen_max": change}, methods=["msp"])["digits"]
    assert set(found.methods) == {
        "msp",
        "oodgen_null_space_rref",
        "oodgen_max_null_space_rref",
    }
    named = {found.methods[m]["classifier"] for m in found.methods if m != "msp"}
    assert named == {"oodgen_classifier_null_space_rref"}


def test_a_named_variant_changes_several_settings_at_once():
    changes = {"classifier.vae.latent": 2, "classifier.vae.epochs": 3, "score": "max"}
    variants = {"oodgen": {"As it was": changes, "score": ["max"]}}
    found, plain = load(ROOT, variants=variants)["digits"], load(ROOT)["digits"]
    assert set(found.methods) - set(plain.methods) == {"oodgen_as_it_was", "oodgen_score_max"}
    method = found.methods["oodgen_as_it_was"]
    changed = {"classifier": "oodgen_classifier_as_it_was", "score": "max"}
    assert method == plain.methods["oodgen"] | changed
    vae = found.models["oodgen_vae_as_it_was"]
    assert vae == plain.models["oodgen_vae"] | {"latent": 2, "epochs": 3}
    assert variant_of(variants, "oodgen_as_it_was") == {"oodgen": {"As it was": changes}}
    assert variant_of(variants, "oodgen_score_max") == {"oodgen": {"score": ["max"]}}
    assert variant_of(variants, "oodgen") is None


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"oodgn": {"score": ["max"]}}, r"variants: unknown method 'oodgn'; did you mean 'oodgen'"),
        ({"oodgen": {"latent": [2]}}, r"no setting 'latent': unknown key 'latent'"),
        ({"oodgen": {"classifier.vae.latnt": [2]}}, r"unknown key 'latnt'; did you mean 'latent'"),
        (
            {"oodgen": {"classifier.vae.latent": ["x"]}},
            r"oodgen_vae_latent_x\.latent: 'x': it must be a whole number",
        ),
        ({"oodgen": {"classifier.vae.latent": 2}}, r"latent: 2: it must be a list"),
        (
            {"oodgen": {"classifier.epochs": [5], "classifier.vae.epochs": [5]}},
            r"two different models are called 'oodgen_classifier_epochs_5'",
        ),
    ],
)
def test_mistakes_in_variants(variants, message):
    with pytest.raises(InputError, match=r"config\.yaml: .*" + message):
        load(ROOT, variants=variants)


def test_a_grid_is_a_model_for_each_combination():
    found = load(ROOT, benchmarks=["fashion_mnist"], scale="paper")["fashion_mnist"]
    members = found.methods["likelihood_ratio"]["backgrounds"]
    assert len(members) == 9
    assert members[0] == "background_mutation_rate_0_1_l2_0"
    pairs = [(found.models[m]["mutation_rate"], found.models[m]["l2"]) for m in members]
    assert pairs == [(rate, l2) for rate in (0.1, 0.2, 0.3) for l2 in (0, 10, 100)]
    rest = {key: value for key, value in found.models["foreground"].items() if key not in ("l2",)}
    for member in members:
        same = found.models[member] | {"mutation_rate": 0}
        assert {key: value for key, value in same.items() if key not in ("l2",)} == rest


@pytest.mark.parametrize("benchmark", ["fashion_mnist", "cifar10"])
def test_quick_has_the_ends_of_the_papers_grid(benchmark):
    """The L2 weight is half of what the paper chooses; `quick` once left it out."""
    found = load(ROOT, benchmarks=[benchmark])[benchmark]
    pairs = {
        name: [
            (found.models[one]["mutation_rate"], found.models[one]["l2"])
            for one in found.methods[name]["backgrounds"]
        ]
        for name in ("likelihood_ratio", "likelihood_ratio_mutation")
    }
    assert pairs["likelihood_ratio"] == [(0.1, 0), (0.1, 100), (0.3, 0), (0.3, 100)]
    assert pairs["likelihood_ratio_mutation"] == [(0.1, 0), (0.3, 0)]


def test_a_variant_of_a_grid_has_a_grid_of_its_own():
    variants = {"likelihood_ratio": {"backgrounds.filters": [8]}}
    found = load(ROOT, methods=["likelihood_ratio"], variants=variants, reference="msp")["digits"]
    members = found.methods["likelihood_ratio_filters_8"]["backgrounds"]
    assert [found.models[name]["filters"] for name in members] == [8, 8, 8]
    assert found.methods["likelihood_ratio_filters_8"]["foreground"] == "foreground"
    assert len(found.models) == 1 + 3 + 3


def test_paper_scale_is_the_published_likelihood_ratio():
    found = load(ROOT, benchmarks=["fashion_mnist", "cifar10"], scale="paper")
    for name, steps, rescale in (("fashion_mnist", 50_000, False), ("cifar10", 600_000, True)):
        model = found[name].models["foreground"]
        assert (model["filters"], model["residual_layers"]) == (32, 5)
        assert (model["hierarchies"], model["components"], model["dropout"]) == (1, 1, 0)
        assert (model["steps"], model["batch_size"], model["rescale"]) == (steps, 32, rescale)
        assert model["validation_share"] == 0.2
        assert model["optimizer"] == {
            "name": "adam",
            "learning_rate": 1e-4,
            "betas": [0.95, 0.9995],
            "eps": 1e-8,
            "decay": 0.999995,
        }


def test_methods_that_need_a_validation_set_wait_for_one():
    names = {"likelihood_ratio", "leave_out"}
    found = load(ROOT, benchmarks=["mnist_0to4", "fashion_mnist"])
    assert "likelihood" in found["mnist_0to4"].methods
    assert not names & set(found["mnist_0to4"].methods)
    assert names <= set(found["fashion_mnist"].methods)
    with pytest.raises(InputError, match=r"'mnist_0to4' can run none of likelihood_ratio; it has"):
        load(ROOT, benchmarks=["mnist_0to4"], methods=["likelihood_ratio"])


def test_a_method_that_validates_on_grey_images_needs_no_validation_set():
    found = load(ROOT, benchmarks=["cifar10_partition1"])["cifar10_partition1"]
    assert found.validation is None
    assert "likelihood_ratio" in found.methods
    assert "leave_out" not in found.methods


def test_the_ensemble_has_a_member_for_each_group():
    found = load(ROOT, benchmarks=["digits", "mnist", "cifar100"])
    for name, groups in (("digits", 3), ("mnist", 5), ("cifar100", 5)):
        members = found[name].methods["leave_out"]["members"]
        assert members == [f"leave_out_member_group_{group}" for group in range(groups)]
        assert [found[name].models[one]["group"] for one in members] == list(range(groups))


def test_more_groups_than_classes_are_an_error(root):
    change = {"models.leave_out_member.groups": 7}
    edit(root / "benchmarks" / "digits.yaml", lambda b: b.update(settings=change))
    message = r"digits\.yaml: models\.leave_out_member_group_0\.groups: 7 is more than the 6 ID"
    with pytest.raises(InputError, match=message):
        load(root)
    # whoever does not ask for the method is not bothered
    load(root, methods=["msp"])


@pytest.mark.parametrize(
    ("benchmark", "path", "value", "message"),
    [
        ("cifar10", "models.classifier.dropout", 0.2, "unknown key 'dropout'"),
        ("cifar10", "models.cvae.padding", 1, "unknown key 'padding'"),
        ("digits", "models.single_classifier.head_dropout", 0.5, "does nothing in a head of one"),
        ("digits", "models.classifier.optimizer", {"momentum": 0.9}, "unknown key 'momentum'"),
        ("digits", "models.small_classifier.optimizer", {"momentum": 0.9}, "'momentum' in"),
    ],
)
def test_a_setting_that_would_do_nothing_is_an_error(root, benchmark, path, value, message):
    if isinstance(value, dict):
        _, name, key = path.split(".")
        value = load(root)["digits"].models[name][key] | value
    edit(
        root / f"benchmarks/{benchmark}.yaml",
        lambda content: content.setdefault("settings", {}).update({path: value}),
    )
    with pytest.raises(InputError, match=message):
        load(root, benchmarks=[benchmark])


def test_any_model_can_be_had_as_it_was_released(root):
    weights = {"file": "w.pt", "names": {"^module.": ""}}
    models = load(root)["digits"].models
    for name in ("classifier", "cvae", "foreground", "oodgen_vae", "vmdls_encoder", "csi_encoder"):
        given = {k: v for k, v in models[name].items() if k not in ("shape", "n_classes")}
        edit(
            root / "benchmarks/digits.yaml",
            lambda content, name=name, given=given: content.update(
                settings={f"models.{name}": given | {"weights": weights}}
            ),
        )
        assert load(root)["digits"].models[name]["weights"] == weights


def test_every_type_of_model_has_a_network_to_put_weights_in(root):
    for kind in kinds("models"):
        found = importlib.import_module(module_of("models", kind))
        assert kind in found.NETWORKS
        assert kind in found.MODELS


def test_rmsprop_has_momentum(root):
    optimizer = load(root)["digits"].models["oodgen_vae"]["optimizer"] | {"momentum": 0.9}
    edit(
        root / "benchmarks/digits.yaml",
        lambda content: content.update(settings={"models.oodgen_vae.optimizer": optimizer}),
    )
    chosen = settings_of("models", load(root)["digits"].models["oodgen_vae"]).optimizer
    built = build_optimizer([torch.nn.Parameter(torch.zeros(1))], chosen)
    assert built.defaults["momentum"] == 0.9


def test_a_released_backbone_learns_at_the_published_rates():
    """A tenth of the rate every 64 or 100 epochs after it is released; backbones: 200 epochs."""
    models = load(ROOT, benchmarks=["cifar10"], scale="paper")["cifar10"].models
    for name, every, backbone in (
        ("vmdls_tuned_encoder", 64, "backbone_classifier"),
        ("vmdls_wide_encoder", 100, "wide_backbone_classifier"),
    ):
        one = models[name]
        released = one["epochs"] - one["frozen_epochs"]
        drops = [share * released for share in one["optimizer"]["drops"]["at"]]
        assert drops == pytest.approx(range(every, released, every), abs=0.02)
        assert one["backbone"] == backbone
        assert models[backbone]["epochs"] == 200


def test_cmg_is_looked_at_as_often_as_in_the_released_code():
    found = load(ROOT, benchmarks=["cifar10", "cifar10_partition1"], scale="paper")
    every = {name: one.methods["cmg_energy"]["snapshot_every"] for name, one in found.items()}
    assert every == {"cifar10": 100, "cifar10_partition1": 20}


def test_the_mutation_rate_can_be_chosen_alone():
    one = load(ROOT, benchmarks=["fashion_mnist"], scale="paper")["fashion_mnist"]
    names = {m: one.methods[m]["backgrounds"] for m in one.methods if "likelihood_ratio" in m}
    assert len(names["likelihood_ratio"]) == 9
    alone = [one.models[name] for name in names["likelihood_ratio_mutation"]]
    assert [model["mutation_rate"] for model in alone] == [0.1, 0.2, 0.3]
    assert {model["l2"] for model in alone} == {0}


def test_a_file_with_a_split_is_a_benchmark_for_each_number():
    found = load(ROOT, benchmarks=["cifar10_class3", "cifar100_first50"])
    one, half = found["cifar10_class3"], found["cifar100_first50"]
    assert one.classes == (3,)
    assert one.ood["unseen_classes"].classes == (0, 1, 2, 4, 5, 6, 7, 8, 9)
    assert one.title.startswith("CIFAR-10, class 3 ")
    assert {"csi", "simclr", "likelihood", "brightness"} <= set(one.methods)
    # nothing is there to be classified
    assert not {"msp", "leave_out", "vmdls", "cmg_energy", "csi_labeled"} & set(one.methods)
    assert half.classes == tuple(range(50))
    assert half.ood["unseen_classes"].classes == tuple(range(50, 100))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10_class", "needs a number at the end, cifar10_class0 to cifar10_class9"),
        ("cifar10_class10", "cifar10_class0 to cifar10_class9"),
        ("cifar100_first100", "cifar100_first1 to cifar100_first99"),
        ("cifar100_first0", "cifar100_first1 to"),
        ("mnist7", "unknown benchmark 'mnist7'"),
    ],
)
def test_a_number_that_fits_no_split_is_an_error(name, message):
    with pytest.raises(InputError, match=message):
        load(ROOT, benchmarks=[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "omniglot"}, "omniglot has no list of classes to split"),
        ({"dataset": "cifar10", "classes": [1]}, "id: the key 'classes' has no use beside 'split'"),
    ],
)
def test_a_split_needs_all_classes(root, changes, message):
    edit(root / "benchmarks/cifar10_class.yaml", lambda content: content.update(id=changes))
    with pytest.raises(InputError, match=message):
        load(root, benchmarks=["cifar10_class3"])


def test_others_are_those_of_a_split(root):
    edit(
        root / "benchmarks/digits.yaml",
        lambda content: content["ood"]["near"][0].update(classes="others"),
    )
    with pytest.raises(InputError, match="'others' needs a 'split'"):
        load(root)


def test_paper_scale_is_the_public_leave_out_ensemble():
    found = load(ROOT, benchmarks=["cifar10", "cifar100"], scale="paper")
    for one in found.values():
        for name, net in (
            ("leave_out", {"architecture": "densenet", "depth": 100, "width": 1}),
            (
                "leave_out_wide",
                {"architecture": "wide_resnet", "depth": 28, "width": 10, "dropout": 0.3},
            ),
        ):
            method = one.methods[name]
            assert len(method["members"]) == 5
            assert 1000 in method["temperatures"]
            for member in method["members"]:
                model = one.models[member]
                assert {key: model[key] for key in net} == net
                assert (model["margin"], model["margin_weight"]) == (0.4, 0.2)
                assert (model["epochs"], model["batch_size"]) == (100, 100)
                assert model["partition_seed"] == 3
                assert model["augmentation"] == "crop_flip"
                assert model["optimizer"] == {
                    "name": "sgd",
                    "learning_rate": 0.1,
                    "momentum": 0.9,
                    "nesterov": False,
                    "weight_decay": 5e-4,
                    "drops": {"at": [0.5, 0.75], "factor": 0.1},
                }


def test_only_what_the_chosen_methods_need_is_kept():
    found = load(ROOT, methods=["msp", "cmg_energy"])["digits"]
    assert set(found.models) == {"classifier", "cvae"}
    assert "generated" not in found.ood
    found = load(ROOT, methods=["oodgen"], reference="oodgen")["digits"]
    assert set(found.models) == {"oodgen_vae", "oodgen_classifier"}
    assert found.ood["generated"].generated_by == "oodgen_classifier"


def test_a_benchmark_without_any_chosen_method_is_an_error():
    with pytest.raises(
        InputError, match=r"methods: the benchmark 'cifar10' can run none of oodgen; it"
    ):
        load(ROOT, benchmarks=["digits", "cifar10"], methods=["oodgen"], reference="oodgen")


def test_broken_yaml_is_named(root):
    (root / "benchmarks" / "digits.yaml").write_text("title: [")
    with pytest.raises(InputError, match=r"digits\.yaml: no valid YAML"):
        load(root)


def test_stand_ins_replace_and_are_remembered():
    one = load(
        ROOT,
        benchmarks=["fashion_mnist"],
        stand_ins={"notmnist": "notmnist_sample", "fashion_mnist": "mnist", "mnist": "digits"},
        exclude=["emnist"],
    )["fashion_mnist"]
    assert (one.dataset, one.stand_in_for) == ("mnist", "fashion_mnist")
    assert one.ood["notmnist_sample"].stand_in_for == "notmnist"
    assert one.ood["digits"].stand_in_for == "mnist"
    assert "emnist" not in one.ood


def test_a_stand_in_may_not_bring_the_id_set_back():
    with pytest.raises(InputError, match="shares classes of fashion_mnist with the ID set"):
        load(ROOT, benchmarks=["fashion_mnist"], stand_ins={"notmnist": "fashion_mnist"})


def test_every_named_stand_in_stands_in_for_a_known_set():
    assert {e.stand_in_for for e in REGISTRY.values() if e.stand_in_for} <= set(REGISTRY)


def test_a_setting_chosen_with_test_scores_known_is_marked_where_it_has_that_value(root):
    """Not at another scale, and not in a variant with another value."""
    variants = {"cmg_energy": {"cvae.kl_weight": [1.0]}}
    for scale, marks in (("quick", ["cvae.kl_weight"]), ("paper", [])):
        config = copy.deepcopy(CONFIG) | {"benchmarks": ["mnist_partition1"], "scale": scale}
        (benchmark,) = Loader(root, config | {"variants": variants}).benchmarks().values()
        assert marks_behind(benchmark, "cmg_energy") == marks
        assert marks_behind(benchmark, "cmg_energy_kl_weight_1_0") == []
        # the mark is no setting: it trains nothing again
        assert "test_scores_seen" not in benchmark.models["cvae"]


def test_marks_of_a_model_and_a_method_of_one_name_are_kept_apart(root):
    def rename(recipe):
        recipe["models"]["msp"] = recipe["models"]["classifier"] | {
            "batch_size": 16,
            "test_scores_seen": {"batch_size": 16},
        }
        recipe["methods"]["msp"] |= {"classifier": "msp"}

    edit_recipe(root, "digits", rename)
    config = copy.deepcopy(CONFIG) | {"benchmarks": ["digits"], "methods": ["msp"]}
    (benchmark,) = Loader(root, config).benchmarks().values()
    assert marks_behind(benchmark, "msp") == ["classifier.batch_size"]


def test_a_mark_of_no_setting_is_an_error(root):
    edit_recipe(root, "digits", lambda r: r["models"]["cvae"].update(test_scores_seen={"kl": 1}))
    with pytest.raises(InputError, match=r"models\.cvae\.test_scores_seen: no setting 'kl'"):
        load(root)


def test_compiling_needs_a_compiler(root, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        InputError, match=r"config.yaml: compile: there is no C\+\+ compiler 'no-such"
    ):
        load(root, compile=True)
    assert load(root, compile=False)


def test_compiled_results_are_others_and_without_it_jobs_are_told_nothing(root):
    plain, compiled = (
        Loader(root, copy.deepcopy(CONFIG) | {"compile": on}).config.computing
        for on in (False, True)
    )
    assert plain == {"precision": "float32"}
    assert compiled == plain | {"compile": True}
    both = copy.deepcopy(CONFIG) | {"compile": True, "deterministic": True}
    assert Loader(root, both).config.computing == compiled | {"deterministic": True}


@pytest.mark.parametrize("written", ["on", "true", "True", True])
def test_a_switch_may_come_as_snakemake_s_text(root, written):
    config = copy.deepcopy(CONFIG) | {"compile": written}
    assert Loader(root, config).config.compile is True
