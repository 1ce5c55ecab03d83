"""InstanSeg's own library around a model file that was checked. Imports torch and instanseg."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from instanseg import InstanSeg
from instanseg.utils.utils import _filter_kwargs

from cellharness.errors import UsageError
from cellharness.weights import WeightFileError, refuse_unsound


def load_model(path: Path, device: str, thresholds: Mapping[str, float]) -> InstanSeg:
    """Read a TorchScript model and put the library's class around it.

    Parameters
    ----------
    path : Path
        Such as ``instanseg.pt``. The file is a program: torch runs it, and no Python in it.
    device : {"cpu", "cuda"}
    thresholds : mapping of str to float
        Given for prediction. The library leaves out those that a model does not know; here they
        are refused.

    Raises
    ------
    WeightFileError
        The file is no TorchScript, is another model's, or holds NaN or infinity.
    UsageError
        A threshold is unknown to this model.
    """
    with warnings.catch_warnings():
        # TorchScript is what the models are published as; nothing a user could mend.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            model = torch.jit.load(str(path), map_location=device)
        except (RuntimeError, ValueError) as error:
            msg = (
                f"'{path}' is no TorchScript model ({str(error).splitlines()[0]:.200}); give the "
                "instanseg.pt of an InstanSeg model, and not the archive around it or a "
                "training's checkpoint"
            )
            raise WeightFileError(msg) from error
    missing = [name for name in ("pixel_size", "cells_and_nuclei") if not hasattr(model, name)]
    if missing:
        msg = f"'{path}' is TorchScript of another model than InstanSeg: it has no {missing[0]}"
        raise WeightFileError(msg)
    refuse_unsound(path, model.state_dict())
    unknown = sorted(set(thresholds) - set(_filter_kwargs(model, dict(thresholds))))
    if unknown:
        msg = f"the model '{path}' has no {' and no '.join(unknown)}; leave it empty"
        raise UsageError(msg)
    return InstanSeg(model.eval(), device=device, image_reader="skimage.io", verbosity=0)


def predict(
    library: InstanSeg,
    image: Any,
    pixel_size: float | None,
    target: str,
    thresholds: Mapping[str, float],
) -> Any:
    """Label an image as the library does: whole, or in tiles of 512 px where it is large.

    Parameters
    ----------
    library : InstanSeg
    image : ndarray, (C, H, W)
        Changed in place by the library's normalisation.
    pixel_size : float or None
        Micrometres a pixel; None leaves the image's scale as it is.
    target : {"cells", "nuclei"}
        Of a model that finds both.
    thresholds : mapping of str to float
        Those of the model are used for the rest.

    Returns
    -------
    ndarray of int32, (H, W)
    """
    small = image.shape[1] * image.shape[2] < library.small_image_threshold
    evaluate = library.eval_small_image if small else library.eval_medium_image
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        labels = evaluate(
            torch.from_numpy(image),
            pixel_size,
            return_image_tensor=False,
            target=target,
            **thresholds,
        )
    # One layer of labels: the target's, or the only one that the model has.
    return labels[0, 0].to(torch.int32).cpu().numpy()
