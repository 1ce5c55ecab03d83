"""Cases for training: chosen, held back, read, or refused by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from cellharness.config.references import resolve_references
from cellharness.data.manifest import Manifest
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.run_directory import RunDirectory, referenced
from cellharness.training.samples import LabelledCases, TrainingDataError, each, read_labelled
from cellharness.training.sets import hold_back


@pytest.fixture
def cases(small_manifest):
    return list(Manifest.read(small_manifest).cases)


def test_every_modality_gives_its_share(cases):
    train, validation = hold_back(cases, 0.3, seed=1)
    assert Counter(case.modality for case in validation) == {"DIC": 1, "Fluorescent": 1}
    assert {case.case for case in train} | {case.case for case in validation} == {
        case.case for case in cases
    }
    assert not set(train) & set(validation)


def test_the_same_seed_holds_back_the_same_cases_whatever_their_order(cases):
    def held(given, seed):
        return {case.case for case in hold_back(given, 0.3, seed)[1]}

    assert held(cases, 1) == held(cases[::-1], 1)
    assert len({frozenset(held(cases, seed)) for seed in range(20)}) > 1


def test_a_single_case_of_a_modality_is_learned_from(cases):
    train, validation = hold_back(cases[:1], 0.9, seed=0)
    assert (len(train), len(validation)) == (1, 0)
    assert hold_back(cases, 0.0, seed=0)[1] == []


@pytest.mark.parametrize(
    ("fraction", "n", "held"),
    [(0.07, 100, 7), (0.14, 50, 7), (0.28, 25, 7), (0.15, 20, 3), (0.15, 7, 2), (0.01, 3, 1)],
)
def test_a_share_is_rounded_up_only_where_it_is_no_whole_number(cases, fraction, n, held):
    many = [replace(cases[0], case=f"case_{number:03}") for number in range(n)]
    assert len(hold_back(many, fraction, seed=0)[1]) == held


def test_images_come_as_float32_with_their_labels(cases):
    sample = read_labelled(cases[:1], "gray_max")[0]
    assert sample.image.dtype == np.float32
    assert sample.image.shape == sample.labels.shape
    assert sample.n_cells == 9


def test_all_unusable_cases_are_named_at_once(cases, tmp_path):
    tifffile.imwrite(tmp_path / "small.tiff", np.ones((5, 5), np.uint8))
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    faulty = [
        replace(cases[0], label=None),
        replace(cases[1], label=tmp_path / "small.tiff"),
        replace(cases[2], image=tmp_path / "broken.tif"),
        cases[3],
    ]
    for read in (
        lambda: read_labelled(faulty, "gray_max"),
        lambda: each(LabelledCases(faulty, "gray_max"), lambda sample: sample.n_cells),
    ):
        with pytest.raises(TrainingDataError) as caught:
            read()
        message = str(caught.value)
        assert "3 of 4 training cases" in message
        assert "case_0: it has no label image" in message
        assert "case_1: image (96, 112) and label (5, 5) differ" in message
        assert "case_2" in message
        assert "case_3" not in message


def test_images_that_are_read_when_asked_for_are_the_same(cases):
    lazy = LabelledCases(cases, "gray_max")
    assert len(lazy) == len(cases)
    for one, other in zip(lazy[1:3], read_labelled(cases[1:3], "gray_max"), strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.labels, other.labels)
    told = []
    found = each(lazy, lambda sample: sample.case.case, lambda done, n: told.append((done, n)))
    assert found == [case.case for case in cases]
    assert told == [(n + 1, len(cases)) for n in range(len(cases))]


def test_an_image_that_is_not_the_listed_one_is_named(cases):
    right = hash_file(cases[0].image)
    listed = [replace(cases[0], sha256=right), replace(cases[1], sha256=right)]
    with pytest.raises(TrainingDataError, match="1 of 2") as caught:
        read_labelled(listed, "gray_max")
    message = str(caught.value)
    assert f"case_1: the image 'case_1.tif' has SHA256 {hash_file(cases[1].image)}" in message
    assert f"the manifest says {right}" in message


def test_trained_weights_are_named_by_training_and_epoch(tmp_path):
    results = {"a": "checkpoints/best.pt"}

    def path(value):
        replaced = resolve_references(
            {"weights": value, "n": 3}, RunDirectory(tmp_path), ["a", "b"], results
        )
        assert replaced["n"] == 3
        return replaced["weights"]

    folder = tmp_path / "training"
    assert path("trained:a") == str(folder / "a/checkpoints/best.pt")
    assert path("trained:b") == str(folder / "b/checkpoints/last.pt")
    assert path("trained:a@40") == str(folder / "a/checkpoints/epoch-0040.pt")
    assert path("trained:a@last") == str(folder / "a/checkpoints/last.pt")
    assert path("cyto") == "cyto"
    assert referenced({"weights": "trained:a@40", "other": 1}) == {"a"}
    with pytest.raises(UsageError, match=r"unknown training 'c'.*Valid: a, b"):
        path("trained:c")
    with pytest.raises(UsageError, match=r"trained:NAME@EPOCH"):
        path("trained:a@soon")
