from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import cellharness_adapters
from cellharness.errors import BrokenPackageError, MissingDependencyError, UsageError
from cellharness.methods import registry
from cellharness.methods.base import BaseSegmenter


@pytest.mark.parametrize("name", sorted(cellharness_adapters.METHODS))
def test_every_method_says_what_it_is(name):
    cls = registry.method_class(name)
    assert issubclass(cls, BaseSegmenter)
    assert cls.info.summary.endswith(".")
    assert cls.info.licence
    assert cls.info.input in ("gray_max", "gray", "native")
    for option, field in cls.Parameters.model_fields.items():
        assert field.description, f"{name}.{option} has no description"


@pytest.mark.parametrize("name", sorted(cellharness_adapters.WEIGHTS))
def test_every_weight_source_says_where_it_comes_from(name):
    source = registry.weight_source(name)
    assert source.name == name
    assert source.source
    assert source.licence
    assert source.training_data


def test_looking_at_methods_loads_neither_torch_nor_cellpose():
    code = (
        "import sys; from cellharness.methods.registry import build, method_names, method_class\n"
        "[method_class(n) for n in method_names()]; build('cellpose', {'weights': 'cyto'})\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'cellpose')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_names_and_options_are_named_with_the_valid_ones():
    with pytest.raises(UsageError, match=r"unknown method 'celpose'. Did you mean 'cellpose'\?"):
        registry.method_class("celpose")
    with pytest.raises(UsageError, match=r"unknown weights 'cyto22'.*Valid: .*cyto, cyto2"):
        registry.weight_source("cyto22")
    with pytest.raises(UsageError, match=r"diamter: unknown key. Did you mean 'diameter'\?"):
        registry.build("cellpose", {"diamter": 30})
    with pytest.raises(UsageError, match="greater than 0"):
        registry.build("cellpose", {"diameter": -3})


def test_a_missing_package_says_how_to_install_it(monkeypatch, installed):
    source = "import no_such_package.part"
    installed(source, {"cellharness.methods": {"lost": "Lost"}, "cellharness.weights": {"w": "W"}})
    for look in (registry.method_class, registry.weight_source):
        name = "lost" if look is registry.method_class else "w"
        with pytest.raises(MissingDependencyError, match=f"'{name}' .*provides .*no_such_package"):
            look(name)
    # An extra is named only where this copy has one of that name.
    for folder, hint in (("cellpose", r"\[cellpose\]'"), ("absent", "No module named")):
        target = f"cellharness_adapters.{folder}.nowhere:Lost"
        monkeypatch.setitem(cellharness_adapters.METHODS, "away", target)
        with pytest.raises(MissingDependencyError, match=hint) as failure:
            registry.method_class("away")
        assert "[absent]" not in str(failure.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("other = 1", "AttributeError.*mend or reinstall"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('wrong driver')", "RuntimeError: wrong driver"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("class Bad: pass", "must be a class with an `info` that derives from .*BaseSegmenter"),
        ("Bad = 3", "is no method"),
    ],
)
def test_a_broken_package_is_told_from_a_missing_one(installed, source, message):
    installed(source, {"cellharness.methods": {"bad": "Bad"}})
    with pytest.raises(BrokenPackageError, match=message):
        registry.method_class("bad")


def test_a_method_that_cannot_be_made_is_a_broken_one(installed):
    source = """
        from cellharness.methods.base import BaseSegmenter, MethodInfo

        class Bad(BaseSegmenter):
            info = MethodInfo(summary="Breaks.", licence="MIT")

            def __init__(self, parameters=None):
                raise ValueError("not today")

            def segment(self, image):
                return image
    """
    installed(source, {"cellharness.methods": {"bad": "Bad"}})
    with pytest.raises(BrokenPackageError, match="cannot be made: ValueError: not today"):
        registry.build("bad", {})


def test_a_name_that_two_packages_claim_is_an_error(monkeypatch):
    class Point:
        name, value = "cellpose", "elsewhere:Cellpose"

    monkeypatch.setattr(registry, "entry_points", lambda **_: [Point()])
    with pytest.raises(UsageError, match="claimed by both"):
        registry.method_names()


def test_a_third_party_package_adds_a_method_with_one_file_and_one_entry_point(tmp_path):
    """Acceptance: a throw-away package, really installed, shows up and segments."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        textwrap.dedent("""
        [build-system]
        requires = ["setuptools"]
        build-backend = "setuptools.build_meta"
        [project]
        name = "throwaway-method"
        version = "1.0"
        [project.entry-points."cellharness.methods"]
        throwaway = "throwaway:Throwaway"
        [tool.setuptools]
        py-modules = ["throwaway"]
        """)
    )
    (package / "throwaway.py").write_text(
        textwrap.dedent("""
        import numpy as np
        from pydantic import Field
        from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters

        class OwnParameters(Parameters):
            level: float = Field(100, description="Grey value above which a pixel is cell.")

        class Throwaway(BaseSegmenter):
            info = MethodInfo(summary="One cell.", licence="MIT", input="gray")
            Parameters = OwnParameters

            def segment(self, image):
                return (image > self.parameters.level).astype(np.uint8)
        """)
    )
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*install, "--target", str(site), str(package)], check=True, capture_output=True)
    images = tmp_path / "images"
    images.mkdir()
    np.save(images / "one.npy", np.pad(np.full((20, 20), 200, np.uint8), 10))
    code = "import sys; from cellharness.cli import main; main(sys.argv[1:])"
    arguments = ["predict", "--method", "throwaway", "--images", str(images)]
    arguments += ["--out", str(tmp_path / "masks"), "--set", "level=150"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
    from cellharness.data.images import read_label

    assert np.count_nonzero(read_label(tmp_path / "masks" / "one_label.tiff")) == 400
    note = json.loads((tmp_path / "masks" / "provenance.json").read_text())
    assert note["parameters"] == {"level": 150}
