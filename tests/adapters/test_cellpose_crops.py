"""Training crops and flows against the library's own functions, bit by bit."""

# ruff: noqa: NPY002 - one stream of random numbers with the library

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from cellpose import dynamics, models, transforms  # noqa: E402

from cellharness.data.manifest import Case, Manifest  # noqa: E402
from cellharness.training import prefetch  # noqa: E402
from cellharness.training.loop import run  # noqa: E402
from cellharness.training.samples import LabelledImage, read_labelled  # noqa: E402
from cellharness_adapters.cellpose import crops  # noqa: E402
from cellharness_adapters.cellpose.cpu.flows import make_flows  # noqa: E402
from cellharness_adapters.cellpose.crops import cut, draw_placement  # noqa: E402
from cellharness_adapters.cellpose.examples import prepared  # noqa: E402
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters  # noqa: E402
from cellharness_adapters.cellpose.learner import CellposeLearner  # noqa: E402


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, request, monkeypatch):
    """Prepared images go to a folder of their own; weights stay where they are."""
    if "cyto" in request.fixturenames:
        request.getfixturevalue("cyto")
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("cellharness.training.arrays_on_disk.cache_dir", lambda: folder)


def sample(height, width, kind, channels=1):
    """Draw boxes of random sizes as cells, on noise of an integer or a float kind."""
    rng = np.random.default_rng(height * width)
    labels, n = np.zeros((height, width), np.uint16), 0
    for y in range(2, height - 8, 14):
        for x in range(2, width - 8, 14):
            n += 1
            labels[y : y + rng.integers(3, 11), x : x + rng.integers(3, 11)] = n
    image = rng.normal(100, 20, (height, width, channels))
    if kind == "uint8":
        image = image.clip(0, 255).astype(np.uint8)
    elif kind == "uint16":
        image = (image * 100).clip(0, 65535).astype(np.uint16)
    image = image[..., 0] if channels == 1 else image
    case = Case(f"{height}x{width}", None, None, None, "", "e", "train", "")
    return LabelledImage(case, image.astype(np.float32), labels)


def library_image(one, channels):
    axis = -1 if one.image.ndim == 3 else None
    image = transforms.convert_image(one.image.copy(), channels=channels, channel_axis=axis)
    normalise = {**models.normalize_default, "normalize": True}
    return transforms.normalize_img(image.transpose(2, 0, 1).copy(), normalize=normalise, axis=0)


def library_flows(labels):
    own = labels.astype(np.int32).copy()
    return dynamics.labels_to_flows([own], device=torch.device("cpu"))[0][1:]


SAMPLES = [
    sample(300, 240, "uint8"),
    sample(30, 40, "uint8"),
    sample(224, 224, "uint16"),
    sample(380, 320, "float"),
    sample(90, 400, "float"),
    sample(150, 151, "uint8", channels=3),
]


def compare(draws):
    """Cut crops of all kinds and sizes by both ways; give the number that differ in any bit."""
    examples, images, targets = [], [], []
    for one in SAMPLES:
        channels = (1, 3) if one.image.ndim == 3 else (0, 0)
        examples += prepared([one], channels)
        images.append(library_image(one, list(channels)))
        targets.append(library_flows(one.labels))
    rng = np.random.default_rng(0)
    different = 0
    for draw in range(draws):
        at = draw % len(SAMPLES)
        size = (64, 224, 96, 128)[draw // 2 % 4]
        scale_range = (0.5, 0.0, 1.0, 2.0, 0.5)[draw % 5]
        rescale = float(rng.uniform(0.15, 4))
        np.random.seed(draw)
        image, target, _ = transforms.random_rotate_and_resize(
            [images[at]],
            Y=[targets[at]],
            rescale=np.array([rescale]),
            scale_range=scale_range,
            xy=(size, size),
        )
        after = np.random.rand()
        np.random.seed(draw)
        place = draw_placement(examples[at].shape, rescale, scale_range, size)
        assert np.random.rand() == after, "the stream of random numbers is another"
        # What is left in the canvas from the crop before must not matter.
        canvas = crops._canvas(examples[at].shape)
        canvas[:] = np.nan
        ours = np.empty((2, size, size), np.float32), np.empty((3, size, size), np.float32)
        cut(examples[at], place, *ours)
        same = np.array_equal(ours[0], image[0]) and np.array_equal(ours[1], target[0])
        different += not same
    return different


def test_crops_are_the_librarys_to_the_last_bit():
    assert compare(240) == 0


@pytest.mark.slow
def test_ten_thousand_crops_are_the_librarys_to_the_last_bit():
    assert compare(10_000) == 0


def test_integer_images_lie_on_disk_as_such():
    kinds = [prepared([one], (0, 0))[0].picture.dtype for one in SAMPLES[:4]]
    assert kinds == ["|u1", "|u1", "<u2", "<f4"]


def test_a_constant_image_and_one_without_cells_make_crops():
    for value in (0, 7):
        one = sample(64, 64, "uint8")
        one.image[:], one.labels[:] = value, 0
        (example,) = prepared([one], (0, 0))
        np.random.seed(0)
        image, target = np.empty((2, 64, 64), np.float32), np.empty((3, 64, 64), np.float32)
        cut(example, draw_placement((64, 64), 1.0, 0.0, 64), image, target)
        np.random.seed(0)
        theirs = transforms.random_rotate_and_resize(
            [library_image(one, [0, 0])], rescale=[1.0], scale_range=0.0, xy=(64, 64)
        )[0][0]
        assert np.array_equal(image, theirs)
        assert not target.any()


class TestFlows:
    @staticmethod
    def check(labels):
        assert np.array_equal(make_flows(labels), library_flows(labels)[1:])

    def test_are_the_librarys_to_the_last_bit(self):
        rng = np.random.default_rng(0)
        for one in SAMPLES[:3]:
            self.check(one.labels)
        # Rings, crescents, cells in several pieces, single pixels, cells at the edge.
        y, x = np.mgrid[:90, :90]
        ring = np.hypot(y - 40, x - 40).round()
        self.check(np.where((ring > 15) & (ring < 30), 3, (ring == 0) * 9).astype(np.uint16))
        crescent = (ring < 30) & (np.hypot(y - 40, x - 52) > 24)
        self.check((crescent * 65535).astype(np.uint16))
        self.check(rng.integers(0, 4, (40, 50)).astype(np.uint8))
        self.check(np.ones((30, 20), np.uint16))
        self.check(np.eye(12, dtype=np.uint16) * np.arange(12, dtype=np.uint16))

    def test_of_no_cell_are_nought(self):
        assert not make_flows(np.zeros((20, 30), np.uint16)).any()

    def test_are_the_librarys_on_real_labels(self, realdata):
        for one in read_labelled(list(realdata.cases)[:40:10], "gray_max"):
            self.check(one.labels[:500, :500])


@pytest.mark.weights
class TestTraining:
    @pytest.fixture
    def samples(self, small_manifest):
        return read_labelled(list(Manifest.read(small_manifest).cases)[:4], "gray_max")

    @pytest.fixture
    def options(self, small_crops):
        given = {"recipe": "short", "weights": "cyto", "epochs": 5, "batch_size": 2}
        given |= {"learning_rate": 0.2, "precision": "float32", "device": "cpu"}
        return FinetuningParameters.model_validate({**given, "crop": small_crops})

    @pytest.mark.usefixtures("one_core")
    def test_five_epochs_end_with_the_bits_of_the_librarys_crops(
        self, cyto, samples, options, tmp_path
    ):
        samples = samples[:2]

        class WithLibrary(CellposeLearner):
            """The same training, its batches made by the library's functions."""

            def batches(self, epoch):
                images = [library_image(one, [0, 0]) for one in samples]
                targets = [library_flows(one.labels) for one in samples]
                order = np.random.permutation(len(samples))
                for start in range(0, len(order), 2):
                    group = order[start : start + 2]
                    image, target, _ = transforms.random_rotate_and_resize(
                        [images[n] for n in group],
                        Y=[targets[n] for n in group],
                        rescale=np.array([self._train[n].diameter / 27.0 for n in group]),
                        scale_range=0.5,
                        xy=(options.crop, options.crop),
                    )
                    yield (
                        torch.from_numpy(image).contiguous(memory_format=torch.channels_last),
                        torch.from_numpy(target),
                        torch.ones(len(group), dtype=torch.bool),
                    )

        ended = [
            run(lambda kind=kind: kind(cyto, samples, [], options), options, 0, tmp_path / name)
            for name, kind in (("ours", CellposeLearner), ("library", WithLibrary))
        ]
        first, second = (torch.load(path, weights_only=True) for path in ended)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_batches_do_not_depend_on_the_number_of_threads(
        self, cyto, samples, options, monkeypatch
    ):
        learner = CellposeLearner(cyto, samples, [], options, replay=samples[:2])
        made = []
        for workers in (1, 2, 7):
            monkeypatch.setattr(prefetch, "cores", lambda n=workers: n)
            np.random.seed(3)
            made.append(list(learner.batches(0)))
        for others in made[1:]:
            for batch, other in zip(made[0], others, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))
