"""CPN: network, checkpoints and settings by what was published, contours that are known."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("celldetection", reason="needs the extra 'cpn'")

from cellharness.data.images import read_image  # noqa: E402
from cellharness.errors import UsageError  # noqa: E402
from cellharness.methods.base import NotFiniteError  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness.running.worker import check_labels  # noqa: E402
from cellharness.weights import WeightFileError, WeightsHashError, shapes_of  # noqa: E402
from cellharness_adapters.cpn.network import celldetection, load_network  # noqa: E402
from cellharness_adapters.cpn.prediction import find_contours, labels_of  # noqa: E402
from cellharness_adapters.cpn.preparing import prepare  # noqa: E402
from cellharness_adapters.kit_ge.network import DUNet  # noqa: E402
from cellharness_adapters.unfilled import without_initialising  # noqa: E402


def conv(name, outputs, inputs, kernel, *, bias=True):
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    if bias:
        yield f"{name}.bias", (outputs,)


def batch_norm(name, width):
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()


def resnext101(name):
    """ResNeXt-101 32x8d (Xie et al. 2017): blocks 3, 4, 23, 3 with 32 groups of 8 channels."""
    yield from conv(f"{name}.0.0", 64, 3, 7, bias=False)
    yield from batch_norm(f"{name}.0.1", 64)
    before = 64
    for stage, depth in enumerate((3, 4, 23, 3)):
        width = 256 * 2**stage
        for number in range(depth):
            block = f"{name}.1.1.{number}" if stage == 0 else f"{name}.{stage + 1}.{number}"
            yield from conv(f"{block}.conv1", width, before, 1, bias=False)
            yield from conv(f"{block}.conv2", width, width // 32, 3, bias=False)
            yield from conv(f"{block}.conv3", width, width, 1, bias=False)
            for norm in ("bn1", "bn2", "bn3"):
                yield from batch_norm(f"{block}.{norm}", width)
            if number == 0:
                yield from conv(f"{block}.downsample.0", width, before, 1, bias=False)
                yield from batch_norm(f"{block}.downsample.1", width)
            before = width


def unet(name, widths=(64, 256, 512, 1024, 2048)):
    for level, (fine, coarse) in enumerate(pairwise(widths)):
        yield from conv(f"{name}.inner_blocks.{level}", fine, coarse, 1)
    for level, width in enumerate(widths):
        block = f"{name}.layer_blocks.{level}"
        given = width + widths[level - 1] if level else width
        yield from conv(f"{block}.0", width, given, 3, bias=level > 0)
        yield from batch_norm(f"{block}.1", width)
        yield from conv(f"{block}.3", width, width, 3, bias=level > 0)
        yield from batch_norm(f"{block}.4", width)


def head(name, width, outputs):
    yield from conv(f"{name}.block.0", width, width, 7)
    yield from batch_norm(f"{name}.block.1", width)
    yield from conv(f"{name}.block.4", outputs, width, 1)


def published(order=5):
    """Score, location, Fourier and uncertainty at half size, refinement at full size."""
    yield "order_weights", (order, 1)
    yield from resnext101("core.backbone.body")
    yield from unet("core.backbone.unet")
    outputs = {"score": 1, "location": 2, "fourier": 4 * order, "uncertainty": 4}
    for name, number in outputs.items():
        yield from head(f"core.{name}_head", 256, number)
    yield from head("core.refinement_head", 64, 2)


def test_names_and_shapes_are_the_published_ones():
    with without_initialising():
        network = celldetection.models.CpnResNeXt101UNet(in_channels=3, uncertainty_head=True)
    assert shapes_of(network.state_dict()) == dict(published())
    assert sum(each.numel() for each in network.parameters()) == 227_856_349


@pytest.fixture(scope="module")
def network():
    """A small network of the library with seeded random weights."""
    torch.manual_seed(0)
    made = celldetection.models.CpnResNet18UNet(
        in_channels=3, uncertainty_head=True, backbone_kwargs={"pretrained": False}
    )
    return made.eval().requires_grad_(False)


def content(network, **changed):
    """What the library writes, with its Config where it keeps arguments."""
    kwargs = {**network.hparams, "backbone_kwargs": celldetection.Config(pretrained=False)}
    described = {"model": type(network).__name__, "kwargs": celldetection.Config(**kwargs)}
    state = network.state_dict()
    return {"cd.__version__": "0.4.9", "cd.models": described, "state_dict": state} | changed


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("cpn") / "mine.pt"
    torch.save(content(network), path)
    yield path
    path.unlink()


def test_a_checkpoint_of_the_library_loads_with_its_config(network, checkpoint, tmp_path):
    loaded = load_network(checkpoint)
    assert type(loaded) is type(network)
    assert loaded.core.uncertainty_head is not None
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    for found, expected in zip(loaded.core(image), network.core(image), strict=True):
        assert torch.equal(found, expected)
    celldetection.save_fetchable_model(network, str(tmp_path / "theirs.pt"))
    (theirs,) = tmp_path.iterdir()
    state = load_network(theirs).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    # The library ends the name in the file's hash, which is checked.
    assert build("cpn", {"weights": theirs}).weights()
    theirs.write_bytes(theirs.read_bytes()[:-1])
    with pytest.raises(WeightsHashError, match="was asked for: it is another file, or damaged"):
        build("cpn", {"weights": theirs}).weights()


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle was run')",))


HEADS = {"core.fourier_head.block.4.bias": torch.zeros(1), "core.score_head.x": torch.zeros(1)}


def described(model="CpnResNet18UNet", **kwargs):
    return {"cd.models": {"model": model, "kwargs": kwargs}, "state_dict": HEADS}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: content(n, **{"cd.models": Trap()}), r"pickled Python object.*refused"),
        # No other class of the library either.
        (lambda n: content(n, extra=celldetection.Dict(a=1)), r"celldetection.*refused"),
        (lambda n: n, r"pickled Python object.*refused"),
        (lambda n: n.state_dict(), "does not describe its network"),
        (lambda _: DUNet((4, 16)).state_dict(), "holds a distance U-Net.*Use method kit-ge"),
        (lambda _: described("Module", in_channels=3), "describes a network 'Module'; valid: Cpn"),
        (lambda _: described(in_channels=3, backbone="x"), "cannot build CpnResNet18UNet"),
        (lambda _: described(in_channels=torch.ones(1)), "by a Tensor; plain values are taken"),
        (lambda _: described(in_channels=3), "does not fit the CpnResNet18UNet that it describes"),
    ],
)  # fmt: skip
def test_hostile_and_foreign_files_are_refused_by_name(make, message, network, tmp_path):
    torch.save(make(network), tmp_path / "weights.pt")
    with pytest.raises(WeightFileError, match=message):
        load_network(tmp_path / "weights.pt")


def test_truncated_files_are_refused(checkpoint, tmp_path):
    path = tmp_path / "cut.pt"
    path.write_bytes(checkpoint.read_bytes()[:100_000])
    with pytest.raises(WeightFileError, match="cut short or damaged"):
        load_network(path)


def test_no_weights_are_fetched_whatever_a_file_asks_for(network, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a download")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    made = content(network)
    made["cd.models"]["kwargs"]["backbone_kwargs"] = {"pretrained": "http://example.com/a.pt"}
    torch.save(made, tmp_path / "weights.pt")
    assert load_network(tmp_path / "weights.pt") is not None


class TestPreparing:
    def test_the_package_leaves_8_bit_alone(self):
        image = np.random.default_rng(0).integers(0, 99, (30, 40, 3)).astype(np.uint8)
        assert np.array_equal(prepare(image, "percentile"), image)
        gray = prepare(image[..., 0], "percentile")
        assert np.array_equal(gray, np.dstack([image[..., 0]] * 3))
        two = prepare(image[..., :2], "percentile")
        assert np.array_equal(two[..., :2], image[..., :2])
        assert not two[..., 2].any()

    def test_the_package_stretches_all_else(self):
        image = np.arange(3000, dtype=np.uint16).reshape(50, 60) * 20
        found = prepare(image, "percentile")
        assert (found.dtype, found.min(), found.max()) == (np.uint8, 0, 255)
        low, high = np.percentile(image, [0.1, 99.9])
        expected = np.clip((image - low) / (high - low), 0, 1) * 255
        assert np.abs(found[..., 0] - expected).max() <= 0.5 + 1e-9

    def test_the_challenge_leaves_light_images_alone(self):
        image = np.random.default_rng(0).integers(60, 99, (30, 40)).astype(np.uint8)
        assert np.array_equal(prepare(image, "cstm-mix")[..., 0], image)
        assert np.array_equal(prepare(image.astype(np.float32), "cstm-mix")[..., 0], image)

    def test_the_challenge_lifts_dark_images(self):
        image = np.full((30, 40, 3), 20, np.uint8)
        image[:15] = 30
        gamma = (1 - (np.cos(25 / 17) + 1) / 2) * 0.4 + 0.6
        found = prepare(image, "cstm-mix")
        assert found[0, 0, 0] == round((30 / 255) ** gamma * 255)
        assert found[-1, 0, 2] == round((20 / 255) ** gamma * 255)

    def test_the_challenge_mixes_dark_grey_images_with_stretched_ones(self):
        image = np.full((30, 40), 5, np.uint8)
        image[:2] = 20
        mean = image.mean()
        gamma = (1 - (np.cos(mean / 17) + 1) / 2) * 0.4 + 0.6
        lifted = np.rint((np.array([20, 5]) / 255) ** gamma * 255)
        expected = np.floor(0.5 * np.array([255, 0]) + 0.5 * lifted)
        found = prepare(image, "cstm-mix")
        assert found[[0, -1], 0, 0].tolist() == expected.tolist()

    def test_the_challenge_stretches_pale_colour_images(self):
        image = np.full((30, 40, 3), 220, np.uint8)
        image[:15] = 210
        found = prepare(image, "cstm-mix")
        assert (found[0, 0, 0], found[-1, 0, 0]) == (0, 255)

    @pytest.mark.parametrize("normalisation", ["percentile", "cstm-mix"])
    def test_flat_images_have_nothing_to_see(self, normalisation):
        assert prepare(np.zeros((5, 5)), normalisation) is None
        assert prepare(np.full((5, 5, 3), 7, np.uint16), normalisation) is None


class Discs(torch.nn.Module):
    """Finds the bright discs of a tile that are wholly in it, each twice, one less sure."""

    nms_thresh, uncertainty_nms = 0.3, True

    def forward(self, x):
        from scipy.ndimage import find_objects, label

        angle = torch.linspace(0, 2 * np.pi, 33)[:-1]
        circle = torch.stack([angle.cos(), angle.sin()], dim=1)
        contours, scores, doubts = [], [], []
        for rows, columns in find_objects(label(x[0, 0].numpy() > 0.5)[0]):
            centre = (
                torch.tensor([columns.start + columns.stop - 1, rows.start + rows.stop - 1]) / 2
            )
            radius = (rows.stop - rows.start - 1) / 2
            for shrunk, score, doubt in ((0.0, 0.9, 0.1), (2.0, 0.95, 0.5)):
                contours.append(centre + (radius - shrunk) * circle)
                scores.append(score)
                doubts.append([doubt] * 4)
        made = torch.stack(contours) if contours else torch.empty(0, 32, 2)
        low = made.amin(1) if contours else torch.empty(0, 2)
        high = made.amax(1) if contours else torch.empty(0, 2)
        return OrderedDict(
            contours=[made],
            boxes=[torch.cat([low, high], dim=1)],
            scores=[torch.tensor(scores)],
            box_uncertainties=[torch.tensor(doubts).reshape(-1, 4)],
        )


def discs(shape, centres, radius):
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint16)
    for number, (row, column) in enumerate(centres, start=1):
        labels[np.hypot(y - row, x - column) <= radius] = number
    return labels


@pytest.mark.parametrize(("tile", "stride"), [(512, 384), (96, 48)])
def test_cells_of_several_tiles_are_found_once_and_drawn_in_place(tile, stride):
    truth = discs((150, 200), [(30, 40), (70, 70), (120, 110), (75, 160)], 15)
    image = np.repeat((255 * (truth > 0)).astype(np.uint8)[..., None], 3, axis=-1)
    found = find_contours(image, Discs(), tile=tile, stride=stride, border=3, device="cpu")
    assert len(found) == 4
    labels = labels_of(found, truth.shape)
    assert len(np.unique(labels)) == 5
    for cell in range(1, 5):
        drawn = labels == labels[truth == cell][0]
        inside = truth == cell
        # The surer of two, which is the larger, was kept.
        assert (drawn & inside).sum() / (drawn | inside).sum() > 0.9


def test_the_higher_score_stays_where_uncertainty_does_not_count():
    truth = discs((60, 60), [(30, 30)], 15)
    image = np.repeat((255 * (truth > 0)).astype(np.uint8)[..., None], 3, axis=-1)
    network = Discs()
    network.uncertainty_nms = False
    (found,) = find_contours(image, network, tile=96, stride=48, border=3, device="cpu")
    assert np.ptp(found[:, 0]) == pytest.approx(26, abs=0.5)  # 30 px less twice 2


def test_nothing_found_is_an_empty_mask():
    black = np.zeros((40, 50, 3), np.uint8)
    found = find_contours(black, Discs(), tile=64, stride=32, border=3, device="cpu")
    labels = labels_of(found, (40, 50))
    assert (labels.shape, labels.any()) == ((40, 50), False)


def test_nan_is_an_error(network):
    class Astray(Discs):
        def forward(self, x):
            found = super().forward(x)
            found["contours"] = [each * torch.nan for each in found["contours"]]
            return found

    image = np.zeros((60, 60, 3), np.uint8)
    image[20:40, 20:40] = 255
    with pytest.raises(NotFiniteError, match="CPN's network gave NaN"):
        find_contours(image, Astray(), tile=64, stride=32, border=3, device="cpu")


def test_settings_are_the_presets_unless_given(checkpoint):
    for given, expected in [
        ({}, (0.891415, np.pi / 10, 768, 384, 3)),
        ({"preset": "package"}, (0.9, 0.2, 1024, 768, 4)),
        ({"score_threshold": 0.5, "tile": 256, "stride": 64}, (0.5, np.pi / 10, 256, 64, 3)),
    ]:
        method = build("cpn", {"weights": checkpoint, "device": "cpu", **given})
        method.load()
        method.segment(np.zeros((8, 8), np.uint8))
        found = method.details()
        keys = ("score_threshold", "nms_threshold", "tile", "stride", "border")
        assert tuple(found[key] for key in keys) == pytest.approx(expected)
        assert "flat" in found["remark"]
        assert method._predict.keywords["network"].uncertainty_nms is ("preset" not in given)


def test_tiles_must_meet():
    with pytest.raises(UsageError, match="stride 384 leaves gaps between tiles of 256 px"):
        build("cpn", {"weights": "a.pt", "tile": 256})


@pytest.mark.parametrize(
    "case",
    [
        "cell_00116",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("cell_00062", "cell_00031", "cell_00141")
        ),
    ],
)
def test_real_images_of_all_modalities_run_from_file_to_mask(checkpoint, realdata, case):
    """A corner, with random weights: what is found means nothing, and it is found twice alike."""
    corner = read_image(realdata[case].image)[:90, :77]
    options = {"score_threshold": 0.5, "tile": 64, "stride": 48, "device": "cpu"}
    method = build("cpn", {"weights": checkpoint, **options})
    method.load()
    first, again = method.segment(corner), method.segment(corner)
    check_labels(first, (90, 77))
    assert np.array_equal(first, again)
    assert {"network", "postprocess"} <= method.timer.seconds.keys()
