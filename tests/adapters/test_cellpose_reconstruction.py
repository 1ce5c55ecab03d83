"""Our mask reconstruction against the library's own, called directly: equal bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from cellpose import dynamics, metrics  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402

from cellharness.data.images import prepare, read_image  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness_adapters.cellpose.cpu.flow_consistency import flow_errors  # noqa: E402
from cellharness_adapters.cellpose.cpu.flow_following import follow  # noqa: E402
from cellharness_adapters.cellpose.cpu.reconstruction import compile_ahead, reconstruct  # noqa: E402
from cellharness_adapters.cellpose.cpu.seeding import cells_from_ends  # noqa: E402

CPU = torch.device("cpu")
# Small images of all four modalities.
CASES = ("cell_00030", "cell_00035", "cell_00064", "cell_00052", "cell_00098", "cell_00141")

pytestmark = pytest.mark.filterwarnings("ignore:.*parse invariant.*")


def random_output(seed, shape=(97, 141), spread=5.0):
    """Flows up a smooth random hill-side, as long as a network's, with some swirl in them."""
    rng = np.random.default_rng(seed)
    hills, swirl = gaussian_filter(rng.normal(size=(2, *shape)), (0, spread, spread))
    flows = np.stack(np.gradient(hills)) + 0.3 * np.stack(np.gradient(swirl))[::-1]
    flows = 5 * flows / np.hypot(*flows)
    return flows.astype(np.float32), (2 + 3 * hills / hills.std()).astype(np.float32)


def output_of(labels, noise=0.0, seed=0):
    """What a network would give for a label image, if it made random errors only."""
    rng = np.random.default_rng(seed)
    flows = 5 * dynamics.masks_to_flows(labels.astype(np.int64), device=CPU)
    flows = flows + noise * gaussian_filter(rng.normal(size=flows.shape), (0, 2, 2)) * 10
    return flows.astype(np.float32), np.where(labels > 0, 6, -6).astype(np.float32)


def discs(shape=(120, 150), spacing=15, radius=6):
    """Discs of one size on a square lattice, so that all seeds are equally strong."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = np.hypot(y % spacing - spacing // 2, x % spacing - spacing // 2) <= radius
    numbers = y // spacing * (shape[1] // spacing) + x // spacing + 1
    return np.where(inside, numbers, 0)


def check(flows, cellprob, **options):
    """Assert equality, and return the labels."""
    expected = dynamics.resize_and_compute_masks(flows.copy(), cellprob, device=CPU, **options)
    found = reconstruct(flows, cellprob, **options)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("interp", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"niter": 7},
        {"niter": 155.92},
        {"niter": 1000},
        {"flow_threshold": 0},
        {"flow_threshold": None},
        {"flow_threshold": 2.0},
        {"cellprob_threshold": -2.5, "flow_threshold": 1.0},
        {"cellprob_threshold": 2.0, "flow_threshold": 1.0},
        {"min_size": -1, "flow_threshold": 1.0},
        {"min_size": 0, "flow_threshold": 1.0},
        {"min_size": 60, "flow_threshold": 0.7},
        {"resize": [120, 99], "flow_threshold": 1.0},
        {"resize": [240, 300], "flow_threshold": 1.0, "min_size": 15},
        {"max_size_fraction": 0.02, "flow_threshold": 0},
    ],
    ids=lambda options: ",".join(f"{name}={value}" for name, value in options.items()) or "default",
)
def test_random_flows_with_every_option(seed, interp, options):
    check(*random_output(seed), interp=interp, **options)


def test_random_flows_are_no_empty_comparison():
    found = check(*random_output(0), flow_threshold=1.0)
    assert found.max() > 10


@pytest.mark.parametrize("interp", [True, False])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_equally_strong_seeds(interp, noise):
    """Eighty of them: their order in the library's sort decides who takes a shared place."""
    found = check(*output_of(discs(), noise), interp=interp)
    assert found.max() >= 40


def test_touching_cells_at_the_border():
    y, x = np.mgrid[:90, :110]
    found = check(*output_of(y // 18 * 10 + x // 22 + 1, noise=0.5))
    assert found.max() >= 20
    assert (found > 0).mean() > 0.9


def test_a_hole_in_a_cell_and_a_cell_in_it():
    y, x = np.mgrid[:80, :80]
    distance = np.hypot(y - 40, x - 40)
    labels = np.where(distance < 8, 2, np.where((distance > 14) & (distance < 30), 1, 0))
    check(*output_of(labels), flow_threshold=0)
    check(*output_of(labels), flow_threshold=3.0, min_size=400)


def test_one_cell():
    labels = discs((40, 50), 40, 10)
    labels[:, 40:] = 0
    assert check(*output_of(labels)).max() == 1


@pytest.mark.parametrize("resize", [None, [40, 33]])
def test_no_pixel_is_cell(resize):
    flows, cellprob = random_output(0)
    assert not check(flows, -np.abs(cellprob) - 1, resize=resize).any()


def test_pixels_without_a_seed():
    flows, cellprob = random_output(0)
    assert not check(np.zeros_like(flows), np.abs(cellprob) + 1).any()


def test_every_cell_has_wrong_flows():
    flows, cellprob = random_output(1)
    assert not check(flows, cellprob, flow_threshold=1e-6).any()


def test_flows_that_leave_the_image():
    flows, cellprob = random_output(2)
    check(40 * flows, cellprob, flow_threshold=0)
    check(40 * flows, cellprob, flow_threshold=0, interp=False)


def test_the_libraries_memory_order_of_flows():
    """Its network hands over a transposed view."""
    flows, cellprob = random_output(3)
    view = np.ascontiguousarray(flows.transpose(1, 2, 0)).transpose(2, 0, 1)
    np.testing.assert_array_equal(
        reconstruct(view, cellprob, flow_threshold=1.0), check(flows, cellprob, flow_threshold=1.0)
    )


def test_the_input_is_left_as_it_is():
    flows, cellprob = random_output(0)
    before = flows.copy(), cellprob.copy()
    reconstruct(flows, cellprob)
    assert np.array_equal(flows, before[0])
    assert np.array_equal(cellprob, before[1])


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_any_number_of_threads_gives_the_same(threads):
    flows, cellprob = random_output(0)
    np.testing.assert_array_equal(
        reconstruct(flows, cellprob, flow_threshold=1.0, threads=threads),
        check(flows, cellprob, flow_threshold=1.0),
    )


@pytest.fixture
def pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.mark.parametrize("interp", [True, False])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 50, 211])
def test_followed_places_to_the_last_bit(pool, interp, steps):
    """Not only rounded to pixels: cycles are skipped, and that must not shift anything."""
    flows, cellprob = random_output(5)
    start = np.nonzero(cellprob > 0)
    flows = flows / np.float32(5)
    expected = dynamics.follow_flows(flows, start, niter=steps, interp=interp, device=CPU)
    found = follow(flows, start, steps, interpolate=interp, pool=pool, threads=2)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_flow_errors_to_the_last_bit(pool):
    flows, cellprob = random_output(6)
    ends = dynamics.follow_flows(flows / 5, np.nonzero(cellprob > 0), niter=60, device=CPU)
    start = np.nonzero(cellprob > 0)
    masks = cells_from_ends(ends, start, 0.4, *cellprob.shape)
    expected = dynamics.get_masks_torch(torch.from_numpy(ends).int(), start, cellprob.shape)
    np.testing.assert_array_equal(masks, expected)
    errors, _ = metrics.flow_error(masks, flows, device=CPU)
    assert len(errors) > 10
    np.testing.assert_array_equal(flow_errors(masks, flows, pool=pool, threads=2), errors)


def test_compiling_ahead_runs_through():
    compile_ahead()


@pytest.fixture(scope="module")
def network_output(cyto, realdata):
    """What goes into the library's reconstruction in the size model's pass and in the last."""
    segmenter = build("cellpose", {"weights": "cyto", "device": "cpu", "precision": "float32"})
    segmenter.load()
    model = segmenter._model
    seen = []
    inner = model._compute_masks

    def record(shape, corner, cellprob, **options):
        seen.append((model.flows[:, 0].copy(order="K"), cellprob[0].copy(), shape[1:3], options))
        return inner(shape, corner, cellprob, **options)

    model._compute_masks = record

    def output(case):
        seen.clear()
        segmenter.segment(prepare(read_image(realdata[case].image), "gray_max"))
        return list(seen)

    return output


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_real_flows(network_output, case):
    passes = network_output(case)
    assert [options["interp"] for *_, options in passes] == [False, True]
    for flows, cellprob, shape, options in passes:
        used = {name: options[name] for name in ("niter", "flow_threshold", "interp", "min_size")}
        resize = None if cellprob.shape == tuple(shape) else list(shape)
        assert check(flows, cellprob, resize=resize, **used).max() > 5
        check(flows, cellprob, **{**used, "min_size": -1}, cellprob_threshold=-1.0)
        check(flows, cellprob, **{**used, "flow_threshold": 0.2})
