"""Read the state dict out of a weight file, whatever is wrapped around it, or say what it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellharness.weights.file_kinds import WeightFileError, cut_short, refuse_other_kinds

if TYPE_CHECKING:
    import torch

#: Names of tensors and their shapes.
Shapes = Mapping[str, tuple[int, ...]]

# Under which key trainers keep the weights of a model, the first found is taken.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "model_state",
)  # fmt: skip
# What DataParallel, torch.compile and Lightning put before each name.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
# Of torch's AveragedModel; a count, no weight.
_COUNTS = frozenset({"n_averaged"})
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_SHOWN = 3


@dataclass(frozen=True)
class Network:
    """What an adapter says of a network, so that files with its weights are recognised.

    Attributes
    ----------
    name : str
        In words, such as ``"a distance U-Net"``.
    known_by : callable
        Whether names and shapes of tensors are this network's.
    advice : str
        What to do with such a file where another network is expected.
    positive : tuple of str
        Tensors that must be above zero, where a file has them.
    """

    name: str
    known_by: Callable[[Shapes], bool]
    advice: str = ""
    positive: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightFile:
    """What a weight file holds.

    Attributes
    ----------
    state : dict of str to Tensor
        On the CPU, names without the prefixes of wrappers, all values finite.
    beside : mapping
        What lay beside the state dict, such as the epoch.
    """

    state: dict[str, torch.Tensor]
    beside: Mapping[str, Any] = field(default_factory=dict)


def read_weights(path: Path, expected: Network, known: Iterable[Network] = ()) -> WeightFile:
    """Read a file of torch weights.

    Wrappers (``state_dict``, ``model`` ...) and prefixes (``module.``, ``_orig_mod.`` ...) are
    taken off. No code in the file is ever run.

    Parameters
    ----------
    path : Path
        An existing file.
    expected : Network
        Whose weights are wanted.
    known : iterable of Network
        Others, to say what a file is that does not hold them.

    Returns
    -------
    WeightFile

    Raises
    ------
    WeightFileError
        It is no such file, or is damaged, or holds another network that is known, or a value that
        is not finite; what it is and the remedy are named.
    """
    refuse_other_kinds(path)
    state, beside = _unwrapped(_content(path), path)
    state = _plain(state, expected)
    _refuse_foreign(path, state, expected, known)
    refuse_unsound(path, state, expected.positive)
    return WeightFile(state, beside)


def _refuse_foreign(
    path: Path, state: Mapping[str, torch.Tensor], expected: Network, known: Iterable[Network]
) -> None:
    """Raise where a state dict is that of another network, saying what to do with its weights."""
    shapes = shapes_of(state)
    if expected.known_by(shapes):
        return
    for other in known:
        if other.name != expected.name and other.known_by(shapes):
            msg = f"'{path}' holds {other.name}, and not {expected.name}. {other.advice}".strip()
            raise WeightFileError(msg)


def refuse_unsound(
    path: Path, state: Mapping[str, torch.Tensor], positive: Collection[str] = ()
) -> None:
    """Raise where a tensor has values with which a network gives nothing of use.

    Raises
    ------
    WeightFileError
        NaN or infinity, a negative variance of a batch norm, or no positive value in a tensor
        named in ``positive``; file and tensor are named.
    """
    import torch

    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            count = int((~torch.isfinite(value)).sum())
            msg = (
                f"'{path}': tensor '{name}' holds NaN or infinity ({count} of {value.numel()} "
                "values); the training that wrote it went astray or the file is damaged. Take an "
                "earlier checkpoint, or get the file again"
            )
            raise WeightFileError(msg)
        if name.endswith("running_var") and value.numel() and float(value.min()) < 0:
            msg = f"'{path}': tensor '{name}' holds a negative variance; get the file again"
            raise WeightFileError(msg)
        if name in positive and (not value.numel() or float(value.min()) <= 0):
            msg = (
                f"'{path}': tensor '{name}' is {value.flatten().tolist()}, and must be above 0; "
                "train again, or put the true value in with torch"
            )
            raise WeightFileError(msg)


def check_fits(
    path: Path | str,
    state: Mapping[str, torch.Tensor],
    expected: Shapes,
    what: str,
    optional: Collection[str] = (),
) -> None:
    """Raise where names or shapes of a state dict are not a network's.

    Parameters
    ----------
    path : Path or str
        The file, for the message.
    state : mapping of str to Tensor
    expected : mapping of str to tuple of int
        Shapes of all tensors of the network.
    what : str
        The network in words.
    optional : collection of str
        Names that a file may lack.

    Raises
    ------
    WeightFileError
        The first differences are named.
    """
    found = shapes_of(state)
    wrong = [f"{name} is missing" for name in expected.keys() - found.keys() - set(optional)]
    wrong += [f"{name} is not of this network" for name in found.keys() - expected.keys()]
    wrong += [
        f"{name} has shape {found[name]}, expected {expected[name]}"
        for name in found.keys() & expected.keys()
        if found[name] != expected[name]
    ]
    if wrong:
        shown = "; ".join(sorted(wrong)[:_SHOWN]) + (" ..." if len(wrong) > _SHOWN else "")
        msg = f"'{path}' does not fit {what}: {shown}"
        raise WeightFileError(msg)


def shapes_of(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor by its name."""
    return {name: tuple(value.shape) for name, value in state.items()}


def _content(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # of any kind, on bytes that are no weights
        text = str(error)
        if "memory" in text.lower():
            raise
        # torch's own text goes on to advise reading such files all the same.
        named = _GLOBAL.search(text)
        if named is None and "weights_only" not in text.lower():
            raise cut_short(path) from error
        inside = f" ({named[1]})" if named else ""
        msg = (
            f"'{path}' holds a pickled Python object{inside}, as a whole model saved with "
            "torch.save(model) does. Reading it could run any code and is refused. Where it was "
            "made, save the weights alone: torch.save(model.state_dict(), 'weights.pt')"
        )
        raise WeightFileError(msg) from None


def _unwrapped(content: Any, path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Take the state dict out of what is around it; the second is what lay beside it."""
    import torch

    beside: dict[str, Any] = {}
    while isinstance(content, Mapping):
        if content and all(isinstance(value, torch.Tensor) for value in content.values()):
            return {str(name): value.detach() for name, value in content.items()}, beside
        inner = [name for name in _WRAPPERS if isinstance(content.get(name), Mapping)]
        if not inner:
            break
        beside |= {name: value for name, value in content.items() if name != inner[0]}
        content = content[inner[0]]
    keys = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else ""
    about = f"a dict with {keys or 'nothing'}" if isinstance(content, Mapping) else "no dict"
    msg = (
        f"'{path}' holds no state dict (names to tensors) but {about}; save the weights alone: "
        "torch.save(model.state_dict(), 'weights.pt')"
    )
    raise WeightFileError(msg)


def _plain(state: dict[str, torch.Tensor], expected: Network) -> dict[str, torch.Tensor]:
    """Take off what wrappers of models put before names."""
    state = {name: value for name, value in state.items() if name not in _COUNTS}
    shortened = {name.replace("_orig_mod.", ""): value for name, value in state.items()}
    state = shortened if len(shortened) == len(state) else state
    while not expected.known_by(shapes_of(state)):
        for prefix in _PREFIXES:
            below = {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }
            # What has another name, such as a loss beside the model, is no part of the network.
            if below and (len(below) == len(state) or expected.known_by(shapes_of(below))):
                state = below
                break
        else:
            return state
    return state
