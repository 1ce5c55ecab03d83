from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cellharness.data.images import read_image, read_label
from cellharness.data.manifest import Manifest
from cellharness.data.modality_guess import guess_modality
from cellharness.data.phantom import (
    EXPERIMENTS,
    brightfield,
    dic,
    fluorescence,
    generate,
    phase_contrast,
)
from cellharness.data.phantom.acquisition import Acquisition
from cellharness.data.phantom.anatomy import build_anatomy
from cellharness.data.phantom.layout import Layout, place_cells
from cellharness.data.validation import validate
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.vocabulary import MODALITIES

ROOT = Path(__file__).parents[2]
BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Manifest:
    return generate(tmp_path_factory.mktemp("phantom"), seed=5, per_experiment=1, size=192)


def hashes(manifest: Manifest) -> dict[str, tuple[str, str]]:
    return {c.case: (hash_file(c.image), hash_file(c.label)) for c in manifest.cases}


def test_the_files_are_where_the_manifest_says(made):
    assert made.path == made.root / "manifest.csv"
    read = Manifest.read(made.path)
    assert read.cases == made.cases
    for case in read.cases:
        assert case.sha256 == hash_file(case.image)
        assert case.image.parent.name == "images"
        assert case.label == made.root / "labels" / f"{case.case}_label.tiff"


def test_validation_has_nothing_to_say(made):
    assert validate(made).findings == ()


def test_every_modality_has_seen_and_unseen_experiments(made):
    test = made.select(splits=["test"])
    for modality in MODALITIES:
        cases = test.select(modalities=[modality]).cases
        assert {test.seen(case) for case in cases} == {True, False}
        assert len({case.experiment for case in cases}) >= 3


def test_images_have_the_promised_form(made):
    facts = {case.case: dict(case.extra) for case in made.cases}
    kinds = set()
    for case in made.cases:
        image, labels = read_image(case.image), read_label(case.label)
        assert image.shape[:2] == labels.shape == (192, 192)
        assert facts[case.case]["dtype"] == image.dtype.name
        assert int(facts[case.case]["n_cells"]) == labels.max() == len(np.unique(labels)) - 1
        assert labels.max() >= 5
        assert np.bincount(labels.ravel())[1:].min() >= 15
        kinds.add((case.modality, image.dtype.name, image.ndim))
    assert ("Brightfield", "uint8", 3) in kinds
    assert {("Fluorescent", "uint16", 2), ("Fluorescent", "uint8", 3)} <= kinds


def test_nothing_is_over_or_under_exposed(made):
    for case in made.cases:
        image = read_image(case.image)
        top = np.iinfo(image.dtype).max
        assert (image == top).mean() < 0.05, case.case
        channels = image.reshape(-1, image.shape[-1] if image.ndim == 3 else 1)
        contrast = np.percentile(channels, 99) - np.percentile(channels, 1)
        assert contrast > 0.08 * np.percentile(channels, 99.9), case.case


def test_the_modalities_are_told_apart_by_the_rules(made):
    wrong = [
        (case.case, guess)
        for case in made.select(splits=["test"]).cases
        if (guess := guess_modality(read_image(case.image))[0]) != case.modality
    ]
    # The rules read low-level cues of whole images; small pictures may fool them now and then.
    assert len(wrong) <= 2, wrong


def test_bits_are_the_same_in_another_process(made, tmp_path):
    # One experiment of each modality is enough to tell.
    code = (
        "import sys; from cellharness.data.phantom import experiments; "
        "experiments.EXPERIMENTS = experiments.EXPERIMENTS[::3]; "
        "experiments.generate(sys.argv[1], seed=5, per_experiment=1, size=192)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    again = Manifest.read(tmp_path / "manifest.csv")
    assert {case.modality for case in again.cases} == set(MODALITIES)
    first = hashes(made)
    assert hashes(again) == {name: first[name] for name in hashes(again)}


def test_more_images_leave_the_first_as_they_were_and_seeds_differ(made, tmp_path, monkeypatch):
    one = (BY_NAME["dic-granular"],)
    monkeypatch.setattr("cellharness.data.phantom.experiments.EXPERIMENTS", one)
    more = generate(tmp_path / "more", seed=5, per_experiment=2, size=192, train_per_experiment=0)
    other = generate(tmp_path / "other", seed=6, per_experiment=1, size=192)
    assert [c.case for c in more.cases] == ["dic-granular_test_01", "dic-granular_test_02"]
    kept = hashes(made)["dic-granular_test_01"]
    assert hashes(more)["dic-granular_test_01"] == kept
    assert len({*hashes(more).values(), *hashes(other).values()}) == 4


def test_further_experiments_of_a_kind_look_otherwise_and_leave_the_first_alone(
    made, tmp_path, monkeypatch
):
    kind = BY_NAME["fl-nuclei"]
    monkeypatch.setattr("cellharness.data.phantom.experiments.EXPERIMENTS", (kind,))
    arguments = {"seed": 5, "per_experiment": 1, "size": 192}
    three = generate(tmp_path / "three", **arguments, experiments_per_kind=3)
    names = ["fl-nuclei", "fl-nuclei-2", "fl-nuclei-3"]
    test = three.select(splits=["test"])
    assert [(case.experiment, case.modality) for case in test.cases] == [
        (name, kind.modality) for name in names
    ]
    # Each is learned from as its kind is.
    assert all(three.seen(case) for case in test.cases)
    first = hashes(three)
    kept = {name: first[name] for name in first if name.startswith("fl-nuclei_")}
    assert kept == {name: hashes(made)[name] for name in kept}
    assert len(kept) == 2
    assert len(set(first.values())) == 6
    two = generate(tmp_path / "two", **arguments, experiments_per_kind=2)
    assert hashes(two) == {name: first[name] for name in hashes(two)}
    assert validate(three).findings == ()


def test_an_acquisition_changes_focus_contrast_and_noise_and_nothing_else():
    rng = np.random.default_rng(0)
    image = np.where(disc() > 0, 40_000, 10_000).astype(np.uint16)
    plain = Acquisition(magnification=1, confluence=1, defocus=0, contrast=1, noise=0)
    np.testing.assert_array_equal(plain.taken(image, rng), image)
    assert plain.arranged(BY_NAME["bf-he"].layout) == BY_NAME["bf-he"].layout

    half = replace(plain, contrast=0.5).taken(image, rng)
    assert half.dtype == image.dtype
    assert half.std() == pytest.approx(image.std() / 2, rel=1e-3)
    assert half.mean() == pytest.approx(image.mean(), rel=1e-3)

    soft = replace(plain, defocus=2).taken(image, rng).astype(float)
    assert np.abs(np.diff(soft)).max() < 0.3 * np.abs(np.diff(image.astype(float))).max()

    colour = np.dstack([image // 256] * 3).astype(np.uint8)
    noisy = replace(plain, noise=0.1).taken(colour, rng)
    flat = noisy[:30, :30].astype(float)
    assert flat.std() == pytest.approx(0.1 * colour.std(), rel=0.15)

    wide = replace(plain, magnification=1.1, confluence=2).arranged(BY_NAME["fl-membrane"].layout)
    assert wide.diameter == pytest.approx(33)
    assert wide.cover == 0.95


def test_images_too_small_for_the_cells_are_refused(tmp_path, monkeypatch):
    kind = replace(BY_NAME["pc-adherent"], layout=Layout("irregular", 150, 0.26))
    monkeypatch.setattr("cellharness.data.phantom.experiments.EXPERIMENTS", (kind,))
    with pytest.raises(UsageError, match=r"pc-adherent: fewer than 5 cells fit .* larger size"):
        generate(tmp_path, size=128)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 100}, "size must be at least 128, not 100"),
        ({"per_experiment": 0}, "per_experiment must be at least 1"),
        ({"train_per_experiment": -1}, "train_per_experiment must be at least 0"),
        ({"experiments_per_kind": 0}, "experiments_per_kind must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_bad_arguments(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        generate(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", ["round", "rod", "irregular", "tissue"])
def test_cells_are_in_one_piece_and_some_touch(shape):
    layout = Layout(shape, 20 if shape != "rod" else 8, 0.4, elongation=2.0, clustering=0.9)
    labels = place_cells(layout, (200, 220), np.random.default_rng(1))
    assert labels.shape == (200, 220)
    assert 0.25 < (labels > 0).mean() < 0.6
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            assert ndimage.label(labels[box] == number, np.ones((3, 3)))[1] == 1
    beside = (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
    assert beside.any()


def test_unknown_shape():
    with pytest.raises(ValueError, match="'square'; valid are round, rod, irregular, tissue"):
        place_cells(Layout("square", 10, 0.2), (64, 64), np.random.default_rng(0))


def disc(size: int = 160, radius: int = 20) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - size // 2
    return (np.hypot(rows, columns) <= radius).astype(np.int32)


def test_anatomy_of_a_disc():
    anatomy = build_anatomy(disc(), np.random.default_rng(0), nucleus=0.5)
    assert anatomy.count == 1
    assert anatomy.edge.max() == pytest.approx(20, abs=1.5)
    assert anatomy.depth.max() == 1
    assert set(np.unique(anatomy.nucleus)) == {0, 1}
    assert (anatomy.labels[anatomy.nucleus > 0] == 1).all()
    assert anatomy.each(np.array([7.0]))[80, 80] == 7
    assert anatomy.each(np.array([7.0]))[0, 0] == 0


def test_absorption_follows_beer_and_lambert():
    amount = np.full((64, 64), 0.4)

    def transmitted(dose: float) -> np.ndarray:
        picture = brightfield._expose(
            [(brightfield.HAEMATOXYLIN, dose * amount)], np.random.default_rng(0), tint=(1, 1, 1)
        )
        return picture[24:40, 24:40].mean(axis=(0, 1)) / 255

    clear, once, twice = transmitted(0), transmitted(1), transmitted(2)
    expected = 10.0 ** (-0.4 * brightfield.HAEMATOXYLIN)
    np.testing.assert_allclose(once / clear, expected, atol=0.03)
    np.testing.assert_allclose(twice / clear, expected**2, atol=0.03)


def test_point_spread_keeps_the_light_and_blurs():
    emitted = np.zeros((201, 201))
    emitted[100, 100] = 1
    seen = fluorescence.point_spread(emitted, focus=1.5, haze=0.2)
    assert seen.sum() == pytest.approx(1, rel=1e-3)
    assert seen.max() < 0.1


def test_phase_ring_gives_dark_cell_and_bright_halo():
    delay = ndimage.gaussian_filter(0.5 * disc().astype(float), 1.5)
    seen = phase_contrast.through_phase_ring(delay, ring=0.012, dimming=0.45)
    assert seen[5, 5] == pytest.approx(1, abs=0.05)
    rows, columns = np.mgrid[:160, :160] - 80
    distance = np.hypot(rows, columns)
    assert seen[distance < 17].mean() < 0.8
    near, far = (distance > 23) & (distance < 28), (distance > 60) & (distance < 75)
    assert seen[near].mean() > seen[far].mean() + 0.1
    # Shade-off: the middle of a wide cell is closer to the background than its margin.
    wide = 0.5 * disc(320, 80).astype(float)
    seen = phase_contrast.through_phase_ring(wide, ring=0.012, dimming=0.45)
    assert seen[160, 160] > seen[160, 160 + 74] + 0.1


def test_shear_shows_slopes_along_its_direction_only():
    ramp = np.tile(np.linspace(0, 3, 64), (64, 1))
    flat = dic.sheared(np.zeros((64, 64)), angle=0.0, shear=1.5, bias=1.2)
    along = dic.sheared(ramp, angle=0.0, shear=1.5, bias=1.2)
    across = dic.sheared(ramp, angle=np.pi / 2, shear=1.5, bias=1.2)
    back = dic.sheared(-ramp, angle=0.0, shear=1.5, bias=1.2)
    middle = (slice(20, 44), slice(20, 44))
    np.testing.assert_allclose(across[middle], flat[middle], atol=1e-9)
    step = along[middle].mean() - flat[middle].mean()
    assert abs(step) > 0.02
    assert back[middle].mean() - flat[middle].mean() == pytest.approx(-step, rel=0.1)


@pytest.mark.parametrize("name", ["notes.txt", "images/holiday.png", "manifest.csv"])
def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("case,image\nmine,mine.png\n")
    with pytest.raises(UsageError, match=f"is not empty: it holds {name.split('/')[0]}"):
        generate(tmp_path, per_experiment=1, overwrite=False)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
