from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from cellharness.config.paths import absolute_parameters


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
