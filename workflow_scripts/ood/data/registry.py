"""The registry: every image set that a name stands for.

Data only: the Snakefile reads it. ``ood.data.decode`` holds the decoders that it names.
"""

from ood.data.dataset import (
    CIFAR10,
    CIFAR100,
    DIGITS,
    FASHION,
    IDX_SPLITS,
    KMNIST,
    LETTERS,
    LSUN,
    ODIN,
    RESIZE_NOTE,
    TINY_IMAGENET,
    VMDLS,
    Dataset,
    RawFile,
    cifar_archive,
    fix_archive,
    idx_files,
    odin_archive,
    raw_files,
    tiny_imagenet_sets,
)

# noise by itself, and noise around a benchmark's ID training or test images
NOISES = ("gaussian", "uniform", "bright_uniform")
ID_NOISES = {"sphere": "train", "noisy_id": "test", "interp": "test"}

REGISTRY: dict[str, Dataset] = {
    "digits": Dataset(
        title="Optical recognition of handwritten digits (scikit-learn's 1,797 scans)",
        shape=(8, 8, 1),
        licence="CC BY 4.0",
        citation="Alpaydin, Kaynak: UCI optical recognition of handwritten digits, 1998",
        splits={"train": ((), "train"), "test": ((), "test")},
        decoder="digits",
        classes=DIGITS,
    ),
    "patches": Dataset(
        title="Random crops of scikit-learn's two sample photographs",
        shape=None,
        licence="CC BY 2.0 (china.jpg: Yann Forget; flower.jpg: dany13)",
        citation="scikit-learn, sample images",
        splits={"test": ((), None)},
        decoder="patches",
        classes=("china.jpg", "flower.jpg"),
    ),
    "mnist": Dataset(
        title="MNIST handwritten digits",
        shape=(28, 28, 1),
        licence="CC BY-SA 3.0",
        citation="LeCun, Bottou, Bengio, Haffner: Gradient-based learning, Proc. IEEE 1998",
        files=idx_files(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "http://yann.lecun.com/exdb/mnist/",
            ),
            {
                "train-images-idx3-ubyte.gz": "6bbc9ace898e44ae57da46a324031adb",
                "train-labels-idx1-ubyte.gz": "a25bea736e30d166cdddb491f175f624",
                "t10k-images-idx3-ubyte.gz": "2646ac647ad5339dbf082846283269ea",
                "t10k-labels-idx1-ubyte.gz": "27ae3e4e09519cfbb04c329615203637",
            },
        ),
        splits=IDX_SPLITS,
        decoder="idx",
        classes=DIGITS,
    ),
    "kmnist": Dataset(
        title="Kuzushiji-MNIST, cursive Japanese characters",
        shape=(28, 28, 1),
        licence="CC BY-SA 4.0",
        citation="Clanuwat et al.: Deep learning for classical Japanese literature, "
        "arXiv 1812.01718",
        files=raw_files(
            *(
                RawFile(name, f"md5:{digest}", (f"{KMNIST}{name}",))
                for name, digest in {
                    "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
                    "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
                    "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
                    "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
                }.items()
            )
        ),
        splits=IDX_SPLITS,
        decoder="idx",
        classes=tuple("おきすつなはまやれを"),
    ),
    "fashion_mnist": Dataset(
        title="Fashion-MNIST articles of clothing",
        shape=(28, 28, 1),
        licence="MIT",
        citation="Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv 1708.07747",
        files=idx_files(
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            ),
            {
                "train-images-idx3-ubyte.gz": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "train-labels-idx1-ubyte.gz": "9018921c3c673c538a1fc5bad174d6f9",
                "t10k-images-idx3-ubyte.gz": "8181f5470baa50b63fa0f6fddb340f0a",
                "t10k-labels-idx1-ubyte.gz": "15d484375f8d13e6eb1aabb0c3f46965",
            },
        ),
        splits=IDX_SPLITS,
        decoder="idx",
        classes=FASHION,
    ),
    "emnist": Dataset(
        title="EMNIST letters",
        shape=(28, 28, 1),
        licence="public domain (NIST Special Database 19)",
        citation="Cohen, Afshar, Tapson, van Schaik: EMNIST, arXiv 1702.05373",
        files=raw_files(
            RawFile(
                "gzip.zip",
                "md5:58c8d27c78d21e728a6bc7b3cc06412e",
                ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",),
            )
        ),
        splits={split: (("gzip.zip",), split) for split in ("train", "test")},
        decoder="emnist",
        classes=tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ),
    "notmnist": Dataset(
        title="notMNIST_small letters A-J",
        shape=(28, 28, 1),
        licence="none stated",
        citation="Bulatov: notMNIST, 2011",
        files=raw_files(
            RawFile(
                "notMNIST_small.tar.gz",
                None,
                (
                    "http://yaroslavvb.com/upload/notMNIST/notMNIST_small.tar.gz",
                    "https://commondatastorage.googleapis.com/books1000/notMNIST_small.tar.gz",
                ),
            )
        ),
        splits={"test": (("notMNIST_small.tar.gz",), "folder")},
        decoder="pictures",
        classes=LETTERS,
    ),
    "notmnist_sample": Dataset(
        title="10,000 letters A-J sampled from notMNIST, in MNIST's format",
        shape=(28, 28, 1),
        licence="posted with the author's permission",
        citation="Bulatov: notMNIST, 2011; davidflanagan/notMNIST-to-MNIST",
        files=idx_files(
            ("https://github.com/davidflanagan/notMNIST-to-MNIST/raw/master/",),
            {
                "t10k-images-idx3-ubyte.gz": "1e78b07d677d6e4de2c8857bafff012e",
                "t10k-labels-idx1-ubyte.gz": "b10b3ef34b4e468313a7b24c216c6a53",
            },
        ),
        splits={"test": IDX_SPLITS["test"]},
        decoder="idx",
        classes=LETTERS,
        stand_in_for="notmnist",
        mirror_folder="notmnist",
    ),
    "omniglot": Dataset(
        title="Omniglot characters, evaluation set",
        shape=(105, 105, 1),
        licence="MIT",
        citation="Lake, Salakhutdinov, Tenenbaum: Human-level concept learning, Science 2015",
        files=raw_files(
            RawFile(
                "images_evaluation.zip",
                "md5:6b91aef0f799c5bb55b94e3f2daec811",
                (
                    "https://github.com/brendenlake/omniglot/raw/master/python/images_evaluation.zip",
                ),
            )
        ),
        splits={"test": (("images_evaluation.zip",), "folder")},
        decoder="pictures",
        invert=True,
        # as VMDLS takes them, of 13,180
        first=10_000,
    ),
    "omniglot_small": Dataset(
        title="Omniglot characters, the two small background sets",
        shape=(105, 105, 1),
        licence="MIT",
        citation="Lake, Salakhutdinov, Tenenbaum: Human-level concept learning, Science 2015",
        files=raw_files(
            *(
                RawFile(
                    f"images_background_small{number}.zip",
                    f"sha256:{digest}",
                    (
                        "https://github.com/brendenlake/omniglot/raw/master/python/"
                        f"images_background_small{number}.zip",
                    ),
                )
                for number, digest in (
                    (1, "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4"),
                    (2, "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f"),
                )
            )
        ),
        splits={
            "test": (tuple(f"images_background_small{number}.zip" for number in (1, 2)), "folder")
        },
        decoder="pictures",
        invert=True,
        stand_in_for="omniglot",
        mirror_folder="omniglot",
    ),
    "cifar10": cifar_archive(
        "CIFAR-10",
        "CIFAR10",
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        CIFAR10,
    ),
    "cifar10_jpeg": Dataset(
        title="CIFAR-10, JPEG copy",
        shape=(32, 32, 3),
        licence="none stated",
        citation="Krizhevsky: Learning multiple layers of features from tiny images, 2009",
        files=raw_files(
            RawFile(
                "train.zip",
                "sha256:4fdb7b099bad86121914b8d0040f0d70e2407b7e46ae88731cadbac80be5074e",
            ),
            RawFile(
                "test.zip",
                "sha256:39f3c34adc0071797ccfe5767dd6a94a4e93b8db6e0079b71a542df2311adabb",
            ),
        ),
        splits={"train": (("train.zip",), "folder"), "test": (("test.zip",), "folder")},
        decoder="pictures",
        classes=CIFAR10,
        stand_in_for="cifar10",
        mirror_folder="cifar10",
        note="JPEG compression changed the pixels slightly",
    ),
    "cifar100": cifar_archive(
        "CIFAR-100",
        "CIFAR100",
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        CIFAR100,
    ),
    "svhn": Dataset(
        title="Street view house numbers, cropped",
        shape=(32, 32, 3),
        licence="non-commercial use",
        citation="Netzer et al.: Reading digits in natural images, NIPS workshop 2011",
        files=raw_files(
            *(
                RawFile(
                    f"{split}_32x32.mat",
                    f"md5:{digest}",
                    (f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat",),
                )
                for split, digest in (
                    ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
                    ("test", "eb5a983be6a315427106f1b164d9cef3"),
                )
            )
        ),
        splits={split: ((f"{split}_32x32.mat",), split) for split in ("train", "test")},
        decoder="svhn",
        classes=DIGITS,
    ),
    "tiny_imagenet_crop": odin_archive(
        "Tiny ImageNet, 32x32 crops (ODIN)",
        f"{TINY_IMAGENET}; {ODIN}",
        "Imagenet",
        "avgm2u562itwpkl",
        "7c0827e4246c3718a5ee076e999e52e5",
    ),
    "tiny_imagenet_resize": odin_archive(
        "Tiny ImageNet, resized to 32x32 (ODIN)",
        f"{TINY_IMAGENET}; {ODIN}",
        "Imagenet_resize",
        "kp3my3412u5k9rl",
        "0f9ff11d45babf2eff5fe12281d1ac31",
        RESIZE_NOTE,
    ),
    "lsun_crop": odin_archive(
        "LSUN, 32x32 crops (ODIN)",
        LSUN,
        "LSUN",
        "fhtsw1m3qxlwj6h",
        "458a0a0ab8e5f1cb4516d7400568e460",
    ),
    "lsun_resize": odin_archive(
        "LSUN, resized to 32x32 (ODIN)",
        LSUN,
        "LSUN_resize",
        "moqh2wh8696c3yl",
        "278b7b31c8cb7e804a1465a8ce03a2dc",
        RESIZE_NOTE,
    ),
    "isun": odin_archive(
        "iSUN patches (ODIN)",
        f"Xu et al.: TurkerGaze, arXiv 1504.06755; {ODIN}",
        "iSUN",
        "ssz7qxfqae0cca5",
        "be77b0f2c26fda898afac5f99645ee70",
    ),
    "lsun_fix": fix_archive(
        "LSUN, resized with antialiasing (CSI)",
        "Yu et al.: LSUN, arXiv 1506.03365",
        "LSUN_fix.tar.gz",
        "1KVWj9xpHfVwGcErH5huVujk9snhEGOxE",
    ),
    "imagenet_fix": fix_archive(
        "ImageNet, resized with antialiasing (CSI)",
        "Deng et al.: ImageNet, CVPR 2009",
        "Imagenet_fix.tar.gz",
        "1sO_-noq10mmziB1ECDyNhD5T4u5otyKA",
    ),
    **tiny_imagenet_sets(
        "tiny_imagenet",
        RawFile(
            "tiny-imagenet-200.zip",
            "md5:90528d7ca1a48142e341f4ef8d21d0de",
            ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
        ),
        "tiny-imagenet-200/test/images/",
    ),
    # the same images in an archive of their own
    **tiny_imagenet_sets(
        "tiny_imagenet_test",
        RawFile(
            "test_images.zip",
            "sha256:cd6e302304bfdf6cf0bf57c08b361bc68817cbea66dff7840d9b5fd6becaea9b",
        ),
        "",
        mirror_folder="tiny_imagenet",
    ),
    "gaussian": Dataset(
        title="Gaussian noise: mean .5, standard deviation 1 per value, clipped to [0, 1]",
        shape=None,
        licence="generated",
        citation=ODIN,
        splits={"test": ((), None)},
    ),
    "uniform": Dataset(
        title="Uniform noise on [0, 1] per value",
        shape=None,
        licence="generated",
        citation=ODIN,
        splits={"test": ((), None)},
    ),
    "bright_uniform": Dataset(
        title="Uniform noise on [.5, 1] per value",
        shape=None,
        licence="generated",
        citation=VMDLS,
        splits={"test": ((), None)},
    ),
    "interp": Dataset(
        title="Means of two ID test images, 100 places apart",
        shape=None,
        licence="generated",
        citation="Tack et al.: CSI, NeurIPS 2020",
        splits={"test": ((), None)},
    ),
    "noisy_id": Dataset(
        title="The ID test images with uniform noise on [0, .5] added per value, not clipped",
        shape=None,
        licence="generated",
        citation=VMDLS,
        splits={"test": ((), None)},
    ),
    "sphere": Dataset(
        title="Points on a sphere around the ID training set, not clipped",
        shape=None,
        licence="generated",
        citation="Vernekar et al.: OOD detection in classifiers via generation, arXiv 1910.04241",
        splits={"test": ((), None)},
    ),
}
