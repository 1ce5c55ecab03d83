from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from cellharness.config.paths import absolute_parameters
from cellharness.config.reading import BasedConfig


class OwnParameters(BaseModel):
    one: Path
    perhaps: Path | None = None
    noted: Annotated[Path, Field(description="x")] | None = None
    several: tuple[Path, ...] = ()
    name_or_path: str | Path = ""
    weights: str = ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"one": "masks"}, {"one": "/base/masks"}),
        ({"one": Path("masks")}, {"one": "/base/masks"}),
        ({"one": "/elsewhere"}, {"one": "/elsewhere"}),
        ({"perhaps": "a/b"}, {"perhaps": "/base/a/b"}),
        ({"perhaps": None}, {"perhaps": None}),
        ({"noted": "a"}, {"noted": "/base/a"}),
        ({"several": ["a", "b"]}, {"several": ["/base/a", "/base/b"]}),
        ({"name_or_path": "cyto", "weights": "cyto"}, {"name_or_path": "cyto", "weights": "cyto"}),
        ({"one": 3, "unknown": "x"}, {"one": 3, "unknown": "x"}),
    ],
)
def test_what_is_a_path_starts_at_the_base(given, expected):
    assert absolute_parameters(OwnParameters, given, Path("/base").joinpath) == expected


def test_a_link_at_the_end_of_a_path_is_not_followed(tmp_path):
    """The python of an environment is a link, and without it the packages are not found."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "python3").touch()
    (tmp_path / "environment").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "python").symlink_to("python3")
    config = BasedConfig(base=tmp_path / "configs")
    found = config.resolve(Path("../environment/python"))
    assert found == tmp_path.resolve() / "real" / "python"
    assert config.resolve(Path("..")) == tmp_path.resolve()
