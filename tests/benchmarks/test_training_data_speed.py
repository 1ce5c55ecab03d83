"""Making training data for Cellpose: the library's functions against ours, in processor time.

Both in one process by turns, on one core each. Images are seeded noise with round cells of 30 px.
Timed: a crop of 224 px with its flows from an image and flows that are prepared; the flows of a
label image. Not timed: compilation, reading image files.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from cellpose import dynamics, models, transforms  # noqa: E402

from cellharness.data.manifest import Case  # noqa: E402
from cellharness.training.samples import LabelledImage  # noqa: E402
from cellharness_adapters.cellpose.cpu.flows import flows_of, make_flows  # noqa: E402
from cellharness_adapters.cellpose.crops import cut, draw_placement  # noqa: E402
from cellharness_adapters.cellpose.examples import prepared  # noqa: E402
from recording import compared  # noqa: E402

_CROP = 224
#: Ratio that is aimed at by the side of the image.
AIMS = {512: None, 1024: 6, 2048: 20}


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
