"""Raw bytes: checksums, archives, decoders and generated sets."""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from ood.data import decode, noise
from ood.data.registry import ID_NOISES, NOISES, REGISTRY
from ood.errors import InputError


def idx(array):
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def picture(value, mode="L", size=(4, 4)):
    buffer = io.BytesIO()
    Image.new(mode, size, value).save(buffer, "png")
    return buffer.getvalue()


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))


def test_idx_files_whatever_their_compression(tmp_path):
    images = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    plain = idx(images), idx(np.array([7, 4]))
    files = {}
    for name, content, level in (("images.gz", plain[0], 1), ("labels.gz", plain[1], 9)):
        (tmp_path / name).write_bytes(gzip.compress(content, level, mtime=level))
        files[name] = "gunzip-md5:" + hashlib.md5(content).hexdigest()
    found, digests = decode.prepare("idx", files, None, (3, 3, 1), False, tmp_path)
    np.testing.assert_array_equal(found.images[..., 0], images)
    assert found.labels.tolist() == [7, 4]
    assert digests == files


def test_a_wrong_checksum_names_the_file_and_both_digests(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"other bytes")
    with pytest.raises(InputError, match=r"a\.bin: wrong checksum: expected md5:00, found \w{32}"):
        decode.prepare("pictures", {"a.bin": "md5:00"}, "flat", (4, 4, 1), False, tmp_path)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>", b"\n <html><body>403</body></html>"])
def test_a_web_page_is_recognised(tmp_path, page):
    (tmp_path / "a.tar.gz").write_bytes(page)
    with pytest.raises(InputError, match="HTML page"):
        decode.verify(tmp_path / "a.tar.gz", None)


def test_a_truncated_gzip_file_is_recognised(tmp_path):
    whole = gzip.compress(idx(np.zeros((50, 28, 28))) + bytes(range(256)) * 9)
    (tmp_path / "a.gz").write_bytes(whole[:-40])
    with pytest.raises(InputError, match="truncated or damaged"):
        decode.verify(tmp_path / "a.gz", "gunzip-md5:00")


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["../escape.png", "/absolute.png", "a/../../b.png", "..\\c.png"])
def test_members_that_leave_their_folder_are_refused(tmp_path, make, name):
    make(tmp_path / "archive", {"good.png": picture(1), name: picture(2)})
    with pytest.raises(InputError, match="would leave its folder"):
        list(decode.members(tmp_path / "archive"))


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_truncated_archive_is_named(tmp_path, make):
    path = tmp_path / "archive"
    noise = np.random.default_rng(0).bytes(5000)
    make(path, {"a.png": noise, "b.png": noise})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="archive: damaged archive"):
        list(decode.members(path))


def test_pictures_take_labels_from_folders(tmp_path):
    make_zip(
        tmp_path / "a.zip",
        {"set/B/1.png": picture(20), "set/A/1.png": picture(10), "set/B/0.png": picture(30)},
    )
    images, labels, _ = decode.pictures(tmp_path, ("a.zip",), "folder", (4, 4, 1))
    assert [int(image[0, 0]) for image in images] == [10, 30, 20]
    assert labels.tolist() == [0, 1, 1]


def test_pictures_under_a_prefix(tmp_path):
    make_zip(tmp_path / "a.zip", {"train/0.png": picture(1), "test/0.png": picture(2)})
    images, labels, _ = decode.pictures(tmp_path, ("a.zip",), "flat:test/", (4, 4, 1))
    assert len(images) == 1
    assert labels.tolist() == [0]


def test_parts_and_crops_of_pictures(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (3, 6, 6), np.uint8)
    pictures = {}
    for number, image in enumerate(pixels):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "png")
        pictures[f"x/{number}.png"] = buffer.getvalue()
    make_zip(tmp_path / "a.zip", pictures)
    whole, labels, _ = decode.cut_pictures(tmp_path, ("a.zip",), "resize:1:3:x/", (4, 4, 1))
    assert [image.tolist() for image in whole] == pixels[1:].tolist()
    assert labels.tolist() == [0, 0]
    crops, *_ = decode.cut_pictures(tmp_path, ("a.zip",), "crop:0:2:", (4, 4, 1))
    for crop, image in zip(crops, pixels, strict=False):
        windows = np.lib.stride_tricks.sliding_window_view(image, (4, 4))
        assert (windows == crop).all(axis=(2, 3)).any()
    assert len(crops) == 2


def test_the_stand_ins_cut_from_one_archive_share_no_image_with_validation():
    for name in ("tiny_imagenet", "tiny_imagenet_test"):
        parts = {}
        for suffix in ("", "_cropped", "_validation"):
            entry = REGISTRY[name + suffix]
            assert suffix == "" or entry.files_of == name
            _, first, end, _ = entry.splits["test"][1].split(":")
            parts[suffix] = set(range(int(first), int(end)))
        assert parts[""] == parts["_cropped"]
        assert not parts[""] & parts["_validation"]
        assert len(parts[""] | parts["_validation"]) == 10_000


def test_a_few_unreadable_pictures_are_skipped_and_many_are_an_error(tmp_path):
    good = {f"{i}.png": picture(i) for i in range(200)}
    make_zip(tmp_path / "few.zip", good | {"bad.png": b""})
    found, sources = decode.prepare(
        "pictures", {"few.zip": None}, "flat", (4, 4, 1), False, tmp_path
    )
    assert len(found) == 200
    assert sources["unreadable"] == ["few.zip: bad.png"]
    make_zip(tmp_path / "many.zip", good | {f"bad{i}.png": b"x" for i in range(9)})
    with pytest.raises(InputError, match="9 of 209 pictures unreadable"):
        decode.pictures(tmp_path, ("many.zip",), "flat", (4, 4, 1))


def test_pictures_of_sixteen_bits_keep_their_range(tmp_path):
    values = np.array([[0, 255, 256], [4095, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    make_zip(tmp_path / "deep.zip", {"deep.png": (tmp_path / "deep.png").read_bytes()})
    (found,), *_ = decode.pictures(tmp_path, ("deep.zip",), "flat", (2, 3, 1))
    assert found.tolist() == [[0, 0, 1], [15, 128, 255]]


def test_a_picture_that_is_a_bomb_is_unreadable(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    make_zip(tmp_path / "bomb.zip", {"bomb.png": picture(0, size=(12, 12))})
    with pytest.raises(InputError, match="1 of 1 pictures unreadable"):
        decode.pictures(tmp_path, ("bomb.zip",), "flat", (4, 4, 1))


def test_what_unpacks_to_more_than_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MOST_BYTES", 1000)
    make_zip(tmp_path / "big.zip", {"big.png": bytes(2000)})
    with pytest.raises(InputError, match=r"big\.zip: big\.png: more than .* when unpacked"):
        list(decode.members(tmp_path / "big.zip"))
    for name in ("i.gz", "l.gz"):
        (tmp_path / name).write_bytes(gzip.compress(bytes(2000)))
    with pytest.raises(InputError, match=r"i\.gz: more than .* when unpacked"):
        decode.idx(tmp_path, ("i.gz", "l.gz"), None, (4, 4, 1))


def test_a_zip_with_a_password_is_named(tmp_path):
    make_zip(tmp_path / "locked.zip", {"a.png": picture(0)})
    content = bytearray((tmp_path / "locked.zip").read_bytes())
    # the flag of encryption, in the file's header and in the directory's
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"locked\.zip: damaged archive .*(password|encrypted)"):
        list(decode.members(tmp_path / "locked.zip"))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3)), np.array([0, 1]), r"i\.gz: no idx file of images"),
        (np.zeros((2, 3, 3)), np.array([0, 7]), "labels 0 to 7, where the registry has 5 classes"),
        (np.zeros((2, 3, 3)), np.array([0]), "2 images and 1 labels"),
        (np.zeros((0, 3, 3)), np.array([]), r"i\.gz: no idx file of images"),
    ],
)
def test_idx_files_that_cannot_be_the_set_are_errors(tmp_path, images, labels, message):
    for name, array in (("i.gz", images), ("l.gz", labels)):
        (tmp_path / name).write_bytes(gzip.compress(idx(np.asarray(array))))
    files = {"i.gz": None, "l.gz": None}
    with pytest.raises(InputError, match=message):
        decode.prepare("idx", files, None, (3, 3, 1), False, tmp_path, None, 5)


def test_emnist_letters_are_turned_upright_and_counted_from_zero(tmp_path):
    images = np.zeros((2, 28, 28))
    images[0, 0, 5] = 255
    members = {
        f"gzip/emnist-letters-test-{part}-ubyte.gz": gzip.compress(idx(array))
        for part, array in (("images-idx3", images), ("labels-idx1", np.array([1, 26])))
    }
    make_zip(tmp_path / "gzip.zip", members)
    found, labels, _ = decode.emnist(tmp_path, ("gzip.zip",), "test", (28, 28, 1))
    assert found[0][5, 0] == 255
    assert labels.tolist() == [0, 25]


def test_the_digits_split_is_stratified_and_disjoint():
    train, test = (
        decode.prepare("digits", {}, split, (8, 8, 1), False, None)[0]
        for split in ("train", "test")
    )
    assert (len(train), len(test)) == (1437, 360)
    counts = np.bincount(test.labels)
    assert counts.min() >= 35
    assert counts.max() <= 37
    assert train.images.max() == 255
    from sklearn.datasets import load_digits

    whole = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    joined = np.concatenate([train.images, test.images])[..., 0]
    assert sorted(map(bytes, joined)) == sorted(map(bytes, whole))


def test_patches_are_parts_of_the_photographs():
    from sklearn.datasets import load_sample_images

    images, labels, _ = decode.patches(None, (), None, (8, 8, 3))
    photograph = load_sample_images().images[labels[0]]
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (8, 8), axis=(0, 1))
    assert (windows == images[0].transpose(2, 0, 1)).all(axis=(2, 3, 4)).any()
    assert np.bincount(labels).tolist() == [1000, 1000]


def test_noise_has_its_published_moments():
    uniform = noise.generate_noise("uniform", (16, 16, 1)) / 255
    assert len(uniform) == 10_000
    assert uniform.mean() == pytest.approx(0.5, abs=0.002)
    assert uniform.std() == pytest.approx(12**-0.5, abs=0.002)
    gaussian = noise.generate_noise("gaussian", (16, 16, 1)) / 255
    # P(N(.5, 1) < 0) = P(N(.5, 1) > 1) = .3085
    assert (gaussian == 0).mean() == pytest.approx(0.3085 + 0.0007, abs=0.003)
    assert (gaussian == 1).mean() == pytest.approx(0.3085 + 0.0007, abs=0.003)


@pytest.mark.parametrize("name", ["gaussian", "uniform", "bright_uniform"])
def test_small_pictures_get_as_many_images_as_their_benchmarks_can_use(name):
    assert noise.generate_noise(name, (8, 8, 1)).shape == (2_000, 8, 8, 1)


def test_sphere_points_lie_on_the_sphere_and_leave_the_unit_range():
    train = np.zeros((2, 4, 4, 1), np.uint8)
    train[1, :3] = 255
    radius = noise.sphere_radius(train)
    assert radius == pytest.approx(12**0.5 + 2)
    points = noise.generate_noise("sphere", (4, 4, 1), train)
    assert points.shape == (2000, 4, 4, 1)
    assert points.dtype == np.float32
    norms = np.linalg.norm(points.reshape(2000, -1).astype(float), axis=1)
    np.testing.assert_allclose(norms, radius, rtol=1e-6)
    assert 0.45 < (points < 0).mean() < 0.55


def test_noise_is_the_same_every_time():
    known = np.zeros((101, 4, 4, 1), np.uint8)
    for name in (*NOISES, *ID_NOISES):
        first, second = (noise.generate_noise(name, (4, 4, 1), known) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_interpolated_images_are_means_of_two_far_apart_and_none_is_unmixed():
    known = np.random.default_rng(0).integers(0, 256, (230, 4, 4, 1), np.uint8)
    found = noise.generate_noise("interp", (4, 4, 1), known)
    assert found.shape == (130, 4, 4, 1)
    np.testing.assert_allclose(found[7] * 510, known[7].astype(float) + known[107], atol=1e-4)
    with pytest.raises(InputError, match="more than 100 ID test images"):
        noise.generate_noise("interp", (4, 4, 1), known[:100])


def test_the_noises_of_vmdls_are_those_of_its_normalised_images():
    # mean .5 and standard deviation .5: the normalised value v is .5 + .5 v here
    bright = noise.generate_noise("bright_uniform", (8, 8, 1)) / 255
    normalised = (bright - 0.5) / 0.5
    assert 0 <= normalised.min() < normalised.max() <= 1
    assert normalised.mean() == pytest.approx(0.5, abs=0.005)
    known = np.random.default_rng(0).integers(0, 256, (500, 8, 8, 1), np.uint8)
    added = (noise.generate_noise("noisy_id", (8, 8, 1), known) - known / 255) / 0.5
    assert -1e-6 <= added.min() < added.max() <= 1 + 1e-6
    assert added.mean() == pytest.approx(0.5, abs=0.005)
    assert added.std() == pytest.approx(12**-0.5, abs=0.005)


def test_the_first_images_of_a_split_can_be_enough(tmp_path):
    arguments = ("digits", {}, "test", (8, 8, 1), False, tmp_path)
    whole, some = decode.prepare(*arguments)[0], decode.prepare(*arguments, 30)[0]
    assert len(some) == 30 < len(whole)
    np.testing.assert_array_equal(some.images, whole.images[:30])
    assert REGISTRY["omniglot"].first == 10_000


def test_the_registry_agrees_with_torchvision():
    from torchvision import datasets as tv

    assert REGISTRY["cifar10"].files[tv.CIFAR10.filename].digest == f"md5:{tv.CIFAR10.tgz_md5}"
    assert REGISTRY["cifar100"].files[tv.CIFAR100.filename].digest == f"md5:{tv.CIFAR100.tgz_md5}"
    assert REGISTRY["emnist"].files["gzip.zip"].digest == f"md5:{tv.EMNIST.md5}"
    omniglot = tv.Omniglot.zips_md5["images_evaluation"]
    assert REGISTRY["omniglot"].files["images_evaluation.zip"].digest == f"md5:{omniglot}"
    for split in ("train", "test"):
        url, name, md5 = tv.SVHN.split_list[split]
        assert REGISTRY["svhn"].files[name].digest == f"md5:{md5}"
        assert REGISTRY["svhn"].files[name].urls == (url,)
    for name, md5 in tv.KMNIST.resources:
        assert REGISTRY["kmnist"].files[name].digest == f"md5:{md5}"
        assert REGISTRY["kmnist"].files[name].urls == (f"{tv.KMNIST.mirrors[0]}{name}",)
    for ours, theirs in (("mnist", tv.MNIST), ("fashion_mnist", tv.FashionMNIST)):
        assert {name for name, _ in theirs.resources} == set(REGISTRY[ours].files)
        urls = [url for file in REGISTRY[ours].files.values() for url in file.urls]
        for mirror in theirs.mirrors:
            assert any(url.startswith(mirror) for url in urls)


@pytest.mark.parametrize("name", REGISTRY)
def test_registry_entries_are_complete(name):
    entry = REGISTRY[name]
    assert entry.title
    assert entry.licence
    assert entry.citation
    assert name in (*NOISES, *ID_NOISES) or entry.decoder in decode.DECODERS
    for files, _ in entry.splits.values():
        assert set(files) <= set(REGISTRY[entry.files_of or name].files)
    for file in entry.files.values():
        assert file.urls or entry.stand_in_for
        if file.digest:
            algorithm, _, digest = file.digest.partition(":")
            assert len(digest) == {"md5": 32, "gunzip-md5": 32, "sha256": 64}[algorithm]
    assert entry.stand_in_for is None or entry.stand_in_for in REGISTRY
