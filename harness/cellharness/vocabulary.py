"""The words that configuration, manifest, ledger, scores and report share, each defined once."""

from __future__ import annotations

from typing import Literal, get_args

#: What a study calls the weights that every training starts from: in data, and in print.
PRETRAINED = "pre-trained"
PRETRAINED_LABEL = "Before training"

#: Difference of mean F1 below which two trainings are called comparable, unless a study says else.
MARGIN = 0.05

#: Name of a group that holds every case.
ALL = "All"

#: Kinds of microscopy, in the paper's order.
MODALITIES = ("Brightfield", "Fluorescent", "Phase-contrast", "DIC")

#: What people call them besides, in lower case; ``_`` and blanks count as ``-``.
MODALITY_ALIASES = {
    "bright-field": "Brightfield",
    "bf": "Brightfield",
    "fluorescence": "Fluorescent",
    "fluo": "Fluorescent",
    "fl": "Fluorescent",
    "phase": "Phase-contrast",
    "phasecontrast": "Phase-contrast",
    "pc": "Phase-contrast",
    "differential-interference-contrast": "DIC",
    "nomarski": "DIC",
}

#: Split of the manifest that methods may learn from.
TRAIN_SPLIT = "train"
#: Split of a case for which none is given.
TEST_SPLIT = "test"

#: Endings of the image files that are read.
IMAGE_SUFFIXES: tuple[str, ...] = (
    ".png",
    ".bmp",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".svs",
    ".npy",
    ".npz",
)

#: Forms in which an image can be handed to a method, see :func:`cellharness.data.images.prepare`.
InputMode = Literal["gray_max", "gray", "native"]
INPUT_MODES: tuple[str, ...] = get_args(InputMode)

#: Ways to score, see :mod:`cellharness.scoring`.
Profile = Literal["challenge", "strict"]
PROFILES: tuple[str, ...] = get_args(Profile)

#: What can become of a case.
Status = Literal["ok", "empty", "error", "oom", "timeout", "unsupported", "missing"]
STATUSES: tuple[str, ...] = get_args(Status)

#: A case with one of these statuses has a mask.
SEGMENTED: tuple[str, ...] = ("ok", "empty")

#: Begins the message of a case whose method did not load: its seconds are of no load that counts.
NOT_LOADED = "the method did not load"

#: Scores of a case at one threshold, see :class:`cellharness.scoring.score.Score`.
COUNTS: tuple[str, ...] = ("n_true", "n_pred", "tp", "fp", "fn")
RATIOS: tuple[str, ...] = ("precision", "recall", "f1", "dice")
#: Those that only profile ``strict`` has.
STRICT_RATIOS: tuple[str, ...] = ("sq", "rq", "pq", "ap", "aji")
METRICS: tuple[str, ...] = COUNTS + RATIOS + STRICT_RATIOS

#: Parts of the running time of a case.
PHASES = ("load", "warmup", "read", "preprocess", "network", "postprocess", "write")
