"""StarDist's model around files that were checked; only where StarDist is installed."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from stardist.models import Config2D, StarDist2D

from cellharness.methods.base import check_finite
from cellharness.methods.timing import PhaseTimer
from cellharness.weights import WeightFileError, Weights
from cellharness_adapters.stardist.weights import read_json

#: Of the library, where a model's folder has no thresholds.
_DEFAULTS = {"prob": 0.5, "nms": 0.4}


def load_model(weights: Weights, timer: PhaseTimer) -> StarDist2D:
    """Build the library's model and fill its network from the weight file that is meant.

    The library itself would go on with random weights where a folder has none, and would take the
    newest file where it has several.

    Parameters
    ----------
    weights : Weights
        Roles ``config``, ``network`` and, perhaps, ``thresholds``.
    timer : PhaseTimer
        Told of the phases ``network`` and ``postprocess``.

    Raises
    ------
    WeightFileError
        The configuration is none of a 2-D model, or the file holds another network or NaN.
    """

    class TimedModel(StarDist2D):
        def _instances_from_prediction(self, *args: Any, **kwargs: Any) -> Any:
            with timer.phase("postprocess"):
                return super()._instances_from_prediction(*args, **kwargs)

    path = weights.files["config"]
    config = _config(path)
    try:
        # It tells of thresholds that are not those used in the end.
        with contextlib.redirect_stdout(io.StringIO()):
            model = TimedModel(config, name=weights.name, basedir=None)
    except (TypeError, ValueError) as error:
        msg = f"no network can be built as '{path}' says: {str(error).splitlines()[0]:.200}"
        raise WeightFileError(msg) from error
    _fill(model.keras_model, weights.files["network"])
    model.thresholds = _thresholds(weights.files.get("thresholds"))
    predict = model.keras_model.predict

    def timed(*args: Any, **kwargs: Any) -> Any:
        with timer.phase("network"):
            found = predict(*args, **kwargs)
        check_finite("StarDist's network", *found)
        return found

    model.keras_model.predict = timed
    return model


def _config(path: Path) -> Config2D:
    content = read_json(path)
    if content.get("n_dim") != 2:
        msg = f"'{path}' is of a model for {content.get('n_dim')} dimensions; choose one for 2"
        raise WeightFileError(msg)
    try:
        config = Config2D(**Config2D.update_loaded_config(content))
        valid, wrong = config.is_valid(return_invalid=True)
    except (TypeError, ValueError, KeyError, AttributeError, AssertionError) as error:
        msg = f"'{path}' is no configuration of a 2-D model of StarDist: {error!s:.200}"
        raise WeightFileError(msg) from error
    if not valid:
        msg = f"'{path}' has values that StarDist does not take: {', '.join(wrong)}"
        raise WeightFileError(msg)
    return config


def _fill(network: Any, path: Path) -> None:
    try:
        network.load_weights(str(path))
    except Exception as error:  # of any kind, on bytes that are no weights
        msg = (
            f"'{path}' does not fit the network that its configuration describes, or is damaged: "
            f"{error!s:.200}"
        )
        raise WeightFileError(msg) from error
    for layer in network.layers:
        if not all(np.isfinite(array).all() for array in layer.get_weights()):
            msg = f"'{path}': layer '{layer.name}' holds NaN or infinity; take other weights"
            raise WeightFileError(msg)


def _thresholds(path: Path | None) -> dict[str, float]:
    """Thresholds of a model as the library takes them: its own where the file's make no sense."""
    given = read_json(path) if path else {}
    found = {}
    for name, default in _DEFAULTS.items():
        value = given.get(name)
        found[name] = value if isinstance(value, float) and 0 < value < 1 else default
    return found
