"""Training of the distance U-Net: crops, augmentation, a whole small training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_adapthist
from skimage.transform import AffineTransform, warp

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")

from cellharness.data.manifest import Manifest  # noqa: E402
from cellharness.errors import UsageError  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness.scoring import score_pair  # noqa: E402
from cellharness.training import loop, prefetch  # noqa: E402
from cellharness.training.samples import TrainingDataError, read_labelled  # noqa: E402
from cellharness_adapters.kit_ge import augment as augmenting  # noqa: E402
from cellharness_adapters.kit_ge import training  # noqa: E402
from cellharness_adapters.kit_ge.augment import augment, turn  # noqa: E402
from cellharness_adapters.kit_ge.blurring import blurred  # noqa: E402
from cellharness_adapters.kit_ge.distances import distance_maps  # noqa: E402
from cellharness_adapters.kit_ge.equalising import equalised  # noqa: E402
from cellharness_adapters.kit_ge.normalisation import normalise  # noqa: E402
from cellharness_adapters.kit_ge.scaling import resize_labels, shrink  # noqa: E402
from cellharness_adapters.kit_ge.training import (  # noqa: E402
    KitGeLearner,
    KitGeTrainer,
    KitGeTrainingParameters,
    published_epochs,
)
from cellharness_adapters.kit_ge.training_set import (  # noqa: E402
    cell_sizes,
    crops_of,
    crops_on_disk,
    normalised,
    radii_of,
)
from cellharness_adapters.kit_ge.warping import resampled  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def cases(small_manifest):
    return list(Manifest.read(small_manifest).cases)


@pytest.fixture
def samples(cases):
    return read_labelled(cases, "gray_max")


def options(**more):
    given = {
        "recipe": "short",
        "filters": (4, 16),
        "crop": 64,
        "scale": 1.0,
        "schedule": "plateau",
        "augmentation": "published",
        "epochs": 2,
        "validate_every": 1,
        "precision": "float32",
        "device": "cpu",
    }
    return KitGeTrainingParameters.model_validate({**given, **more})


def test_radii_come_from_the_cells(samples):
    radii = radii_of(samples)
    # Discs of radius 8 have an area of 197 px and are all alike.
    assert radii.cell in (8, 9)
    assert radii.neighbor in (16, 17)
    assert radii.least_area == 187


def test_crops_cover_the_image_and_leave_empty_ones_out(samples):
    sample = samples[0]
    sample.labels[:, 64:] = 0
    crops = list(crops_of(normalised(sample, "min_max"), radii_of(samples), 64))
    # 96 x 112 px make 2 x 2 crops, of which the right ones hold nothing.
    assert len(crops) == 2
    cell, _ = distance_maps(sample.labels, radii_of(samples).cell, radii_of(samples).neighbor)
    assert np.array_equal(crops[0].cell, cell[:64, :64])
    assert crops[1].image[-1, 0] == -1
    assert crops[1].cell[32:].max() == 0
    assert all(crop.image.shape == (64, 64) for crop in crops)


def test_what_little_is_left_over_is_cut_off_on_both_sides(samples):
    object.__setattr__(samples[0], "image", np.arange(68.0)[:, None] * np.ones(64))
    object.__setattr__(samples[0], "labels", samples[0].labels[:68, :64])
    (crop,) = crops_of(normalised(samples[0], "min_max"), radii_of(samples), 64)
    assert crop.image[0, 0] == pytest.approx(2 * 2 / 67 - 1)


def test_crops_on_disk_are_those_in_memory(samples, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    radii = radii_of([cell_sizes(sample) for sample in samples])
    assert radii == radii_of(samples)
    sample = normalised(samples[0], "min_max")
    for _ in range(2):
        found = crops_on_disk(sample, radii, 64)
        for one, other in zip(found, crops_of(sample, radii, 64), strict=True):
            for part, wanted in zip(
                one.maps(), (other.image, other.cell, other.neighbor), strict=True
            ):
                assert np.array_equal(part, wanted)
            assert one.modality == other.modality
    sample.labels[:] = 0
    assert crops_on_disk(sample, radii, 64) == []


def test_batches_do_not_depend_on_the_number_of_threads(samples, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    radii = radii_of(samples)
    crops = [
        crop
        for sample in samples
        for crop in crops_on_disk(normalised(sample, "min_max"), radii, 64)
    ]
    learner = KitGeLearner(crops, [], [], options(batch_size=3), 0)
    made = []
    for workers in (1, 2, 7):
        monkeypatch.setattr(prefetch, "cores", lambda n=workers: n)
        np.random.seed(3)  # noqa: NPY002
        made.append(list(learner.batches(0)))
    for others in made[1:]:
        for batch, other in zip(made[0], others, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))


def test_augmentation_is_seeded_and_moves_image_and_maps_together():
    rng = np.random.default_rng(0)
    truth = np.zeros((64, 64), np.float32)
    truth[20:40, 10:50] = 1
    image = 2 * truth - 1
    for seed in range(40):
        out = augment(image, truth, truth / 2, np.random.default_rng(seed))
        again = augment(image, truth, truth / 2, np.random.default_rng(seed))
        for first, second in zip(out, again, strict=True):
            assert np.array_equal(first, second)
        picture, cell, neighbor = out
        assert all(part.shape == (64, 64) and part.dtype == np.float32 for part in out)
        assert all(np.isfinite(part).all() for part in out)
        np.testing.assert_allclose(neighbor, cell / 2, atol=1e-5)
        assert picture[cell > 0.9].mean() > picture[cell < 0.1].mean() + 0.1
    del rng


def test_symmetries_change_nothing_but_the_direction():
    rng = np.random.default_rng(0)
    image, cell = rng.normal(size=(2, 16, 16)).astype(np.float32)
    seen = set()
    for seed in range(60):
        picture, first, second = turn(image, cell, 2 * cell, np.random.default_rng(seed))
        assert np.array_equal(np.sort(picture, axis=None), np.sort(image, axis=None))
        assert np.array_equal(second, 2 * first)
        seen.add(picture.tobytes())
    assert len(seen) == 8


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_turned_and_zoomed_maps_are_those_of_scikit_image(kind):
    rng = np.random.default_rng(0)
    for seed in range(12):
        # A dark edge, and none: scikit-image keeps to the range of the image in one case.
        low = -1.0 if seed % 2 else -0.2
        part = gaussian_filter(rng.uniform(low, 1, (96, 96)), 1).astype(kind)
        part = part[:, ::-1].T if seed % 3 == 0 else part
        turned = AffineTransform(rotation=rng.uniform(-0.8, 0.8) * (seed > 1) + 1e-4)
        zoomed = AffineTransform(scale=rng.uniform(0.8, 1.2, 2))
        back = AffineTransform(translation=(47.5, 47.5))
        whole = AffineTransform(translation=(-47.5, -47.5)) + turned + zoomed + back
        for outside in (-1.0, 0.0):
            maps = [part, part[::-1], part / 3]
            beyond = (outside, 0.0, outside / 3)
            for ours, each, value in zip(
                resampled(maps, whole.params, beyond), maps, beyond, strict=True
            ):
                theirs = warp(each, whole, order=1, cval=value, preserve_range=True)
                assert ours.dtype == theirs.dtype
                # scikit-image has the places of a float32 image in float32.
                np.testing.assert_allclose(ours, theirs, atol=1e-4 if kind is np.float32 else 1e-9)


#: Those of a crop, of one that is no multiple of eight, and smaller than a region each way.
SHAPES = [(320, 320), (96, 96), (101, 90), (37, 61), (8, 16), (7, 9), (3, 20), (1, 1)]


def pictures(shape, rng):
    """Images between 0 and 1 of every kind that a crop may be."""
    eight_bit = rng.integers(0, 256, shape) / 255
    dark = np.clip(rng.normal(0.1, 0.05, shape), 0, 1)
    sparse = (rng.random(shape) < 0.01).astype(float)
    smooth = gaussian_filter(rng.random(shape), 3)
    flat = [np.full(shape, value) for value in (0, 0.1, 0.25, 0.3, 1)]
    return [rng.random(shape), eight_bit, eight_bit**4, dark, sparse, smooth, *flat]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_local_equalisation_is_that_of_scikit_image_to_the_last_bit(shape, kind):
    for seed in range(3):
        for picture in pictures(shape, np.random.default_rng(seed)):
            picture = picture.astype(kind)
            theirs = equalize_adapthist(picture, clip_limit=0.01)
            ours = equalised(picture)
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_blur_is_that_of_scipy(shape):
    rng = np.random.default_rng(0)
    for picture in pictures(shape, rng):
        picture = (2 * picture - 1).astype(np.float32)
        sigma = rng.uniform(1.0, 2.75)
        ours = blurred(picture, sigma)
        assert ours.dtype == np.float32
        # To the last bit where SciPy's sums are compiled without fused steps.
        np.testing.assert_allclose(ours, gaussian_filter(picture, sigma), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(320, 320), (64, 64)])
def test_augmented_crops_are_those_of_scikit_image_and_scipy(shape, monkeypatch):
    def by_library(maps, matrix, outside):
        # In float64 and back, as scikit-image would else have places of float32.
        move = AffineTransform(matrix)
        wide = [part.astype(np.float64) for part in maps]
        return [
            warp(part, move, order=1, cval=value, preserve_range=True).astype(np.float32)
            for part, value in zip(wide, outside, strict=True)
        ]

    rng = np.random.default_rng(0)
    seeds = range(30)
    crops = [(2 * picture - 1).astype(np.float32) for picture in pictures(shape, rng)[:7]]
    cell, neighbor = gaussian_filter(rng.random((2, *shape)), (0, 3, 3)).astype(np.float32)

    def made():
        found = []
        for seed in seeds:
            for crop in crops:
                generator = np.random.default_rng(seed)
                maps = augment(crop, cell, neighbor, generator)
                found.append((maps, generator.bit_generator.state))
        return found

    ours = made()
    monkeypatch.setattr(
        augmenting, "equalised", lambda image: equalize_adapthist(image, clip_limit=0.01)
    )
    monkeypatch.setattr(augmenting, "blurred", gaussian_filter)
    monkeypatch.setattr(augmenting, "resampled", by_library)
    for (mine, drawn), (theirs, also_drawn) in zip(ours, made(), strict=True):
        assert drawn == also_drawn
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


def test_augmentation_takes_a_constant_crop():
    flat = np.full((64, 64), -1, np.float32)
    zero = np.zeros_like(flat)
    for seed in range(30):
        assert np.isfinite(augment(flat, zero, zero, np.random.default_rng(seed))[0]).all()


def test_a_small_training_finds_discs_and_predicts(cases, tmp_path):
    checkpoint = KitGeTrainer(options(epochs=12, filters=(8, 32), learning_rate=3e-3)).fit(
        cases[:4], cases[4:], tmp_path
    )
    log = pd.read_csv(tmp_path / "epochs.csv")
    assert log["train_loss"].iloc[-1] < 0.5 * log["train_loss"].iloc[0]
    method = build("kit-ge", {"weights": str(checkpoint), "tile": 64, "tile_overlap": 16})
    method.load()
    method.warmup()
    truth = tifffile.imread(cases[5].label)
    masks = method.segment(tifffile.imread(cases[5].image))
    assert score_pair(truth, masks, profile="strict")[0].f1 > 0.7
    assert method.details()["filters"] == [8, 32]
    # What the cells were made of, on request, in the image's size whatever the network's.
    assert method.maps is None
    for scale in (1.0, 0.5):
        method._scale, method.maps = scale, {}
        masks = method.segment(tifffile.imread(cases[5].image))
        assert tuple(method.maps) == method.info.maps
        assert all(found.shape == masks.shape for found in method.maps.values())
        distance = method.maps["cell_distance"]
        assert distance[masks > 0].mean() > 2 * distance[masks == 0].mean()
    method._scale, method.maps = 1.0, None
    # Sizes it was not made for.
    assert method.segment(np.zeros((30, 31), np.uint8)).shape == (30, 31)
    with pytest.raises(ValueError, match="takes grey images"):
        method.segment(np.zeros((30, 31, 3), np.uint8))


def test_a_training_on_shrunk_images_predicts_on_shrunk_images(cases, tmp_path):
    short = options(scale=0.5, crop=64, schedule="cosine", augmentation="symmetries", epochs=4)
    records = []
    checkpoint = KitGeTrainer(short, watch=records.append).fit(cases[:4], cases[4:], tmp_path)
    rates = [record.learning_rate for record in records]
    half = short.learning_rate / 2
    assert rates == pytest.approx([2 * half, half * (1 + 2**-0.5), half, half * (1 - 2**-0.5)])
    image = tifffile.imread(cases[5].image)
    own, whole = (
        build("kit-ge", {"weights": str(checkpoint), "tile": 64, "tile_overlap": 16, **more})
        for more in ({}, {"scale": 1.0})
    )
    sizes = []
    for method in (own, whole):
        method.load()
        predict = method._predict

        def watched(tiles, predict=predict):
            sizes.append(tiles.shape)
            return predict(tiles)

        watched.divisor = predict.divisor
        method._predict = watched
        assert method.segment(image).shape == image.shape
    assert own.details()["scale"] == 0.5
    assert whole.details()["scale"] == 1
    # 48 x 56 px fit into one tile of 64 px, 96 x 112 px do not.
    assert len(sizes) > 2


def test_the_order_of_shrinking_is_that_of_prediction_or_as_published(samples):
    sample = samples[0]
    ours = normalised(sample, "min_max", 0.5)
    assert np.array_equal(ours.image, shrink(normalise(sample.image), 0.5))
    assert ours.labels.shape == ours.image.shape == (48, 56)
    published = normalised(sample, "published", 0.5)
    assert (published.image.min(), published.image.max()) == (-1, 1)
    # The extremes of the noise are averaged away before they set the range.
    assert np.abs(published.image - ours.image).max() > 0.01


def test_shrinking_keeps_labels_apart():
    labels = np.zeros((40, 60), np.uint32)
    labels[4:20, 4:20] = 70_001
    labels[4:20, 24:40] = 2
    small = resize_labels(labels, (20, 30))
    assert small.dtype == np.uint32
    assert set(np.unique(small)) == {0, 2, 70_001}
    assert np.mean(resize_labels(small, (40, 60)) == labels) > 0.97
    image = np.linspace(-1, 1, 2400, dtype=np.float32).reshape(40, 60)
    assert shrink(image, 1) is image
    assert shrink(image, 0.5).shape == (20, 30)


def test_a_resumed_training_ends_with_the_same_bits(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STATE_EVERY_S", -1.0)

    class StopError(Exception):
        pass

    def stop(record):
        if record.epoch == 2:
            raise StopError

    whole = KitGeTrainer(options(epochs=4)).fit(cases[:4], cases[4:], tmp_path / "whole")
    with pytest.raises(StopError):
        KitGeTrainer(options(epochs=4), watch=stop).fit(cases[:4], cases[4:], tmp_path / "broken")
    resumed = KitGeTrainer(options(epochs=4)).fit(cases[:4], cases[4:], tmp_path / "broken")
    assert whole.read_bytes() == resumed.read_bytes()


def test_single_crops_are_learned_from(cases, tmp_path):
    records = []
    KitGeTrainer(options(batch_size=1, epochs=1), watch=records.append).fit(cases[:2], [], tmp_path)
    assert records[0].train_loss > 0


def test_a_checkpoint_that_is_none_is_named(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<html>not found</html>")
    method = build("kit-ge", {"weights": str(path)})
    with pytest.raises(UsageError, match=r"page.html' is a web page \(HTML\)"):
        method.load()


def test_automatic_choices_are_told_as_they_will_be_made(tmp_path):
    found = build("kit-ge", {"weights": "x.pt"}).resolved()
    assert set(found) == {"device", "precision"}
    assert found["precision"] in ("bfloat16", "float32", "float16")
    fixed = {"weights": "x.pt", "device": "cpu", "precision": "float32"}
    assert build("kit-ge", fixed).resolved() == {}


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({}, 2 * (60 // 20) + 5),
        ({"patience": 0}, None),
        ({"patience": 7}, 7),
        ({"schedule": "cosine"}, None),
        ({"schedule": "cosine", "patience": 3}, 3),
    ],
)
def test_early_stopping_is_as_published_or_as_given(cases, tmp_path, monkeypatch, given, settled):
    asked = []

    def only_look(build, parameters, *rest):
        asked.append(parameters)
        return tmp_path

    monkeypatch.setattr(training, "run", only_look)
    KitGeTrainer(options(epochs=60, **given)).fit(cases[:2], cases[4:], tmp_path)
    assert asked[0].patience == settled


def test_labels_without_cells_are_refused(cases, tmp_path):
    for case in cases[:2]:
        tifffile.imwrite(case.label, np.zeros((96, 112), np.uint16))
    with pytest.raises(TrainingDataError, match="none of the 2 training images has a cell"):
        KitGeTrainer(options()).fit(cases[:2], [], tmp_path)


def test_one_cell_in_one_tiny_image_trains(cases, tmp_path):
    labels = np.zeros((30, 30), np.uint16)
    labels[8:22, 8:22] = 1
    tifffile.imwrite(cases[0].label, labels)
    tifffile.imwrite(cases[0].image, labels.astype(np.uint8) * 200)
    checkpoint = KitGeTrainer(options()).fit(cases[:1], [], tmp_path)
    assert checkpoint.is_file()


def test_epochs_depend_on_the_number_of_crops():
    paper = KitGeTrainingParameters.model_validate({})
    assert (paper.epochs, paper.filters, paper.crop) == (None, (64, 1024), 320)
    assert published_epochs(49) == 560
    assert published_epochs(1500) == 200


def test_a_checkpoint_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="weights"):
        build("kit-ge", {})
    path = tmp_path / "x.pt"
    torch.save({"a": torch.zeros(2)}, path)
    method = build("kit-ge", {"weights": str(path)})
    with pytest.raises(UsageError, match="not a distance U-Net"):
        method.load()
