"""What is known of an image set: where its bytes come from, how they are checked and decoded.

From the standard library only: the Snakefile reads it.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RawFile:
    """One file as published.

    :param name: in ``data/raw/<dataset>/`` and in a mirror's ``<dataset>/``
    :param digest: ``<algorithm>:<hexadecimal>``; ``gunzip-md5`` is the MD5 of the decompressed
        bytes (a mirror may compress the same IDX bytes anew); None where nobody published one:
        the first download's SHA-256 is then recorded beside the file
    :param urls: public addresses, tried in order; may be empty for files that only mirrors hold
    """

    name: str
    digest: str | None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """One image set.

    :param shape: ``(H, W, C)`` as published, None where it varies
    :param splits: file names and the decoder's argument for each split
    :param decoder: a function of ``ood.data.decode``
    :param classes: class names in label order; None where there are too many to list
    :param invert: the published images are dark on light where MNIST is light on dark
    :param first: how many images of a split are taken, in the files' order; None for all
    :param stand_in_for: the set that this one replaces where that one cannot be had
    :param mirror_folder: a mirror's folder for the files, where it is not the dataset's name
    :param files_of: the dataset that this one shares its files with
    :param note: what every table's reader should know
    """

    title: str
    shape: tuple[int, int, int] | None
    licence: str
    citation: str
    files: dict[str, RawFile] = field(default_factory=dict)
    splits: dict[str, tuple[tuple[str, ...], str | None]] = field(default_factory=dict)
    decoder: str | None = None
    classes: tuple[str, ...] | None = None
    invert: bool = False
    first: int | None = None
    stand_in_for: str | None = None
    mirror_folder: str | None = None
    files_of: str | None = None
    note: str = ""


PARTS = ("images-idx3", "labels-idx1")
IDX_SPLITS = {
    split: (tuple(f"{prefix}-{part}-ubyte.gz" for part in PARTS), None)
    for split, prefix in (("train", "train"), ("test", "t10k"))
}
DIGITS = tuple("0123456789")
FASHION = tuple(
    "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
)
LETTERS = tuple("ABCDEFGHIJ")
CIFAR10 = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
CIFAR100 = tuple(
    (
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus "
        "butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach "
        "couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster "
        "house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree "
        "motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear "
        "pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket "
        "rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar "
        "sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip "
        "turtle wardrobe whale willow_tree wolf woman worm"
    ).split()
)
TINY_IMAGENET = "Le, Yang: Tiny ImageNet visual recognition challenge, 2015"
ODIN = "Liang, Li, Srikant: ODIN, ICLR 2018"
VMDLS = "Dinari, Freifeld: Variational- and metric-based deep latent space, UAI 2022"
LSUN = "Yu et al.: LSUN, arXiv 1506.03365; " + ODIN
KMNIST = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
RESIZE_NOTE = "resized without antialiasing: the artefacts make it easy"


def raw_files(*files: RawFile) -> dict[str, RawFile]:
    return {file.name: file for file in files}


def idx_files(addresses: tuple[str, ...], digests: dict[str, str]) -> dict[str, RawFile]:
    return raw_files(
        *(
            RawFile(name, f"gunzip-md5:{digest}", tuple(f"{url}{name}" for url in addresses))
            for name, digest in digests.items()
        )
    )


def odin_archive(
    title: str, citation: str, name: str, key: str, md5: str, note: str = ""
) -> Dataset:
    """One of the archives that ODIN's authors share: 32x32 pictures in one folder."""
    file = f"{name}.tar.gz"
    return Dataset(
        title=title,
        shape=(32, 32, 3),
        licence="research use",
        citation=citation,
        files=raw_files(
            RawFile(file, f"md5:{md5}", (f"https://www.dropbox.com/s/{key}/{file}?dl=1",))
        ),
        splits={"test": ((file,), "flat")},
        decoder="pictures",
        note=note,
    )


def fix_archive(title: str, citation: str, file: str, drive_id: str) -> Dataset:
    """One of the archives that CSI's authors share: resized with antialiasing."""
    return Dataset(
        title=title,
        shape=(32, 32, 3),
        licence="research use",
        citation=citation + "; Tack et al.: CSI, NeurIPS 2020",
        files=raw_files(
            RawFile(file, None, (f"https://drive.google.com/file/d/{drive_id}/view",)),
        ),
        splits={"test": ((file,), "flat")},
        decoder="pictures",
    )


def cifar_archive(title: str, name: str, file: str, md5: str, classes: tuple[str, ...]) -> Dataset:
    return Dataset(
        title=title,
        shape=(32, 32, 3),
        licence="none stated; the authors ask for the citation",
        citation="Krizhevsky: Learning multiple layers of features from tiny images, 2009",
        files=raw_files(RawFile(file, f"md5:{md5}", (f"https://www.cs.toronto.edu/~kriz/{file}",))),
        splits={split: ((file,), f"{name}:{split}") for split in ("train", "test")},
        decoder="cifar",
        classes=classes,
    )


def tiny_imagenet_sets(
    name: str, file: RawFile, prefix: str, mirror_folder: str | None = None
) -> dict[str, Dataset]:
    """Three sets of the test images under ``prefix`` in an archive, to stand in for ODIN's.

    The last thousand images validate, the others are resized and cropped.
    """
    parts = {
        "": ("resized", "tiny_imagenet_resize", "resize:0:9000"),
        "_cropped": ("random 32x32 crops", "tiny_imagenet_crop", "crop:0:9000"),
        "_validation": ("the last 1,000, resized", "isun", "resize:9000:10000"),
    }
    return {
        name + suffix: Dataset(
            title=f"Tiny ImageNet test images, {title}",
            shape=(64, 64, 3),
            licence="research use",
            citation=TINY_IMAGENET,
            files={} if suffix else raw_files(file),
            splits={"test": ((file.name,), f"{cut}:{prefix}")},
            decoder="cut_pictures",
            stand_in_for=original,
            mirror_folder=mirror_folder,
            files_of=name if suffix else None,
            note="resized with antialiasing, unlike ODIN's set" if "resize" in cut else "",
        )
        for suffix, (title, original, cut) in parts.items()
    }
