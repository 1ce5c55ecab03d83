from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cellharness.cli.application import app
from cellharness.comparing import SourceError


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    cases = [f"case_{i:02d}" for i in range(20)]
    f1 = rng.uniform(0.2, 0.8, 20)
    pd.DataFrame({"case": cases, "f1": f1}).to_csv(tmp_path / "ours.csv", index=False)
    official = pd.DataFrame({"names": [f"{c}_label.tiff" for c in cases], "F1": f1 + 0.1})
    official.to_csv(tmp_path / "theirs-0.5.csv", index=False)
    return tmp_path


def test_two_bare_tables_are_compared_and_written(files):
    out = files / "out"
    arguments = ["compare", str(files / "ours.csv"), str(files / "theirs-0.5.csv")]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "−0.100" in result.output
    assert "lower" in result.output
    assert {path.name for path in out.iterdir()} == {
        ".cellharness.sha256",
        ".cellharness.sha256.lock",
        *(
            f"{name}.{kind}"
            for name in ("methods", "pairs", "ranks")
            for kind in ("csv", "md", "tex")
        ),
    }
    pair = pd.read_csv(out / "pairs.csv").iloc[0]
    assert (pair["method"], pair["other"], pair["n_images"]) == ("ours", "theirs", 20)
    assert pair["estimate"] == pytest.approx(-0.1)
    assert pair["p"] < 1e-4
    ranks = pd.read_csv(out / "ranks.csv").set_index(["scheme", "method"])["rank"]
    assert ranks["mean-then-rank", "theirs"] == 1


def test_an_unknown_baseline_is_named(files):
    arguments = ["compare", str(files / "ours.csv"), str(files / "theirs-0.5.csv")]
    result = CliRunner().invoke(app, [*arguments, "--baseline", "mine"])
    assert isinstance(result.exception, SourceError)
    assert "no method 'mine'" in str(result.exception)


def test_help_has_examples():
    result = CliRunner().invoke(app, ["compare", "--help"])
    assert "cellharness compare runs/mini runs/mini-baselines" in result.output
