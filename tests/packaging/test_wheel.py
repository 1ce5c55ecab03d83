"""The wheel works where there is neither the checkout nor torch."""

from __future__ import annotations

import csv
import shutil
import zipfile

import pytest

pytestmark = pytest.mark.slow


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def call(environment):
    """Call a command there; give what it printed."""

    def called(*args, code=0):
        done = environment.cellharness(*args)
        text = done.stdout + done.stderr
        assert "Traceback" not in text, text
        assert done.returncode == code, text
        return text

    return called


@pytest.fixture(scope="module")
def project(call, environment):
    """A folder made by ``cellharness init``, its manifest that of synthetic images."""
    folder = environment.folder / "project"
    call("init", folder)
    call("data", "phantom", "--out", folder / "phantom", "--per-experiment", 1)
    (folder / "manifest.csv").unlink()
    own = folder / "configs" / "own.yaml"
    text = own.read_text().replace("../manifest.csv", "../phantom/manifest.csv")
    # Every process that scores would compile the loops anew here.
    own.write_text(f"{text}\nscoring: {{workers: 1, thresholds: [0.5, 0.7]}}\n")
    return folder


@pytest.fixture(scope="module")
def finished(call, project):
    """The run of the starter configuration, on two images."""
    run = project / "runs" / "own"
    call("run", project / "configs" / "own.yaml", "--limit", 2, "--out", run)
    return run


@pytest.fixture(scope="module")
def labels(project, finished):
    """A folder with the labels of those cases that the run has masks of."""
    folder = project / "labels"
    folder.mkdir()
    with (project / "phantom" / "manifest.csv").open(newline="") as file:
        paths = {f"{row['case']}_label.tiff": row["label"] for row in csv.DictReader(file)}
    for mask in (finished / "predictions" / "otsu-watershed").glob("*.tiff"):
        shutil.copy(project / "phantom" / paths[mask.name], folder / mask.name)
    return folder


def test_the_wheel_holds_two_packages_and_no_other(wheel):
    top = {name.partition("/")[0] for name in names_in(wheel)}
    packages = {name for name in top if not name.endswith(".dist-info")}
    assert packages == {"cellharness", "cellharness_adapters"}
    assert len(top) == len(packages) + 1


def test_every_file_of_the_two_packages_is_in_the_wheel(wheel, source):
    expected = {
        path.relative_to(source / root).as_posix()
        for root in ("harness", "adapters")
        for path in (source / root).rglob("*")
        if path.is_file() and not path.parent.name.endswith(".egg-info")
    }
    expected |= {
        f"cellharness/config/shipped/{path.name}" for path in (source / "configs").glob("*")
    }
    assert expected == {name for name in names_in(wheel) if ".dist-info/" not in name}


def test_the_source_distribution_gives_the_same_wheel(wheel, wheel_of_source_distribution):
    assert names_in(wheel) == names_in(wheel_of_source_distribution)


def test_torch_is_absent_and_foreign_packages_of_the_folders_names_are_not(environment):
    code = (
        "import adapters, harness, cellharness, cellharness_adapters\n"
        "import importlib.util as found\n"
        "assert found.find_spec('torch') is None\n"
        "print(adapters.whose, harness.whose, cellharness.__file__, cellharness_adapters.__file__)"
    )
    done = environment.run(environment.python, "-c", code)
    assert done.returncode == 0, done.stderr
    adapters, harness, *files = done.stdout.split()
    assert adapters == harness == "foreign"
    assert all(path.startswith(str(environment.path)) for path in files)


def test_run_and_report(call, finished):
    report = finished / "report"
    assert (report / "explore.html").is_file()
    shutil.rmtree(report)
    assert "Report:" in call("report", finished)
    assert "Otsu + watershed" in (report / "index.html").read_text()


def test_predict(call, project, labels):
    masks = project / "masks"
    images = project / "phantom" / "images"
    call("predict", "--method", "otsu-watershed", "--images", images, "--out", masks)
    assert {path.name for path in labels.iterdir()} <= {path.name for path in masks.iterdir()}


def test_score_and_compare(call, project, finished, labels):
    masks, table = finished / "predictions" / "otsu-watershed", project / "scores.csv"
    arguments = ("--gt", labels, "--pred", masks, "--profile", "strict", "--out", table)
    assert "median F1" in call("score", *arguments)
    out = project / "comparison"
    call("compare", finished, table, "--out", out)
    assert list(out.glob("*.csv"))


def test_data_commands(call, project):
    manifest = project / "phantom" / "manifest.csv"
    assert "0 error(s)" in call("data", "validate", manifest)
    challenge = project / "challenge"
    shutil.copytree(project / "phantom" / "images", challenge / "Tuning" / "images")
    call("data", "import", challenge, "--out", challenge / "manifest.csv")
    assert (challenge / "manifest.csv").is_file()
    # An unknown part is refused before anything is fetched.
    wrong = ("data", "download", "--out", project / "archives", "--part", "Tunning")
    assert "Did you mean 'Tuning'?" in call(*wrong, code=2)


def test_methods_and_weights_are_listed_and_the_doctor_names_what_is_missing(call):
    assert "otsu-watershed" in call("methods")
    assert "sigma" in call("methods", "otsu-watershed")
    assert "cyto" in call("weights", "list")
    text = call("doctor", code=1)
    assert "torch is not installed" in text
    assert "method otsu-watershed: ready" in text
    assert "cellharness[cellpose]" in text


def test_a_method_that_needs_torch_says_what_to_install(call, project):
    arguments = ("--images", project / "phantom" / "images", "--out", project / "none")
    text = call("predict", "--method", "cellpose", *arguments, "--set", "weights=cyto", code=2)
    assert "cellharness[cellpose]" in text
