"""The log of a training survives a kill and a resume."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cellharness.training.log import EpochRecord, ModalityScore, TrainingLog


def record(epoch, **more):
    return EpochRecord(epoch, 10, 0.1, 1.0 / epoch, 2.5, **more)


def test_rows_after_the_last_state_are_written_anew(tmp_path):
    log = TrainingLog(tmp_path)
    for epoch in (1, 2, 3, 4):
        scores = {"all": ModalityScore(2, 0.5, 0.6)} if epoch % 2 == 0 else {}
        log.append(record(epoch, validation_loss=0.3 if scores else None, scores=scores))
    with log.epochs.open("a") as file:
        file.write("5,0.1,0.")  # cut off by a kill
    log.rewind(3)
    epochs = pd.read_csv(log.epochs)
    assert epochs["epoch"].tolist() == [1, 2, 3]
    assert epochs["train_loss"].tolist() == [1.0, 0.5, 1 / 3]
    assert epochs["validation_loss"].notna().tolist() == [False, True, False]
    assert pd.read_csv(log.validation)["epoch"].tolist() == [2]
    log.append(record(4))
    assert pd.read_csv(log.epochs)["epoch"].tolist() == [1, 2, 3, 4]


def test_a_log_that_is_not_there_is_rewound_without_harm(tmp_path):
    TrainingLog(tmp_path).rewind(3)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_or_headless_file_is_as_good_as_none(tmp_path):
    log = TrainingLog(tmp_path)
    log.epochs.touch()
    log.validation.write_text("epoch,mod")  # cut off by a kill
    log.rewind(0)
    log.append(record(1, scores={"all": ModalityScore(2, 0.5, 0.6)}))
    assert pd.read_csv(log.epochs)["epoch"].tolist() == [1]
    assert pd.read_csv(log.validation)["modality"].tolist() == ["all"]


def test_a_kill_while_rewinding_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    log = TrainingLog(tmp_path)
    for epoch in (1, 2):
        log.append(record(epoch))
    before = log.epochs.read_bytes()

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        log.rewind(1)
    assert log.epochs.read_bytes() == before


def test_the_log_knows_what_is_finished(tmp_path):
    log = TrainingLog(tmp_path)
    assert log.finished() == (0, 0.0)
    for epoch in (1, 2, 3):
        log.append(record(epoch))
    with log.epochs.open("a") as file:
        file.write("4,0.1,0.2,,9.")  # cut off by a kill
    assert log.finished() == (3, 7.5)
