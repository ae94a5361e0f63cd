"""pytorch-ood's detectors: as pytorch-ood itself scores images, alone and in a batch."""

import pytest
import torch
from pytorch_ood import detector as theirs
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from typed import complete, typed

from ood.data.images import ImageSet, to_tensor, to_unit
from ood.detection import classifier as classifiers
from ood.errors import InputError
from ood.methods import pytorch_ood as ours
from ood.settings.pytorch_ood import RECORDS
from ood.training.device import Compute
from ood.training.model_files import cpu_state
from ood.training.run import Inputs, Run

CPU = Compute(torch.device("cpu"))
CLASSIFIER = complete(
    "classifier",
    architecture="two_conv",
    shape=[8, 8, 1],
    n_classes=3,
    extra_outputs=1,
    width=0.25,
    hidden=24,
    dropout=0.0,
    head_dropout=0.0,
    normalization=None,
)
ARGUMENTS = {"DICE": {"p": 0.7}, "ViM": {"d": 8}, "NNGuide": {"k": 3}}


class TrainingResult:
    """A classifier as ``Saved`` hands it over."""

    def __init__(self, network):
        self.settings, self.parameters = typed(CLASSIFIER), 1
        self.content = {"settings": CLASSIFIER, "state": cpu_state(network)}


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network = classifiers.build(typed(CLASSIFIER)).eval()
    nn.init.normal_(network.head[-1].weight, std=2)
    # every class is predicted
    with torch.no_grad():
        network.head[-1].bias -= network(torch.rand(300, 1, 8, 8)).mean(0)
    return network


@pytest.fixture(scope="module")
def known(classifier):
    """300 images with the labels that the classifier gives them."""
    generator = torch.Generator().manual_seed(1)
    images = (torch.rand(300, 8, 8, 1, generator=generator) * 255).byte().numpy()
    with torch.no_grad():
        logits = classifier(to_unit(to_tensor(images)))[:, :3]
    return ImageSet(images, logits.argmax(1).numpy())


def fitted(classifier, known, tmp_path, detector, arguments):
    settings = complete("pytorch_ood", detector=detector, arguments=arguments)
    inputs = Inputs(images=known, models={"classifier": TrainingResult(classifier)})
    return ours.fit(typed(settings), inputs, Run(0, CPU, tmp_path / "checkpoint.pt", ""))


@pytest.mark.parametrize("name", RECORDS)
def test_scores_are_pytorch_oods_and_of_each_image_alone(classifier, known, tmp_path, name):
    arguments = ARGUMENTS.get(name, {})
    found = fitted(classifier, known, tmp_path, name, arguments)
    assert found.record.title == RECORDS[name].title
    detector = ours.load(found.content, CPU)
    images = torch.rand(20, 1, 8, 8)
    with torch.no_grad():
        scores = detector.score(images)
    assert scores.dtype == torch.float64
    assert scores.isfinite().all()
    with torch.no_grad():
        alone = torch.cat([detector.score(one[None]) for one in images])
    torch.testing.assert_close(alone, scores, rtol=1e-4, atol=1e-5)

    # as its documentation has it: the whole net, and a loader of images
    last = nn.Linear(24, 3)
    last.load_state_dict(
        {"weight": classifier.head[-1].weight[:3], "bias": classifier.head[-1].bias[:3]}
    )
    encoder = nn.Sequential(classifier.features, *list(classifier.head)[:-1])
    as_map = nn.Sequential(encoder, nn.Unflatten(1, (24, 1, 1)))
    parts = {
        "model": nn.Sequential(encoder, last),
        "encoder": encoder,
        "backbone": as_map,
        # NCI reads the weights of its head
        "head": last if name == "NCI" else nn.Sequential(nn.Flatten(), last),
        "w": last.weight.detach(),
        "b": last.bias.detach(),
    }
    kind = getattr(theirs, name)
    code = kind.__init__.__code__
    names = code.co_varnames[1 : code.co_argcount]
    if name == "GradNorm":
        arguments = {"param_filter": lambda one: one.startswith("1.")}
    plain = kind(**{part: parts[part] for part in names if part in parts}, **arguments).to("cpu")
    if plain.requires_fit:
        every = TensorDataset(to_unit(to_tensor(known.images)), torch.from_numpy(known.labels))
        with torch.no_grad():
            plain.fit(DataLoader(every, batch_size=300))
    torch.testing.assert_close(
        scores, plain.predict(images).detach().double(), rtol=1e-3, atol=1e-3
    )


def test_the_class_is_the_classifiers_without_its_reject_logit(classifier, known, tmp_path):
    detector = ours.load(fitted(classifier, known, tmp_path, "Entropy", {}).content, CPU)
    images = torch.rand(50, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(detector.predict(images), classifier(images)[:, :3].argmax(1))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ViM", {}, "ViM of pytorch-ood needs the argument d"),
        ("GEN", {"gama": 0.1}, "GEN of pytorch-ood takes gamma, M, not gama"),
    ],
)
def test_wrong_arguments_are_said_before_any_pass(
    classifier, known, tmp_path, name, arguments, message
):
    with pytest.raises(InputError, match=message):
        fitted(classifier, known, tmp_path, name, arguments)


def test_a_missing_package_is_said(monkeypatch, classifier):
    monkeypatch.setitem(__import__("sys").modules, "pytorch_ood", None)
    with pytest.raises(InputError, match="pip install pytorch-ood"):
        ours.build({"detector": "GEN", "arguments": {}}, ours.Last(classifier, 3))
