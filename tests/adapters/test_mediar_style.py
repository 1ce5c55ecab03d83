"""The small network with MEDIAR's recipe: flows, crops, clusters, phases, a small training."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile
from pydantic import ValidationError

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")
pytest.importorskip("segmentation_models_pytorch", reason="needs the extra 'mediar'")
pytest.importorskip("monai", reason="needs the extra 'mediar'")

from monai import transforms  # noqa: E402

from cellharness.data.manifest import Manifest  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness.training import loop  # noqa: E402
from cellharness.training.samples import TrainingDataError, read_labelled  # noqa: E402
from cellharness.weights import WeightFileError  # noqa: E402
from cellharness_adapters.cellpose.cpu.flows import make_flows  # noqa: E402
from cellharness_adapters.mediar.network import MediarFormer, load_network  # noqa: E402
from cellharness_adapters.mediar.preparing import prepare  # noqa: E402
from cellharness_adapters.mediar_style import augmenting, intensities, learner  # noqa: E402
from cellharness_adapters.mediar_style.augmenting import Crop, cut, flipped, turned  # noqa: E402
from cellharness_adapters.mediar_style.clusters import amplified_weights, clusters_of  # noqa: E402
from cellharness_adapters.mediar_style.examples import (  # noqa: E402
    boundaries_to_exclude,
    examples_of,
)
from cellharness_adapters.mediar_style.learner import StyleLearner  # noqa: E402
from cellharness_adapters.mediar_style.network import SMALL, load_small_network  # noqa: E402
from cellharness_adapters.mediar_style.parameters import StyleTrainingParameters  # noqa: E402
from cellharness_adapters.mediar_style.training import MediarStyleTrainer  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def cases(small_manifest):
    return list(Manifest.read(small_manifest).cases)


@pytest.fixture
def examples(cases):
    return examples_of(read_labelled(cases, "native"), "image")


def options(**more):
    given = {
        "recipe": "short",
        "crop": 64,
        "epochs": 3,
        "pretraining_epochs": 2,
        "clusters": 2,
        "validate_every": 3,
        "precision": "float32",
        "device": "cpu",
    }
    return StyleTrainingParameters.model_validate({**given, **more})


def learning(examples, replay=(), **more):
    return StyleLearner(examples, replay, [], options(**more), 0)


def drawn(subject, epoch):
    np.random.seed(7)  # noqa: NPY002 - as the loop does
    return list(subject.batches(epoch))


def test_the_network_has_the_size_that_is_told():
    network = MediarFormer(SMALL)
    assert sum(each.numel() for each in network.parameters()) == 7_665_867
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_boundaries_are_excluded_but_of_small_cells_and_at_the_border():
    labels = np.zeros((60, 60), np.uint16)
    labels[0:20, 0:20], labels[20:40, 0:20], labels[45:55, 45:55] = 1, 2, 3
    excluded = boundaries_to_exclude(labels)
    # The small cell keeps all of it, both others lose where they touch.
    assert not excluded[labels == 3].any()
    assert excluded[19, 2:20].all()
    assert excluded[20, 2:20].all()
    assert not excluded[:2].any()
    assert not excluded[:, :2].any()
    assert excluded.sum() == (18 + 17) + (18 + 18 + 18)
    # Unlike the published code, which leaves none of these to the background.
    assert not excluded[labels == 0].any()


def of_length_one(flows, labels, zoom=1.0):
    """Flows are so long in cells, but in the middle of one that is alike on all sides."""
    length = np.hypot(*flows)
    assert not length[labels == 0].any()
    assert length.max() == pytest.approx(1, abs=2e-3)
    middles = (length < 0.998) & (labels > 0)
    assert not length[middles].any()
    assert np.bincount(labels[middles]).max(initial=0) <= np.ceil(zoom) ** 2


def test_examples_are_what_prediction_sees(cases, examples):
    samples = read_labelled(cases, "native")
    for sample, example in zip(samples, examples, strict=True):
        shown = prepare(sample.image, "image")
        assert np.abs(example.image / 255 - shown).max() < 1 / 255
        assert np.array_equal(example.labels > 0, sample.labels > 0)
        of_length_one(example.flows.astype(np.float32), example.labels)


def whole(example, side=128):
    return cut(example, side, np.random.default_rng(0))


def flows_again(crop):
    return make_flows(np.ascontiguousarray(crop.labels))


@pytest.mark.parametrize(
    "move",
    [
        lambda crop: flipped(crop, 0),
        lambda crop: flipped(crop, 1),
        lambda crop: turned(crop, 1),
        lambda crop: turned(crop, 2),
        lambda crop: turned(crop, 3),
    ],
    ids=["rows", "columns", "once", "twice", "thrice"],
)
def test_image_labels_and_flows_move_together(examples, move):
    crop = whole(examples[0])
    moved = move(crop)
    assert np.array_equal(moved.cell, moved.labels > 0)
    # Cells are bright discs: were the image left behind, its mean within them would fall.
    inside = [np.mean(each.image[:, each.labels > 0]) for each in (crop, moved)]
    assert inside[0] == pytest.approx(inside[1], abs=1e-6)
    expected = flows_again(moved)
    agreement = (moved.flows * expected).sum(axis=0)[moved.cell]
    # The centre of a cell may be one of two pixels, which the direction of counting decides.
    assert np.median(agreement) > 0.999
    assert agreement.mean() > 0.98


def test_a_crop_of_a_small_image_lies_in_the_middle_and_the_rest_is_dark(examples):
    crop = whole(examples[0], 160)
    height, width = examples[0].labels.shape
    top, left = (160 - height) // 2, (160 - width) // 2
    assert np.array_equal(crop.labels[top : top + height, left : left + width], examples[0].labels)
    assert not crop.image[:, :top].any()
    assert crop.cell.sum() == (examples[0].labels > 0).sum()


@pytest.mark.parametrize("zoom", [0.25, 0.7, 1.5])
def test_zoom_changes_sizes_and_not_flows(examples, zoom):
    example = examples[0]
    crop = cut(example, 64, np.random.default_rng(1), zoom)
    assert crop.image.shape == (3, 64, 64)
    assert crop.image.dtype == crop.target.dtype == np.float32
    of_length_one(crop.flows, np.where(crop.cell, crop.labels, 0), zoom)
    if zoom < 0.5:  # the whole image is seen, at a sixteenth of its area
        assert crop.cell.sum() == pytest.approx((example.labels > 0).sum() * zoom**2, rel=0.1)


def test_excluded_boundaries_have_neither_cell_nor_flow(examples):
    plain, excluded = (
        cut(examples[0], 128, np.random.default_rng(0), exclude_boundaries=on)
        for on in (False, True)
    )
    assert 0 < excluded.cell.sum() < plain.cell.sum()
    assert not np.hypot(*excluded.flows)[~excluded.cell].any()
    assert np.array_equal(excluded.flows[:, excluded.cell], plain.flows[:, excluded.cell])
    assert np.array_equal(excluded.labels, plain.labels)


def test_some_cells_become_brighter_and_each_may():
    labels = np.zeros((40, 40), np.uint16)
    for number in range(5):
        labels[8 * number : 8 * number + 6, 4:30] = 10 * number + 3
    image = np.full((3, 40, 40), 0.5, np.float32)
    crop = Crop(image, labels, np.zeros((2, 40, 40), np.float32), labels > 0)
    seen = set()
    for seed in range(40):
        changed = augmenting.with_brighter_cells(crop, 0.4, np.random.default_rng(seed)).image
        factors = changed / image
        chosen = set(np.unique(labels[factors[0] > 1]))
        assert len(chosen) == 2
        assert 0 not in chosen
        assert len(np.unique(factors)) == 2
        assert factors.max() <= 1.7
        seen |= chosen
    # The last one too, which the published code never draws.
    assert seen == set(np.unique(labels)) - {0}


def test_augmentation_is_seeded_and_finite(examples):
    augment = augmenting.Augmentation(64, (0.25, 1.5), 0.4, 1.0)
    kinds = set()
    for seed in range(12):
        crops = []
        for _ in range(2):
            rng = np.random.default_rng(seed)
            crops.append(augment(examples[0], rng, exclude_boundaries=True))
        assert np.array_equal(crops[0].image, crops[1].image)
        assert np.array_equal(crops[0].target, crops[1].target)
        assert np.isfinite(crops[0].image).all()
        kinds.add(crops[0].image.tobytes())
    assert len(kinds) == 12


#: The published changes, each certain to happen, in their order.
BY_MONAI = {
    "with_noise": lambda: transforms.RandGaussianNoise(prob=1, mean=0, std=0.1),
    "with_gamma": lambda: transforms.RandAdjustContrast(prob=1, gamma=(1, 2)),
    "smoothed": lambda: transforms.RandGaussianSmooth(prob=1, sigma_x=(1, 2)),
    "with_shifted_histogram": lambda: transforms.RandHistogramShift(prob=1, num_control_points=3),
    "sharpened": lambda: transforms.RandGaussianSharpen(prob=1),
}


def by_monai(name, image, draws):
    change = BY_MONAI[name]().set_random_state(state=draws)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The image's intensity is a single value")
        return np.asarray(change(torch.from_numpy(image)), np.float32)


@pytest.mark.parametrize("name", BY_MONAI)
def test_changes_of_intensity_are_those_of_monai(name):
    assert [change.__name__ for change in intensities.CHANGES] == list(BY_MONAI)
    rng = np.random.default_rng(0)
    images = [
        rng.random((3, 256, 256)),
        rng.integers(0, 256, (3, 60, 70)) / 255,
        rng.normal(0.2, 0.3, (3, 33, 64)),
        (rng.random((3, 64, 64)) < 0.02).astype(float),
        rng.random((3, 5, 9)),
        np.full((3, 32, 32), 0.4),
    ]
    for seed in range(20):
        for image in images:
            image = image.astype(np.float32)
            kept = image.copy()
            theirs = by_monai(name, image, np.random.RandomState(seed))
            ours = getattr(intensities, name)(image, np.random.RandomState(seed))
            assert np.array_equal(image, kept)
            assert ours.dtype == np.float32
            if name in {"smoothed", "sharpened"}:
                # float32 sums in another order; sharpening has its second sum up to 30 times.
                atol = (3e-5 if name == "sharpened" else 1e-6) * np.abs(image).max()
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)
            else:
                assert np.array_equal(ours, theirs)


def plainly_cut(example, side, rng, zoom=1.0, *, exclude_boundaries=False):
    height, width = example.labels.shape
    seen = max(1, round(side / zoom))
    top, left = (int(rng.integers(max(0, length - seen) + 1)) for length in (height, width))
    part = np.s_[top : top + seen, left : left + seen]
    labels = example.labels[part]
    size = tuple(min(side, max(1, round(length * zoom))) for length in labels.shape)
    near = np.ix_(
        *(
            ((np.arange(n) + 0.5) * length / n).astype(np.intp)
            for n, length in zip(size, labels.shape, strict=True)
        )
    )
    labels = labels[near]
    cell = labels > 0
    if exclude_boundaries:
        cell &= ~example.boundary[part][near]
    flows = np.stack([flow[part][near] for flow in example.flows]).astype(np.float32) * cell
    image = torch.from_numpy(example.image[:, *part].astype(np.float32) / 255)[None]
    if image.shape[2:] != size:
        image = torch.nn.functional.interpolate(image, size, mode="area")
    around = [((side - n) // 2, side - n - (side - n) // 2) for n in size]
    return Crop(
        np.pad(image[0].numpy(), [(0, 0), *around]),
        np.pad(labels, around),
        np.pad(flows, [(0, 0), *around]),
        np.pad(cell, around),
    )


def plainly_brighter(crop, share, rng):
    there = np.unique(crop.labels)
    there = there[there > 0]
    chosen = rng.choice(there, int(len(there) * share), replace=False)
    factor = np.float32(1 + rng.uniform(0, 0.7))
    image = np.where(np.isin(crop.labels, chosen), crop.image * factor, crop.image)
    return Crop(image, crop.labels, crop.flows, crop.cell)


def both_ways(example, side, chance, monkeypatch):
    """Crops by our loops and by numpy, torch and MONAI, of the same seeds."""
    found = []
    for plain in (False, True):
        with monkeypatch.context() as patch:
            if plain:
                changes = [partial(by_monai, name) for name in BY_MONAI]
                patch.setattr(augmenting, "CHANGES", changes)
                patch.setattr(augmenting, "cut", plainly_cut)
                patch.setattr(augmenting, "with_brighter_cells", plainly_brighter)
            augment = augmenting.Augmentation(side, (0.25, 1.5), 0.4, chance)
            crops = []
            for seed in range(60):
                rng = np.random.default_rng(seed)
                crop = augment(example, rng, exclude_boundaries=seed % 2 == 0)
                crops.append((crop, rng.bit_generator.state))
        found.append(crops)
    return zip(*found, strict=True)


@pytest.mark.parametrize("side", [32, 64, 256])  # the images have 96 x 112 px
@pytest.mark.parametrize("chance", [0.0, 0.25])
def test_crops_are_those_of_numpy_torch_and_monai(examples, monkeypatch, side, chance):
    colours = np.random.default_rng(0).integers(0, 256, examples[0].image.shape, np.uint8)
    coloured = replace(examples[0], image=colours, labels=examples[0].labels.astype(np.uint32))
    flat = replace(examples[1], image=np.full_like(examples[1].image, 7))
    for example in (examples[2], coloured, flat):
        for (ours, drawn), (theirs, also_drawn) in both_ways(example, side, chance, monkeypatch):
            assert drawn == also_drawn
            assert np.array_equal(ours.target, theirs.target)
            assert np.array_equal(ours.labels, theirs.labels)
            assert ours.labels.dtype == theirs.labels.dtype
            assert ours.image.dtype == theirs.image.dtype == np.float32
            if chance:
                np.testing.assert_allclose(ours.image, theirs.image, rtol=0, atol=1e-4)
            else:
                assert np.array_equal(ours.image, theirs.image)


def test_images_that_look_alike_are_one_cluster_and_small_ones_come_more_often():
    rng = np.random.default_rng(0)
    centres = np.repeat(10 * np.eye(3), [12, 3, 1], axis=0)
    groups = clusters_of(centres + rng.normal(0, 0.1, centres.shape), 3, seed=0)
    assert [len(set(part)) for part in (groups[:12], groups[12:15], groups[15:])] == [1, 1, 1]
    assert len(set(groups)) == 3
    weights = amplified_weights(groups, 1.0)
    assert weights.sum() == pytest.approx(1)
    # 16/3 of 12, 16/3 and 16/3 images.
    whole = 12 + 2 * 16 / 3
    assert [weights[:12].sum(), weights[12:15].sum(), weights[15]] == pytest.approx(
        [12 / whole, 16 / 3 / whole, 16 / 3 / whole]
    )
    assert amplified_weights(groups, 0) == pytest.approx(1 / 16)
    # More clusters than images, and images of which nothing differs.
    assert len(clusters_of(np.zeros((3, 4)), 40, seed=0)) == 3
    assert np.array_equal(clusters_of(centres, 3, seed=5), clusters_of(centres, 3, seed=5))


def test_the_loss_is_the_published_one(examples):
    subject = learning(examples)
    images, targets = drawn(subject, 0)[0]
    output = torch.randn(targets.shape, generator=torch.Generator().manual_seed(0))
    found = subject.loss(lambda _: output, (images, targets))
    flows = torch.nn.MSELoss()(output[:, :2], 5.0 * targets[:, :2])
    cell = torch.nn.BCEWithLogitsLoss()(output[:, -1], targets[:, 2])
    torch.testing.assert_close(found, flows / 2 + cell)


def test_replayed_crops_come_last_one_for_eight_in_the_second_phase_alone(examples):
    bright = [
        type(each)(np.full_like(each.image, 255), each.labels, each.flows, each.boundary, None)
        for each in examples[:1]
    ]
    subject = learning(examples, bright, images_per_epoch=16, clusters=0, cell_intensity=0)
    assert [len(images) for images, _ in drawn(subject, 0)] == [8, 8]
    assert [len(images) for images, _ in drawn(subject, 2)] == [9, 9]
    for images, _ in drawn(subject, 2):
        # Of the one white image, and changed in place only.
        assert set(images[-1].unique().tolist()) == {1.0}
    assert (
        len(drawn(learning(examples, bright, replay_ratio=0.5, images_per_epoch=8), 2)[0][0]) == 12
    )
    alone = learning(
        examples, bright, pretraining_cases="replay", images_per_epoch=8, intensity_chance=0,
        cell_intensity=0,
    )  # fmt: skip
    assert set(drawn(alone, 0)[0][0].unique().tolist()) <= {0.0, 1.0}


def test_boundaries_are_excluded_in_the_first_phase_and_in_replayed_crops(examples, monkeypatch):
    asked = []

    def noted(example, side, rng, zoom=1.0, *, exclude_boundaries=False):
        asked.append((example is examples[0], exclude_boundaries))
        return cut(example, side, rng, zoom, exclude_boundaries=exclude_boundaries)

    monkeypatch.setattr(augmenting, "cut", noted)
    subject = learning(examples[1:], examples[:1], images_per_epoch=8, clusters=0)
    drawn(subject, 0)
    assert {excluded for _, excluded in asked} == {True}
    asked.clear()
    drawn(subject, 2)
    assert set(asked) == {(False, False), (True, True)}
    asked.clear()
    plain = learning(examples[1:], examples[:1], exclude_boundaries=False, clusters=0)
    drawn(plain, 0)
    drawn(plain, 2)
    assert {excluded for _, excluded in asked} == {False}


def test_rates_fall_as_a_cosine_in_each_phase(examples):
    subject = learning(examples, epochs=4, pretraining_epochs=2, clusters=0)
    rates = []
    for epoch in range(4):
        subject.start_epoch(epoch)
        rates.append(subject.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 5e-4, 4e-4, 2e-4])


def test_small_clusters_are_drawn_more_often_in_the_second_phase(examples, monkeypatch):
    monkeypatch.setattr(learner, "clusters_of", lambda *_: np.array([0, 0, 0, 0, 0, 1]))
    subject = learning(examples, images_per_epoch=400)
    rng = np.random.default_rng(0)
    subject.start_epoch(0)
    assert subject.state() == {"groups": None}
    often = [sum(one is examples[5] for one in subject._order(examples, rng, first=True))]
    subject.start_epoch(2)
    often.append(sum(one is examples[5] for one in subject._order(examples, rng, first=False)))
    assert often[0] == pytest.approx(400 / 6, abs=1)
    # Counted as 2 x 3 images beside 6 for five.
    assert often[1] == pytest.approx(200, abs=40)
    again = learning(examples, images_per_epoch=400)
    again.load_state(subject.state())
    assert again.state() == subject.state()


def test_a_training_is_logged_and_predicts(cases, tmp_path):
    wanted = options(epochs=6, pretraining_epochs=5, images_per_epoch=16, learning_rate=3e-3)
    checkpoint = MediarStyleTrainer(wanted, input="native").fit(cases[:4], cases[4:], tmp_path)
    log = pd.read_csv(tmp_path / "epochs.csv")
    assert log["train_loss"].iloc[-1] < log["train_loss"].iloc[0]
    assert log["validation_loss"].notna().all()
    assert (tmp_path / "validation.csv").is_file()
    method = build("mediar-style", {"weights": str(checkpoint), "device": "cpu"})
    method.load()
    method.warmup()
    image = tifffile.imread(cases[5].image)
    assert method.segment(image).shape == image.shape
    assert method.details() == {
        "device": "cpu", "precision": "float32", "window": 64, "normalisation": "image",
        "passes": 3,
    }  # fmt: skip
    assert not method.segment(np.full((30, 31), 7, np.uint8)).any()
    assert "flat" in method.details()["remark"]
    # The winner's method tells such a file apart.
    with pytest.raises(WeightFileError, match="Use method mediar-style"):
        load_network(checkpoint)


@pytest.mark.slow
def test_nuclei_of_real_images_are_found_in_those_trained_on(shared, tmp_path):
    def chosen(*experiments):
        every = Manifest.read(shared / "realdata-all.csv").cases
        return [case for case in every if case.split == "train" and case.experiment in experiments]

    train = chosen("dsb2018-fluo-256")[:10]
    replay = chosen("dsb2018-fluo-360", "dsb2018-purple-white")[:4]
    wanted = options(
        epochs=13, pretraining_epochs=12, images_per_epoch=64, clusters=3, zoom=(0.5, 1.5),
        validate_every=12,
    )  # fmt: skip
    MediarStyleTrainer(wanted, input="native").fit(train, train[:3], tmp_path, replay)
    found = pd.read_csv(tmp_path / "validation.csv").query("modality == 'all' and epoch == 12")
    # 0.77 when it was first run; 0 after 32 steps.
    assert found["mean_f1"].item() > 0.4


def test_a_resumed_training_ends_with_the_same_bits(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STATE_EVERY_S", -1.0)

    class StopError(Exception):
        pass

    def train(folder, watch=None):
        trainer = MediarStyleTrainer(options(epochs=4), input="native", watch=watch)
        return trainer.fit(cases[1:4], cases[5:], tmp_path / folder, cases[:1])

    whole = train("whole").read_bytes()
    for last in (2, 3):  # as the second phase begins, and in it

        def stop(record, last=last):
            if record.epoch == last:
                raise StopError

        with pytest.raises(StopError):
            train(f"broken-{last}", stop)
        assert train(f"broken-{last}").read_bytes() == whole


def test_labels_without_cells_are_refused(cases, tmp_path):
    for case in cases[:2]:
        tifffile.imwrite(case.label, np.zeros((96, 112), np.uint16))
    with pytest.raises(TrainingDataError, match="none of the 2 training images has a cell"):
        MediarStyleTrainer(options(), input="native").fit(cases[:2], [], tmp_path)


def test_recipes_and_phases_are_checked():
    paper = StyleTrainingParameters()
    assert (paper.epochs, paper.pretraining_epochs, paper.crop) == (110, 60, 512)
    assert (paper.learning_rate, paper.finetuning_rate, paper.clusters) == (5e-5, 2e-5, 40)
    with pytest.raises(ValidationError, match="pretraining_epochs is 9, more than the 3 epochs"):
        options(pretraining_epochs=9)
    with pytest.raises(ValidationError, match="zoom is"):
        options(zoom=(2, 1))


def test_another_network_is_refused(tmp_path):
    state = {name: torch.zeros(1) for name in ("gradflow_head.0.weight", "cellprob_head.0.weight")}
    state["encoder.patch_embed1.proj.weight"] = torch.zeros(64, 3, 7, 7)
    torch.save(state, tmp_path / "winner.pt")
    with pytest.raises(WeightFileError, match=r"holds a MEDIAR-Former.*Use method mediar"):
        load_small_network(tmp_path / "winner.pt")
