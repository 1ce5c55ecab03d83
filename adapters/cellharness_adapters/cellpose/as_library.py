"""Cellpose as its own library runs and trains it, to compare with; no path of a method's."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cellharness.data.manifest import Case
from cellharness.training.samples import read_labelled
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters
from cellharness_adapters.cellpose.library import dynamics, models
from cellharness_adapters.cellpose.network import load_network, without_tf32
from cellharness_adapters.cellpose.weights import diam_mean_of, resolve


def segmenter(
    parameters: Mapping[str, Any], device: str, *, exact: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Give ``models.Cellpose``-style segmentation: size model, then model.

    Parameters
    ----------
    parameters : mapping
        ``weights``, and ``diameter`` in px where it is not to be estimated.
    device : {"cpu", "cuda"}
    exact : bool
        On a GPU without TF32; else as torch has it.
    """
    weights = resolve(parameters["weights"])
    where = torch.device(device)
    model = models.CellposeModel(device=where, gpu=device == "cuda", pretrained_model=False)
    diam_mean = diam_mean_of(weights)
    network = load_network(weights.files["network"], diam_mean, mkldnn=device == "cpu")
    model.net = network.to(where)
    model.diam_mean = model.diam_labels = float(network.diam_mean.item())
    size = models.SizeModel(cp_model=model, pretrained_size=str(weights.files["size"]))
    given = parameters.get("diameter")

    def segment(image: np.ndarray) -> np.ndarray:
        with without_tf32() if exact else nullcontext():
            diameter = given or size.eval(image, channels=[0, 0])[0]
            labels: np.ndarray = model.eval(image, channels=[0, 0], diameter=diameter)[0]
        return labels

    return segment


def train(
    cases: Sequence[Case], parameters: Mapping[str, Any], device: str, folder: Path
) -> tuple[int, float]:
    """Train as ``cellpose.train.train_seg`` does, in float32; flows are made beforehand.

    A second training of one epoch is taken from it, so that reading, set-up and writing do not
    count.

    Parameters
    ----------
    cases : sequence of Case
        To learn from.
    parameters : mapping
        Of :class:`cellharness_adapters.cellpose.finetuning_parameters.FinetuningParameters`.
    device : {"cpu", "cuda"}
    folder : Path
        To write to; made if it is not there.

    Returns
    -------
    crops : int
        Learned from in the epochs that are timed.
    seconds : float
        That these took.
    """
    from cellpose import train as library

    wanted = FinetuningParameters.model_validate(parameters)
    start = resolve(wanted.weights)
    samples = read_labelled(cases, "gray_max")
    labels = [sample.labels.astype(np.int32) for sample in samples]
    flows = dynamics.labels_to_flows(labels, device=torch.device(device))

    def seconds_of(n_epochs: int) -> float:
        network = load_network(start.files["network"], diam_mean_of(start)).to(device)
        np.random.seed(0)  # noqa: NPY002 - the library draws from it
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=_made(folder)) as out:
            library.train_seg(
                network,
                train_data=[sample.image for sample in samples],
                train_labels=flows,
                channels=[0, 0],
                batch_size=wanted.batch_size,
                learning_rate=wanted.learning_rate,
                n_epochs=n_epochs,
                weight_decay=wanted.weight_decay,
                SGD=wanted.optimizer == "sgd",
                bsize=wanted.crop,
                nimg_per_epoch=wanted.images_per_epoch,
                save_path=out,
            )
        return time.perf_counter() - begun

    first = seconds_of(1)
    crops = (wanted.images_per_epoch or len(samples)) * (wanted.epochs - 1)
    return crops, seconds_of(wanted.epochs) - first


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
