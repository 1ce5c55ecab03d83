"""Making training data: the libraries' functions against ours, in processor time.

Both in one process by turns, on one core each. Images are seeded noise with round cells of 30 px.
Timed: for Cellpose a crop of 224 px with its flows from an image and flows that are prepared, and
the flows of a label image; for KIT-GE and `mediar-style` a changed crop, the mean over many seeds.
Not timed: compilation, reading image files.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_adapthist
from skimage.transform import AffineTransform, warp

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from cellpose import dynamics, models, transforms  # noqa: E402

from cellharness.data.manifest import Case  # noqa: E402
from cellharness.training import prefetch  # noqa: E402
from cellharness.training.samples import LabelledImage  # noqa: E402
from cellharness_adapters.cellpose.cpu.flows import flows_of, make_flows  # noqa: E402
from cellharness_adapters.cellpose.crops import (  # noqa: E402
    cut,
    draw_placement,
    without_threads_of_opencv,
)
from cellharness_adapters.cellpose.examples import prepared  # noqa: E402
from cellharness_adapters.kit_ge import augment as kit_ge  # noqa: E402
from recording import PASSED, compared, measured  # noqa: E402

_CROP = 224
#: Ratio that is aimed at by the side of the image.
AIMS = {512: None, 1024: 6, 2048: 20}
#: Milliseconds that a crop of the other methods is to cost at most, in the mean over `_SEEDS`.
_MOST_MS, _SEEDS = 3.0, 200
#: Small operations, about as many as a step of Cellpose's network has.
_LAUNCHES = 600


def _sample(side):
    labels = np.zeros((side, side), np.uint16)
    y, x = np.mgrid[:30, :30]
    disc = np.hypot(y - 14.5, x - 14.5) < 14.5
    places = [(a, b) for a in range(1, side - 30, 34) for b in range(1, side - 30, 34)]
    for number, (a, b) in enumerate(places, 1):
        labels[a : a + 30, b : b + 30][disc] = number
    image = np.random.default_rng(0).integers(0, 256, labels.shape).astype(np.float32)
    case = Case(str(side), None, None, None, "", "e", "train", "")
    return LabelledImage(case, image, labels)


def _seconds(work, turns):
    begun = time.process_time()
    for turn in range(turns):
        work(turn)
    return (time.process_time() - begun) / turns


@pytest.mark.parametrize(("side", "least"), [(512, 2), (1024, 4), (2048, 7)])
def test_a_crop_costs_the_same_from_an_image_of_any_size(
    benchmark, tmp_path, monkeypatch, side, least
):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    sample = _sample(side)
    (example,) = prepared([sample], (0, 0))
    image = transforms.convert_image(sample.image, channels=[0, 0]).transpose(2, 0, 1)
    normalise = {**models.normalize_default, "normalize": True}
    image = transforms.normalize_img(image.copy(), normalize=normalise, axis=0)
    target = flows_of(sample.labels)
    crop = np.empty((2, _CROP, _CROP), np.float32), np.empty((3, _CROP, _CROP), np.float32)

    def library(turn):
        np.random.seed(turn)  # noqa: NPY002
        return transforms.random_rotate_and_resize(
            [image], Y=[target], rescale=[1.0], scale_range=0.5, xy=(_CROP, _CROP)
        )

    def ours(turn):
        np.random.seed(turn)  # noqa: NPY002
        cut(example, draw_placement((side, side), 1.0, 0.5, _CROP), *crop)
        return crop

    for turn in range(4):
        stock = library(turn)
        assert np.array_equal(ours(turn)[0], stock[0][0])
        assert np.array_equal(crop[1], stock[1][0])
    # Many short rounds by turns: other work on the machine lengthens processor time too.
    times = [(_seconds(library, 4), _seconds(ours, 10)) for _ in range(12)]
    stock, own = (min(part) for part in zip(*times, strict=True))
    benchmark.pedantic(ours, args=(0,), rounds=1, iterations=1)
    compared(
        benchmark, "training data", f"a crop of {_CROP} px from {side} x {side} px",
        reference="the library", reference_s=stock, ours_s=own, least=AIMS[side],
    )  # fmt: skip
    assert stock / own >= least


def test_flows_are_made_at_least_five_times_as_fast_on_one_core(benchmark):
    labels = _sample(512).labels
    make_flows(labels[:64, :64])
    before = torch.get_num_threads()
    torch.set_num_threads(1)

    def library(_):
        own = labels.astype(np.int32).copy()
        return dynamics.labels_to_flows([own], device=torch.device("cpu"))[0][2:]

    def ours(_):
        return make_flows(labels)

    try:
        assert np.array_equal(ours(0), library(0))
        times = [(_seconds(library, 1), _seconds(ours, 5)) for _ in range(3)]
    finally:
        torch.set_num_threads(before)
    stock, own = (min(part) for part in zip(*times, strict=True))
    benchmark.pedantic(ours, args=(0,), rounds=1, iterations=1)
    compared(
        benchmark, "training data", "flows of 512 x 512 px with 225 cells",
        reference="the library", reference_s=stock, ours_s=own, least=5,
    )  # fmt: skip
    assert stock / own >= 5


def test_operations_are_launched_beside_the_threads_that_make_crops(
    benchmark, tmp_path, monkeypatch
):
    """What the thread of the network waits for Python's lock, which crops need too."""
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    sample = _sample(1024)
    (example,) = prepared([sample], (0, 0))
    small = torch.zeros(1)

    def seconds_of_launches():
        begun = time.perf_counter()
        for _ in range(_LAUNCHES):
            small + 1
        return time.perf_counter() - begun

    def empty(group):
        shape = len(group), 2, _CROP, _CROP
        return np.empty(shape, np.float32), np.empty((len(group), 3, _CROP, _CROP), np.float32)

    def fill(place, batch, position):
        cut(example, place, batch[0][position], batch[1][position])

    def median(switch_s):
        monkeypatch.setattr(prefetch, "SWITCH_S", switch_s)
        np.random.seed(0)  # noqa: NPY002
        groups = ([draw_placement((1024, 1024), 1.0, 0.5, _CROP)] * 8 for _ in range(60))
        batches = prefetch.batches_ahead(groups, empty, fill, workers=2)
        return float(np.median([seconds_of_launches() for _ in batches]))

    wanted = prefetch.SWITCH_S
    alone = float(np.median([seconds_of_launches() for _ in range(200)]))
    with without_threads_of_opencv():  # as a training does
        times = [(median(sys.getswitchinterval()), median(wanted)) for _ in range(6)]
    usual, own = (sorted(part)[len(part) // 2] for part in zip(*times, strict=True))
    benchmark.pedantic(seconds_of_launches, rounds=1, iterations=1)
    compared(
        benchmark, "training data",
        f"{_LAUNCHES} small operations of torch beside two threads that make crops",
        reference="Python's own switch interval", reference_s=usual, ours_s=own, clock=PASSED,
    )  # fmt: skip
    measured(
        benchmark, "training data", f"{_LAUNCHES} small operations of torch, alone",
        1e3 * alone, "ms",
    )  # fmt: skip
    assert own < usual


def _by_turns(benchmark, make, use_library, what, reference):
    """Record the mean over seeds of a crop by ours and by a library, and hold ours to the aim."""

    def seconds():
        return _seconds(lambda seed: make(np.random.default_rng(seed)), _SEEDS)

    _seconds(lambda seed: make(np.random.default_rng(seed)), 40)  # compiles
    times = []
    for _ in range(4):
        own = seconds()
        with pytest.MonkeyPatch.context() as patch:
            use_library(patch)
            times.append((seconds(), own))
    stock, own = (min(part) for part in zip(*times, strict=True))
    benchmark.pedantic(make, args=(np.random.default_rng(0),), rounds=1, iterations=1)
    compared(
        benchmark, "training data", what, reference=reference, reference_s=stock, ours_s=own
    )  # fmt: skip
    measured(benchmark, "training data", what, 1e3 * own, "ms", most=_MOST_MS)
    assert 1e3 * own <= _MOST_MS
    assert stock / own >= 1.5


def test_a_crop_of_kit_ge_costs_at_most_three_milliseconds(benchmark):
    sample = _sample(320)
    image = sample.image / 255 + (sample.labels > 0)
    image = (image / image.max() * 2 - 1).astype(np.float32)
    cell = gaussian_filter((sample.labels > 0).astype(np.float32), 3)

    def resampled(maps, matrix, outside):
        move = AffineTransform(matrix)
        return [
            warp(part, move, order=1, cval=value, preserve_range=True)
            for part, value in zip(maps, outside, strict=True)
        ]

    def use_library(patch):
        patch.setattr(kit_ge, "equalised", lambda part: equalize_adapthist(part, clip_limit=0.01))
        patch.setattr(kit_ge, "blurred", gaussian_filter)
        patch.setattr(kit_ge, "resampled", resampled)

    _by_turns(
        benchmark, lambda rng: kit_ge.augment(image, cell, cell, rng), use_library,
        "a crop of 320 px with the published changes, KIT-GE", "scikit-image and SciPy",
    )  # fmt: skip


def test_a_crop_of_mediar_style_costs_at_most_three_milliseconds(benchmark):
    transforms_of = pytest.importorskip("monai.transforms", reason="needs the extra 'mediar'")
    from cellharness_adapters.mediar_style import augmenting
    from cellharness_adapters.mediar_style.examples import Example, boundaries_to_exclude

    sample = _sample(512)
    image = np.clip(sample.image / 2 + 100 * (sample.labels > 0), 0, 255).astype(np.uint8)
    example = Example(
        np.stack([image, image // 2, 255 - image]),
        sample.labels,
        make_flows(sample.labels).astype(np.float16),
        boundaries_to_exclude(sample.labels),
        None,
    )
    changes = [
        transforms_of.RandGaussianNoise(prob=1, mean=0, std=0.1),
        transforms_of.RandAdjustContrast(prob=1, gamma=(1, 2)),
        transforms_of.RandGaussianSmooth(prob=1, sigma_x=(1, 2)),
        transforms_of.RandHistogramShift(prob=1, num_control_points=3),
        transforms_of.RandGaussianSharpen(prob=1),
    ]

    def by_monai(change):
        def changed(part, draws):
            return np.asarray(change.set_random_state(state=draws)(torch.from_numpy(part)))

        return changed

    augment = augmenting.Augmentation(256, (0.25, 1.5), 0.4, 0.25)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _by_turns(
            benchmark, lambda rng: augment(example, rng, exclude_boundaries=True),
            lambda patch: patch.setattr(augmenting, "CHANGES", [by_monai(one) for one in changes]),
            "a crop of 256 px, `mediar-style`", "intensities by MONAI",
        )  # fmt: skip
    finally:
        torch.set_num_threads(before)
