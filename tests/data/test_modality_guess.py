from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from cellharness.data.images import UnsupportedImageError, read_image
from cellharness.data.manifest import Case, Manifest
from cellharness.data.modality_guess import guess_modality, measure_cues, with_guessed_modalities
from cellharness.data.validation import validate
from cellharness.errors import UsageError
from cellharness.vocabulary import MODALITIES


def discs(size: int = 200) -> np.ndarray:
    """Soft discs on a grid, 0..1."""
    rows, columns = np.mgrid[:size, :size]
    distance = np.hypot(rows % 50 - 25, columns % 50 - 25)
    return np.clip(14 - distance, 0, 4) / 4


def test_a_plain_picture_of_each_modality():
    cells = discs()
    stained = 240 - cells[..., None] * np.array([60.0, 140.0, 40.0])
    emitted = cells[..., None] * np.array([0.0, 200.0, 10.0])
    shear = np.gradient(cells, axis=1) + 0.3 * np.clip(np.gradient(cells, axis=1), 0, None)
    ring = np.clip(1 - np.abs(cells - 0.1) / 0.1, 0, 1)
    made = {
        "Brightfield": [stained, 220 - 150 * cells],
        "Fluorescent": [emitted, 300 + 4000 * cells],
        "DIC": [128 + 200 * shear],
        "Phase-contrast": [100 + 60 * ring - 50 * cells],
    }
    noise = np.random.default_rng(0)
    for modality, pictures in made.items():
        for picture in pictures:
            noisy = picture + noise.normal(0, picture.max() / 100, picture.shape)
            guessed, reason = guess_modality(np.clip(noisy, 0, None))
            assert guessed == modality, reason
            assert reason


def test_cues_do_not_depend_on_the_unit():
    image = discs() * 90 + 20
    first, scaled = measure_cues(image), measure_cues((image * 200).astype(np.uint16))
    assert scaled.background == pytest.approx(first.background, abs=0.02)
    assert scaled.directional == pytest.approx(first.directional, abs=0.01)
    assert scaled.dark_tail == pytest.approx(first.dark_tail, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3, 2), (40, 40, 2), (30, 30, 3)])
def test_odd_sizes_and_constant_images_get_a_guess(shape):
    assert guess_modality(np.full(shape, 9, np.uint8))[0] in MODALITIES


def test_non_finite_images_are_refused():
    with pytest.raises(UnsupportedImageError, match="NaN"):
        guess_modality(np.full((20, 20), np.nan))


def test_only_empty_modalities_are_filled_and_marked(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", (300 + 4000 * discs()).astype(np.uint16))
    empty = Case("a", tmp_path / "a.tif", None, None, "", "e", "test", "")
    given = replace(empty, case="b", modality="DIC", modality_source="given")
    broken = replace(empty, case="c", image=tmp_path / "absent.tif")
    manifest = Manifest((empty, given, broken), tmp_path)
    steps = []
    filled = with_guessed_modalities(manifest, progress=lambda *n: steps.append(n))
    assert [(c.modality, c.modality_source) for c in filled.cases] == [
        ("Fluorescent", "guessed"),
        ("DIC", "given"),
        (None, ""),
    ]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert manifest.cases[0].modality is None
    assert with_guessed_modalities(filled).cases[0].modality_source == "guessed"


def test_accuracy_on_real_test_images_is_what_the_docstring_says(realdata):
    cases = realdata.select(splits=["test"]).cases
    wrong = [c.case for c in cases if guess_modality(read_image(c.image))[0] != c.modality]
    assert len(cases) == 39
    assert wrong == ["cell_00079", "cell_00142"]


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        ("sribdmed-paper", {"Brightfield": 11, "Fluorescent": 2, "Phase-contrast": 8, "DIC": 0}),
        ("sribdmed-code", {"Brightfield": 11, "Fluorescent": 0, "Phase-contrast": 8, "DIC": 4}),
    ],
)
def test_colour_classes_are_as_poor_modalities_as_the_docstring_says(realdata, rule, right):
    found = dict.fromkeys(right, 0)
    for case in realdata.select(splits=["test"]).cases:
        guessed, reason = guess_modality(read_image(case.image), rule)
        assert rule in reason
        found[case.modality] += guessed == case.modality
    assert found == right


def test_another_rule_is_named_in_a_column_and_survives_writing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", (300 + 4000 * discs()).astype(np.uint16))
    empty = Case("a", tmp_path / "a.tif", None, None, "", "e", "test", "")
    given = replace(empty, case="b", modality="DIC", modality_source="given")
    manifest = Manifest((empty, given), tmp_path)
    with_guessed_modalities(manifest, rule="sribdmed-code").write(tmp_path / "guessed.csv")
    first, second = Manifest.read(tmp_path / "guessed.csv").cases
    assert (first.modality, first.modality_source) == ("Phase-contrast", "guessed")
    assert dict(first.extra)["modality_rule"] == "sribdmed-code"
    assert not dict(second.extra).get("modality_rule")
    notes = [each.message for each in validate(Manifest.read(tmp_path / "guessed.csv")).findings]
    assert any("guessed by a rule (sribdmed-code)" in note for note in notes)
    assert "modality_rule" not in dict(with_guessed_modalities(manifest).cases[0].extra)


def test_an_unknown_rule_is_refused(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'sribdmed-code'"):
        with_guessed_modalities(Manifest((), tmp_path), rule="sribdmed-cod")
