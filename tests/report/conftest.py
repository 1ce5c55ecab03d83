from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from run_maker import RunMaker


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    return RunMaker(tmp_path)
