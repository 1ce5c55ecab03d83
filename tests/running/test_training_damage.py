"""Trainings of a run whose files were damaged or renamed."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")

from damage_maker import SPOILT, TRAINING, Again, finish, trained_method

from cellharness.errors import UsageError

pytestmark = pytest.mark.slow
spoilt = pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("finished")
    return finish(base, [TRAINING], [trained_method(base)])


@pytest.fixture
def again(finished, tmp_path):
    return Again(finished, tmp_path, [TRAINING], [trained_method(finished)])


@spoilt
def test_a_broken_record_of_a_training_is_taken_from_the_head(again, spoil):
    record = again.run / "training" / "grey" / "training.json"
    before = record.read_bytes()
    spoil(record)
    again.resume()
    again.assert_nothing_was_made_again()
    assert again.notes.trained == [("ok", True)]
    assert json.loads(record.read_text()) == json.loads(before)


def test_a_broken_record_without_a_head_is_refused_and_the_weights_stay(again):
    record = again.run / "training" / "grey" / "training.json"
    SPOILT["cut"](record)
    (again.run / "run.json").unlink()
    weights = record.parent / "checkpoints" / "last.pt"
    before = weights.read_bytes()
    with pytest.raises(UsageError, match=r"training\.json' is empty or cut.*rename"):
        again.resume()
    assert weights.read_bytes() == before


@spoilt
def test_the_last_checkpoint_is_made_again_from_the_state_to_the_byte(again, spoil):
    weights = again.run / "training" / "grey" / "checkpoints" / "last.pt"
    before = weights.read_bytes()
    spoil(weights)
    again.resume()
    assert weights.read_bytes() == before
    again.assert_nothing_was_made_again()
    assert again.notes.trained == [("ok", False)]


@spoilt
def test_an_earlier_checkpoint_that_was_cut_is_refused_by_name(again, spoil):
    weights = again.run / "training" / "grey" / "checkpoints" / "epoch-0002.pt"
    spoil(weights)
    with pytest.raises(UsageError, match=r"epoch-0002\.pt' is not as its training left it"):
        again.resume()
    weights.unlink()
    with pytest.raises(UsageError, match=r"epoch-0002\.pt' is gone.*Put it back"):
        again.resume()


def test_a_training_whose_folder_was_renamed_for_a_broken_checkpoint_is_done_anew(again):
    folder = again.run / "training" / "grey"
    SPOILT["cut"](folder / "checkpoints" / "epoch-0002.pt")
    with pytest.raises(UsageError, match="or rename the folder"):
        again.resume()
    folder.rename(folder.with_name("grey-broken"))
    again.resume()
    assert again.notes.trained == [("ok", False)]
    assert folder.with_name("grey-broken").is_dir()


@spoilt
def test_the_state_of_a_training_that_was_cut_off_is_refused_with_a_remedy(again, spoil):
    folder = again.run / "training" / "grey"
    record = json.loads((folder / "training.json").read_text())
    record |= {"status": "running", "checkpoint": "", "sha256": {}}
    (folder / "training.json").write_text(json.dumps(record))
    (folder / "checkpoints" / "last.pt").unlink()
    spoil(folder / "state.pt")
    masks = {path: path.read_bytes() for path in again.run.glob("predictions/*/*")}
    result = again.resume()
    assert result.statuses["t"] == {"error": 3}
    assert {path: path.read_bytes() for path in again.run.glob("predictions/*/*")} == masks
    assert "state.pt', from which the training goes on, is empty, cut" in result.messages["t"]
    (folder / "state.pt").unlink()
    assert again.resume().statuses["t"] == {"ok": 3}
    assert again.notes.trained == [("ok", False)]
    # The same weights came of it.
    again.assert_nothing_was_made_again()


def test_a_state_is_not_read_once_a_training_is_finished(again):
    SPOILT["cut"](again.run / "training" / "grey" / "state.pt")
    again.resume()
    again.assert_nothing_was_made_again()


def test_a_training_with_a_new_name_keeps_its_weights(again):
    before = (again.run / "training" / "grey" / "checkpoints" / "last.pt").read_bytes()
    again.resume(
        training=[{**TRAINING, "name": "gray"}],
        methods=[trained_method(again.base, weights="trained:gray")],
    )
    assert again.notes.trained == [("ok", True)]
    moved = again.run / "training" / "gray"
    assert (moved / "checkpoints" / "last.pt").read_bytes() == before
    assert not (again.run / "training" / "grey").exists()
