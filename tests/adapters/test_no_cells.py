"""Why there are no cells is told: flat and tiny images, NaN in outputs and parameters."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'cellpose'")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from cellharness.data.manifest import Case  # noqa: E402
from cellharness.errors import UsageError  # noqa: E402
from cellharness.methods.base import NotFiniteError, UnsupportedCaseError  # noqa: E402
from cellharness.methods.registry import build, method_class, method_names  # noqa: E402
from cellharness.running.predict import predict_folder  # noqa: E402
from cellharness.running.worker import check_labels  # noqa: E402
from cellharness.training.samples import LabelledImage, TrainingDataError  # noqa: E402
from cellharness.training.trainer import build_trainer, trainer_class  # noqa: E402
from cellharness_adapters.kit_ge.network import DUNet  # noqa: E402

SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (5, 5), (7, 7), (8, 8), (2, 300), (300, 2)]
SIZES += [(1, 300), (300, 1), (7, 300), (300, 7)]


@pytest.fixture
def method(cyto, tmp_path, one_core):
    def make(name, **parameters):
        options = {"weights": "cyto", "device": "cpu"}
        if name == "kit-ge":
            torch.manual_seed(0)
            torch.save(DUNet((4, 16)).state_dict(), tmp_path / "net.pt")
            options["weights"] = str(tmp_path / "net.pt")
        made = build(name, {} if name == "otsu-watershed" else {**options, **parameters})
        made.load()
        return made

    return make


@pytest.fixture(scope="module")
def discs():
    """Nine bright discs on a noisy ground, and their labels."""
    y, x = np.mgrid[:96, :96]
    labels = np.zeros((96, 96), np.uint16)
    for number in range(9):
        row, column = 16 + 32 * (number // 3), 16 + 32 * (number % 3)
        labels[(y - row) ** 2 + (x - column) ** 2 <= 8**2] = number + 1
    image = np.random.default_rng(0).normal(20, 3, (96, 96)) + 150 * (labels > 0)
    return image.astype(np.float32), labels


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("otsu-watershed", {}),
        ("kit-ge", {"precision": "float32"}),
        ("kit-ge", {"precision": "float32", "scale": 0.05}),
        ("omnipose-paper", {}),
        ("omnipose-paper", {"network": "tiles", "diameter": 2000}),
        ("cellpose", {}),
        ("cellpose", {"diameter": 500}),
    ],
)
def test_tiny_and_elongated_images_give_labels_or_say_their_size(method, name, parameters):
    segmenter = method(name, **parameters)
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        image = rng.uniform(0, 255, (height, width)).astype(np.float32)
        message = ""
        try:
            check_labels(segmenter.segment(image), image.shape)
        except UnsupportedCaseError as error:
            message = str(error)
        assert not message or f"{height} x {width} px" in message


@pytest.mark.weights
@pytest.mark.parametrize("name", ["cellpose", "omnipose-paper", "kit-ge"])
def test_a_network_that_gives_nan_is_an_error_and_not_empty(method, name, discs):
    segmenter = method(name, **({} if name == "omnipose-paper" else {"precision": "float32"}))
    image = discs[0].copy()
    if name == "omnipose-paper":
        # It cuts off extremes of images, so its weights are past what float32 can add up.
        segmenter._networks._networks[0].output[2].weight.data.fill_(3e38)
    else:
        image[0, 0] = np.float32(3e38)
        image[1, 1] = -np.float32(3e38)
    message = r"gave NaN or infinity in \d+ of \d+ values"
    with np.errstate(all="ignore"), pytest.raises(NotFiniteError, match=message):
        segmenter.segment(image)


@pytest.mark.weights
class TestFlatImages:
    REMARK = "flat to Cellpose's normalisation"

    def sparse(self):
        """Two soft bright spots on a dark ground: the 99th percentile is still dark."""
        y, x = np.mgrid[:340, :340]
        spots = [np.exp(-((y - at) ** 2 + (x - at) ** 2) / 64) for at in (90, 240)]
        image = 200 * np.sum(spots, axis=0)
        image[image < 20] = 0
        return image.astype(np.float32)

    def test_are_remarked_on_and_can_be_helped(self, method):
        image = self.sparse()
        flat = method("cellpose", diameter=16)
        assert not flat.segment(image).any()
        assert self.REMARK in flat.details()["remark"]
        for normalize in ({"percentile": [1, 99.9]}, {"lowhigh": [0, 200]}):
            helped = method("cellpose", diameter=16, normalize=normalize)
            assert len(np.unique(helped.segment(image))) == 3
            assert "remark" not in helped.details()

    def test_small_range_floats_are_too(self, method, discs):
        segmenter = method("cellpose", diameter=16)
        segmenter.segment(discs[0] / 1e6)
        assert self.REMARK in segmenter.details()["remark"]
        segmenter.segment(discs[0])
        assert "remark" not in segmenter.details()
        segmenter.segment(np.zeros_like(discs[0]))
        assert "remark" not in segmenter.details()

    @pytest.mark.slow
    def test_are_counted_in_the_summary_of_a_folder(self, cyto, tmp_path):
        import tifffile

        (tmp_path / "in").mkdir()
        for name in "ab":
            tifffile.imwrite(tmp_path / "in" / f"{name}.tif", self.sparse().astype(np.uint8))
        options = {"weights": "cyto", "diameter": 16, "device": "cpu"}
        result = predict_folder("cellpose", tmp_path / "in", tmp_path / "out", parameters=options)
        ((remark, count),) = result.remarks["cellpose"].items()
        assert (self.REMARK in remark, count) == (True, 2)
        note = json.loads((tmp_path / "out" / "provenance.json").read_text())
        assert note["images"]["a"]["remark"] == remark

    @pytest.mark.parametrize(
        "normalize", [{"percentile": [1, 99]}, {"percentile": [0, 99.5]}, {"lowhigh": [10, 180]}]
    )
    @pytest.mark.parametrize("precision", ["float32", "stock"])
    def test_normalize_is_the_librarys(self, method, discs, normalize, precision):
        ours = method("cellpose", diameter=16, normalize=normalize, precision=precision)
        stock = method("cellpose", diameter=16, precision="stock")
        expected = stock._model.eval(
            discs[0].copy(), channels=[0, 0], diameter=16, normalize=normalize
        )[0]
        np.testing.assert_array_equal(ours.segment(discs[0].copy()), expected)


@pytest.mark.parametrize(
    ("normalize", "message"),
    [
        ({"percentile": [99, 1]}, "two numbers from 0 to 100, the smaller first"),
        ({"percentile": [0, 101]}, "two numbers from 0 to 100"),
        ({"percentile": [1]}, "percentile"),
        ({"lowhigh": [5, 5]}, "two grey values, the smaller first"),
        ({"lowhigh": [0, float("inf")]}, "finite"),
        ({"percentiles": [1, 99]}, "Did you mean 'percentile'"),
    ],
)
def test_normalize_is_checked(normalize, message):
    with pytest.raises(UsageError, match=message):
        build("cellpose", {"weights": "cyto", "normalize": normalize})


def _floats(model):
    return [name for name, field in model.model_fields.items() if "float" in str(field.annotation)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "nan", "inf"])
def test_nan_and_infinity_are_refused_in_every_parameter(value):
    tried = 0
    for name in method_names():
        for parameter in _floats(method_class(name).Parameters):
            with pytest.raises(UsageError, match=parameter):
                build(
                    name,
                    {"weights": "cyto", parameter: value}
                    if "weights" in method_class(name).Parameters.model_fields
                    else {parameter: value},
                )
            tried += 1
        if method_class(name).trainer:
            for parameter in _floats(trainer_class(name).Parameters):
                with pytest.raises(UsageError, match=parameter):
                    build_trainer(name, {parameter: value}, input=None, seed=0, watch=None)
                tried += 1
    assert tried > 30


class TestChannels:
    def test_are_refused_of_grey_input(self, tmp_path, small_manifest):
        options = {"weights": "cyto", "channels": [2, 3]}
        for mode in ("gray", "gray_max"):
            with pytest.raises(UsageError, match=rf"channels \[2, 3\] have no effect.*{mode}"):
                build("cellpose", options).check_input(mode)
        build("cellpose", options).check_input("native")
        with pytest.raises(UsageError, match="choose input native"):
            predict_folder(
                "cellpose", small_manifest.parent / "images", tmp_path / "out", parameters=options
            )
        assert not (tmp_path / "out").exists()
        with pytest.raises(UsageError, match="have no effect"):
            build_trainer("cellpose2", {"channels": [1, 2]}, input="gray", seed=0, watch=None)

    @pytest.mark.parametrize("channels", [[0, 2], [-1, 0], [1], [1, 2, 3]])
    def test_are_checked(self, channels):
        with pytest.raises(UsageError, match="channels"):
            build("cellpose", {"weights": "cyto", "channels": channels})

    @pytest.mark.weights
    def test_are_checked_against_the_image(self, method, discs):
        segmenter = method("cellpose", channels=[2, 3], diameter=16)
        two = np.stack([discs[0], discs[0]], -1)
        with pytest.raises(UnsupportedCaseError, match=r"\[2, 3\] of an image with 2 channels"):
            segmenter.segment(two)
        segmenter.segment(discs[0])
        assert "the image is grey" in segmenter.details()["remark"]


@pytest.mark.weights
class TestTrainingWithoutCells:
    def samples(self, discs, counts):
        image, labels = discs
        case = Case("a", None, None, None, "", "e", "train", "")
        return [LabelledImage(case, image, labels if n else np.zeros_like(labels)) for n in counts]

    def learner(self, cyto, samples):
        from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters
        from cellharness_adapters.cellpose.learner import CellposeLearner

        options = FinetuningParameters(recipe="short", weights="cyto", min_cells=0, device="cpu")
        return CellposeLearner(cyto, samples, samples[-1:], options)

    def test_does_not_pull_the_mean_diameter(self, cyto, discs):
        full = self.learner(cyto, self.samples(discs, [1, 1]))
        mixed = self.learner(cyto, self.samples(discs, [1, 1, 0, 0]))
        assert float(mixed.model.diam_labels) == float(full.model.diam_labels)
        assert {example.diameter for example in mixed._train} == {
            example.diameter for example in full._train
        }

    def test_with_no_cell_at_all_is_refused(self, cyto, discs):
        with pytest.raises(TrainingDataError, match="none of the 2 training images has a cell"):
            self.learner(cyto, self.samples(discs, [0, 0]))
