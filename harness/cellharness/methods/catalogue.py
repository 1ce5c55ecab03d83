"""All built-in methods and weights on one page, from what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cellharness.methods.registry import built_in_methods, built_in_weights

if TYPE_CHECKING:
    from cellharness.methods.base import BaseSegmenter
    from cellharness.weights import WeightSource

_HEAD = """\
# Methods and weights

What each built-in method and each set of weights says of itself. This page is made of that by
`cellharness methods --markdown`; `cellharness methods NAME` shows a method's parameters. Licences
are of the code for methods and of the files for weights. Training data are names of known data
sets: a report warns where an image under test may come from one of them.
"""


def page() -> str:
    """Write the page, Markdown.

    Raises
    ------
    MissingDependencyError
        A built-in method cannot be imported.
    """
    methods = {name: load() for name, load in built_in_methods().items()}
    weights = {name: load() for name, load in built_in_weights().items()}
    return "\n".join([_HEAD, *_methods(methods), *_weights(weights)])


def _methods(methods: Mapping[str, type[BaseSegmenter]]) -> Iterator[str]:
    yield "## Methods\n"
    for name, method in methods.items():
        info = method.info
        yield f"### {name}\n"
        yield f"{info.summary}\n"
        default = method.Parameters.model_fields.get("weights")
        weights = (
            "" if default is None else "required" if default.is_required() else default.default
        )
        facts = {
            "Citation": info.citation,
            "Licence": info.licence,
            "Home": f"<{info.url}>" if info.url else "",
            "Input": f"`{info.input}`",
            "Weights": f"`{weights}` by default" if weights not in ("", "required") else weights,
            "Training data": ", ".join(info.training_data),
            "Trainable": "yes, `cellharness train`" if method.trainer else "",
            "Reads the truth": "yes" if info.needs_truth else "",
            "Limits": info.limits,
            "Optional part": f"`{info.extra}`" if info.extra else "",
            "Environment": f"`{info.environment}`" if info.environment else "",
        }
        yield from (f"- {key}: {value}" for key, value in facts.items() if value)
        yield ""


def _weights(weights: Mapping[str, WeightSource]) -> Iterator[str]:
    yield "## Weights\n"
    yield "`cellharness weights fetch NAME` gets them, `cellharness weights list` shows them.\n"
    head = ("weights", "training data", "licence", "source")
    yield _row(head)
    yield _row("---" for _ in head)
    for name, source in weights.items():
        data = ", ".join(source.training_data) or "not stated"
        yield _row((f"`{name}`", data, source.licence, source.source))
    yield ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
