"""Whatever is typed wrongly: the message says what was meant."""

from __future__ import annotations

import json

import pytest
import yaml

from cellharness.cli import main
from cellharness.errors import UsageError, unknown_name
from cellharness.methods import doctor, registry


@pytest.fixture
def places(small_manifest, tmp_path):
    """Paths for the commands: a configuration with a slip, scores, a run directory."""
    folder = small_manifest.parent
    config = {
        "name": "try",
        "dataset": {"manifest": "manifest.csv"},
        "methods": [{"name": "otsu", "method": "otsu-watershed"}],
    }

    def slip(name, **more):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**config, **more}))

    slip("modality", dataset={"manifest": "manifest.csv", "modalities": ["Flourescent"]})
    slip("key", scorring={})
    slip("method", methods=[{"name": "o", "method": "otsu-watersheds"}])
    slip("value", methods=[{"name": "o", "method": "otsu-watershed", "input": "gray-max"}])
    slip("parameter", methods=[{"name": "o", "method": "otsu-watershed",
                                "parameters": {"polarity": "brigth"}}])  # fmt: skip
    slip("profile", scoring={"profiles": ["strickt"]})
    slip("training", training=[{"name": "grey", "method": "dummy-trained", "splits": ["train"]}])
    for number in (1, 2):
        rows = "".join(f"c{case},0.{case}\n" for case in range(1, 9))
        (folder / f"team{number}.csv").write_text(f"case,f1\n{rows}")
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"methods": [{"name": "otsu", "label": "Otsu"}],
                                              "dataset": {"root": str(folder)}}))  # fmt: skip
    (run / "manifest.csv").write_bytes(small_manifest.read_bytes())
    return {"data": folder, "run": run, "out": tmp_path / "out"}


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("predikt", "predict"),
        ("data valdate", "validate"),
        ("run {data}/key.yaml --resum", "--resume"),
        ("predict --images {data}/images --out {out} --method otsu-watersheds", "otsu-watershed"),
        ("predict --images {data}/images --out {out} --method Otsu-Watershed", "otsu-watershed"),
        ("predict --images {data}/images --out {out} --method otsu-watershed --overlay",
         "--overlays"),
        ("predict --images {data}/images --out {out} --method otsu-watershed --set sigmma=3",
         "sigma"),
        ("predict --images {data}/images --out {out} --method otsu-watershed "
         "--set polarity=brigth", "bright"),
        ("predict --images {data}/images --out {out} --method otsu-watershed --input grey_max",
         "gray_max"),
        ("predict --images {data}/images --out {out} --method cellpose --set weights=CYTO4",
         "cyto"),
        ("methods celpose", "cellpose"),
        ("weights fetch cyto22", "cyto2"),
        ("run {data}/key.yaml --out {out}", "scoring"),
        ("run {data}/method.yaml --out {out}", "otsu-watershed"),
        ("run {data}/value.yaml --out {out}", "gray_max"),
        ("run {data}/parameter.yaml --out {out}", "bright"),
        ("run {data}/profile.yaml --out {out}", "strict"),
        ("run {data}/modality.yaml --out {out} --dry-run", "Fluorescent"),
        ("train {data}/training.yaml --out {out} --only gray", "grey"),
        ("score --gt {data}/labels --pred {data}/labels --profile strikt", "strict"),
        ("compare {data}/team1.csv {data}/team2.csv --metric precison", "precision"),
        ("compare {data}/team1.csv {data}/team2.csv --unit images", "image"),
        ("compare {data}/team1.csv {data}/team2.csv --baseline Team1", "team1"),
        ("data new --images {data}/images --out {out}/m.csv --modality flourescent",
         "Fluorescent"),
        ("data download --out {out} --part Tunning", "Tuning"),
        ("view {run} case_33", "case_3"),
        ("view {run} case_3 --method otsuu", "otsu"),
    ],
)  # fmt: skip
def test_every_slip_is_answered_with_what_was_meant(places, command, meant, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(command.format(**places).split())
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.replace("\u2502", " ").split())
    asked = said.partition("Did you mean ")[2] or said.partition("Possible options: ")[2]
    assert asked.lstrip("'").startswith(meant), said


def test_methods_for_tests_are_neither_proposed_nor_listed(capsys):
    assert "dummy-threshold" in registry.method_names()
    with pytest.raises(UsageError) as refused:
        registry.method_class("dummy-treshold")
    assert "dummy" not in str(refused.value).partition(".")[2]
    assert not [each for each in doctor._methods() if "dummy" in each.subject]
    with pytest.raises(SystemExit):
        main(["methods"])
    assert "dummy" not in capsys.readouterr().out


def test_of_very_many_names_the_first_are_listed():
    message = str(unknown_name("case", "case_0100", [f"case_{n:04d}" for n in range(1000)][101:]))
    assert "Did you mean 'case_" in message
    assert "... (899 in all)." in message
    assert len(message) < 600
