"""``docs/methods.md`` is what the methods and weights say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellharness.methods.catalogue import page
from cellharness.methods.registry import built_in_methods, built_in_weights

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "methods.md"


def test_the_page_is_current():
    remedy = "make it anew with: cellharness methods --markdown > docs/methods.md"
    assert _PAGE.read_text(encoding="utf-8") == page(), remedy


@pytest.mark.parametrize("name", sorted(built_in_methods()))
def test_every_method_says_what_a_reader_must_know(name):
    info = built_in_methods()[name]().info
    assert info.summary.endswith(".")
    assert info.licence
    assert info.limits.endswith(".")
    # What is of nobody in particular has nobody to cite.
    assert info.citation or name in ("command", "precomputed")


@pytest.mark.parametrize("name", sorted(built_in_weights()))
def test_all_weights_say_what_a_reader_must_know(name):
    source = built_in_weights()[name]()
    assert source.name == name
    assert source.licence
    assert source.training_data
    assert source.source
