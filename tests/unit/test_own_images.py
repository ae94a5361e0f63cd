"""A user's own images: folders, lists, what is wrong with them, and how they are read."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ood.config.benchmarks import Loader
from ood.config.yaml_files import load_yaml
from ood.data import decode, user_images
from ood.data.images import ImageSet
from ood.errors import InputError
from ood.evaluation.scores import load_scores, save_scores

ROOT = Path(__file__).parents[2]


def picture(path, value=100, mode="L", size=(9, 7), **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **more)


@pytest.fixture
def known(tmp_path):
    """Ten pictures of each of two classes."""
    for name in ("cat", "dog"):
        for number in range(10):
            picture(tmp_path / "known" / name / f"{number}.png", 10 * number)
    return tmp_path / "known"


def test_a_part_of_a_folder_tests_and_stays_when_files_come(known):
    about = {"folder": str(known), "known": True, "test_share": 0.4}
    before = user_images.read(about)
    assert before.classes == ("cat", "dog")
    every = [*before.splits["train"], *before.splits["test"]]
    assert len(every) == len(set(every)) == 20
    assert all(label == ["cat", "dog"].index(name[:3]) for name, label in every)
    picture(known / "dog" / "new.png")
    after = user_images.read(about)
    for split in user_images.SPLITS:
        assert set(before.splits[split]) <= set(after.splits[split])


def test_train_and_test_folders_are_taken_as_they_are(tmp_path):
    for split in user_images.SPLITS:
        for name in ("b", "a"):
            picture(tmp_path / split / name / "deep" / "1.jpg")
    found = user_images.read({"folder": str(tmp_path), "known": True})
    assert found.classes == ("a", "b")
    assert found.splits["test"] == [("a/deep/1.jpg", 0), ("b/deep/1.jpg", 1)]
    assert found.roots["test"] == tmp_path / "test"


def test_ood_images_may_lie_anywhere_in_their_folder(tmp_path):
    for name in ("1.png", "sub/2.PNG", ".hidden.png", "notes.txt"):
        picture(tmp_path / "a.png")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
    found = user_images.read({"folder": str(tmp_path)})
    assert found.splits == {"test": [("1.png", 0), ("a.png", 0), ("sub/2.PNG", 1)]}


def test_lists_of_paths_and_labels(tmp_path):
    picture(tmp_path / "my pictures" / "1.png")
    (tmp_path / "train.txt").write_text("my pictures/1.png 0\nmy pictures/1.png 1\n\n")
    (tmp_path / "test.txt").write_text("my pictures/1.png -1\n")
    root, lists = str(tmp_path), {s: str(tmp_path / f"{s}.txt") for s in user_images.SPLITS}
    found = user_images.read({"known": True, "root": root, **lists})
    assert found.classes == ("0", "1")
    assert found.splits["train"] == [("my pictures/1.png", 0), ("my pictures/1.png", 1)]
    assert user_images.read({"list": lists["test"], "root": root}).splits["test"][0][1] == -1


@pytest.mark.parametrize(
    ("make", "about", "message"),
    [
        (lambda p: None, {"folder": "{p}/none"}, "none: no such folder"),
        (lambda p: None, {"folder": "{p}/none", "known": True}, "none: no such folder"),
        (
            lambda p: picture(p / "1.png"),
            {"folder": "{p}/1.png"},
            r"1\.png: a file; name the folder that it lies in",
        ),
        (lambda p: (p / "a.txt").write_text(""), {"folder": "{p}"}, "no pictures in it"),
        (
            lambda p: picture(p / "a" / "1.png"),
            {"folder": "{p}", "known": True},
            "needs the folders 'train' and 'test', or 'test_share'",
        ),
        (
            lambda p: picture(p / "1.png"),
            {"folder": "{p}", "known": True, "test_share": 0.999},
            r"1\.png: ID images lie in a subfolder for each class",
        ),
        (
            lambda p: (picture(p / "train" / "a" / "1.png"), picture(p / "test" / "b" / "1.png")),
            {"folder": "{p}", "known": True},
            "no training images of b",
        ),
        (
            lambda p: (
                picture(p / "train" / "a" / "1.png"),
                picture(p / "train" / "b" / "1.png"),
                picture(p / "test" / "b" / "1.png"),
            ),
            {"folder": "{p}", "known": True},
            "no test images of a",
        ),
        (lambda p: None, {"list": "{p}/none.txt", "root": "{p}"}, r"none\.txt: cannot read"),
        (
            lambda p: (p / "l.txt").write_text("a.png cat\n"),
            {"list": "{p}/l.txt", "root": "{p}"},
            r"l\.txt: line 1: expected a path and a whole number: 'a\.png cat'",
        ),
        (
            lambda p: (p / "l.txt").write_text("a.png 0\n"),
            {"list": "{p}/l.txt", "root": "{p}"},
            r"no file .*a\.png; is 'root' right",
        ),
        (
            lambda p: (picture(p / "a.png"), (p / "l.txt").write_text("a.png 1\n")),
            {"train": "{p}/l.txt", "test": "{p}/l.txt", "root": "{p}", "known": True},
            "labels of ID images are 0, 1, 2",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, make, about, message):
    make(tmp_path)
    about = {
        key: value.format(p=tmp_path) if isinstance(value, str) else value
        for key, value in about.items()
    }
    with pytest.raises(InputError, match=message):
        user_images.read(about)


def test_a_changed_file_changes_the_stamp(known):
    about = {"folder": str(known)}
    before = user_images.read(about).stamp("test")
    assert user_images.read(about).stamp("test") == before
    picture(known / "cat" / "0.png", 77, size=(30, 30))
    assert user_images.read(about).stamp("test") != before


def test_pictures_of_any_kind_become_one_shape_and_bad_ones_are_named(tmp_path):
    picture(tmp_path / "grey.png", 100)
    picture(tmp_path / "colour.png", (255, 0, 0), "RGB")
    picture(tmp_path / "palette.gif", 3, "P")
    picture(tmp_path / "clear.png", (0, 255, 0, 9), "RGBA")
    Image.fromarray(np.full((7, 9), 300 * 100, np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    whole = (tmp_path / "grey.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:40])
    files = [(path.name, 5) for path in sorted(tmp_path.iterdir())]
    found, bad = decode.user_pictures(tmp_path, files, (8, 8, 1))
    assert [one.partition(":")[0] for one in bad] == ["bad.png", "cut.png"]
    by_name = dict(zip(found.names, found.images[:, 0, 0, 0], strict=True))
    assert by_name["grey.png"] == 100
    assert by_name["colour.png"] == 76
    assert by_name["deep.png"] == 30_000 >> 8
    assert found.labels.tolist() == [5] * 5
    with pytest.raises(InputError, match=r"none of 1 pictures can be read: bad\.png"):
        decode.user_pictures(tmp_path, [("bad.png", 0)], (8, 8, 1))


def test_a_turned_photograph_is_turned_back(tmp_path):
    image = Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8).repeat(4, 0).repeat(4, 1))
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "turned.png", exif=exif)
    found, _ = decode.user_pictures(tmp_path, [("turned.png", 0)], (8, 8, 1))
    assert found.images[0, 0, :, 0].tolist() == [255] * 4 + [0] * 4


def test_names_stay_with_their_images(tmp_path):
    names = np.array(["a", "bb", "c d"])
    made = ImageSet(np.zeros((3, 2, 2, 1), np.uint8), np.array([2, 0, 2]), names)
    made.save(tmp_path / "set.npz")
    found = ImageSet.load(tmp_path / "set.npz")
    assert found.names.tolist() == names.tolist()
    assert found.select([2]).names.tolist() == ["a", "c d"]
    assert found.renumbered([0, 2]).names.tolist() == names.tolist()
    assert found.spread(2).names.tolist() == ["a", "c d"]
    columns = {"label": made.labels, "score": np.arange(3.0), "file": found.names}
    save_scores(tmp_path / "scores.parquet", columns, {})
    assert load_scores(tmp_path / "scores.parquet", [2])["file"].tolist() == ["a", "c d"]


def benchmark(tmp_path, content):
    """The benchmark ``mine`` in a copy of what the loader reads."""
    (tmp_path / "config.yaml").symlink_to(ROOT / "config.yaml")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/recipes").symlink_to(ROOT / "benchmarks/recipes")
    (tmp_path / "benchmarks/mine.yaml").write_text(
        "title: Mine\nshape: [8, 8, 1]\nrecipe: digits\n" + content
    )
    config = load_yaml(ROOT / "config.yaml") | {"benchmarks": ["mine"], "methods": ["msp"]}
    return Loader(tmp_path, config).benchmarks()["mine"]


def test_a_benchmark_of_own_images(known, tmp_path):
    picture(tmp_path / "other" / "1.png")
    found = benchmark(
        tmp_path,
        f"id: {{folder: {known}, test_share: 0.4}}\n"
        f"ood: {{near: [{{name: others, folder: {tmp_path}/other}}], far: [uniform]}}\n",
    )
    assert (found.dataset, found.classes) == ("known", (0, 1))
    assert found.class_names == ("cat", "dog")
    assert found.ood["others"].dataset == "others"
    assert found.models["classifier"]["n_classes"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id: {folder: KNOWN}\nood: {a: [uniform]}\n", r"id: .*needs the folders"),
        (
            "id: {dataset: digits}\nood: {a: [{name: mnist, folder: KNOWN}]}\n",
            r"ood\.a\[0\]: the name 'mnist' is taken",
        ),
        (
            "id: {dataset: digits}\nood: {a: [{folder: KNOWN}]}\n",
            r"the key 'name' is missing",
        ),
        (
            "id: {dataset: digits}\nood: {a: [{name: x, folder: KNOWN, root: KNOWN}]}\n",
            r"the key 'root' has no use beside 'folder'",
        ),
        (
            "id: {folder: KNOWN, test_share: 0.4}\nood: {a: [{name: x, folder: KNOWN}]}\n",
            "shares classes of x with the ID set",
        ),
    ],
)
def test_mistakes_in_a_benchmark_of_own_images(known, tmp_path, content, message):
    with pytest.raises(InputError, match=r"benchmarks/mine\.yaml: .*" + message):
        benchmark(tmp_path, content.replace("KNOWN", str(known)))


@pytest.mark.parametrize("classes", [10, 100])
def test_openoods_benchmarks_go_by_its_lists(tmp_path, monkeypatch, classes):
    """Lists of the form that OpenOOD publishes: a path below the images' folder, and a label, -1
    where there is none."""
    monkeypatch.chdir(tmp_path)
    name, other = f"cifar{classes}", f"cifar{110 - classes}"
    lists = Path("data/openood/benchmark_imglist") / name
    lists.mkdir(parents=True)
    for split, source, labels in (
        ("train", name, range(classes)),
        ("test", name, range(classes)),
        *(("test", one, [-1, -1]) for one in (other, "tin", "mnist", "svhn", "texture")),
        ("test", "places365", [-1, -1]),
        ("val", "tin", [-1]),
    ):
        lines = []
        for number, label in enumerate(labels):
            path = f"{source}/{split}/{number} of all.png"
            picture(Path("data/openood/images_classic") / path)
            lines.append(f"{path} {label}")
        (lists / f"{split}_{source}.txt").write_text("\n".join(lines) + "\n")
    benchmark = f"openood_{name}"
    changes = {"benchmarks": [benchmark], "scale": "quick", "reference": "msp"}
    found = Loader(ROOT, load_yaml(ROOT / "config.yaml") | changes).benchmarks()[benchmark]
    groups = {one.name.removeprefix("openood_"): one.group for one in found.ood.values()}
    near, far = dict.fromkeys([other, "tin"], "near"), ["mnist", "svhn", "textures", "places365"]
    assert groups == near | dict.fromkeys(far, "far")
    assert found.classes == tuple(range(classes))
    assert found.validation.name == "openood_tin_validation"
    read = user_images.read(found.user_images["openood_svhn"])
    assert read.splits["test"][0] == ("svhn/test/0 of all.png", -1)
    text = (lists / "test_svhn.txt").read_bytes()
    told = user_images.list_of(found.user_images["openood_svhn"], "test")
    assert told == f"test_svhn.txt (sha256 {hashlib.sha256(text).hexdigest()[:12]})"
