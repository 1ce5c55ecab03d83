"""A rule-based guess of the microscopy modality, for data that come without one.

No public file maps the challenge's images to their modality. These rules look at low-level cues
only (colour, level of the background, tails of the histogram, directional shading) and are wrong
now and then; a guess is therefore always marked ``"guessed"`` and never replaces a given modality.

Measured on 130 labelled images of 36 experiments with the thresholds set by eye on the training
split alone: 91 of 91 training images right, which proves nothing, and 37 of 39 test images (95 %),
of them 19 of 20 from experiments without training images. The misses are crowded 16-bit
fluorescent nuclei taken for phase contrast, and one DIC frame of red blood cells, too. Known blind
spots: a DIC image of flat cells with little shear, colour brightfield on a dark background, and
false colours.

Two further rules are there for comparison and are never used unless named: the classes of
:mod:`cellharness.data.colour_classes`, made for another purpose. They are no modalities. Each is
taken for the modality that most of its images have among the same 91 training images, which is a
choice of ours and of no publication, and says more of the files there (all phase contrast but two
are grey files, all DIC are grey ones saved with three channels) than of microscopy. On the 39 test
images ``sribdmed-paper`` is right on 21 and ``sribdmed-code`` on 23: all brightfield and phase
contrast, of 13 fluorescent images two and none, of 7 of DIC none and four.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from cellharness.data.colour_classes import Variant, colour_class
from cellharness.data.images import ImageError, prepare, read_image
from cellharness.data.manifest import Manifest
from cellharness.errors import unknown_name

# Cues are taken at about this size (px of the longer side), so that they mean the same for a
# small crop and a whole slide.
_WORKING_SIZE = 600

# Thresholds; see `guess_modality` for what each decides.
_COLOURED = 0.10
_BRIGHT_COLOUR = 0.60
_DARK_BACKGROUND = 0.12
_SHALLOW_DARK_TAIL = -1.8
_BRIGHT_BACKGROUND = 0.80
_DIRECTIONAL = 0.26
_ONE_SIDED = 0.31


#: The rule that is used unless another is named.
USUAL_RULE = "cues"
#: Column of a manifest that names the rule of a guess, where it is another than the usual one.
RULE_COLUMN = "modality_rule"

# The modality that most images of a class have, of 91 labelled training images.
_BY_CLASS: Mapping[str, tuple[Variant, Mapping[int, str]]] = {
    "sribdmed-paper": ("paper", {1: "Phase-contrast", 2: "Fluorescent", 3: "Brightfield"}),
    "sribdmed-code": ("code", {1: "Phase-contrast", 2: "DIC", 3: "Brightfield"}),
}
RULES = (USUAL_RULE, *_BY_CLASS)


@dataclass(frozen=True)
class Cues:
    """Low-level cues of one image, all free of the unit of its pixels.

    Attributes
    ----------
    chroma
        95th percentile of (max - min over channels), relative to the image's bright end.
    brightness
        Median of the channel maximum, relative to the bright end, 0..1.
    background
        Most frequent grey level within the image's range, 0..1.
    dark_tail
        0.5th percentile of the locally centred image in standard deviations; negative.
    directional
        Coherence of the gradients, 0 (all directions alike) to 1 (one direction).
    one_sided
        Largest absolute skewness of a directional derivative: slopes facing one way are steep,
        slopes facing the other way shallow or rare.
    """

    chroma: float
    brightness: float
    background: float
    dark_tail: float
    directional: float
    one_sided: float


def guess_modality(image: np.ndarray, rule: str = USUAL_RULE) -> tuple[str, str]:
    """Guess the modality of an image.

    The usual rules, the first that holds wins:

    1. Coloured: a bright background means light was absorbed (Brightfield), a dark one that it
       was emitted (Fluorescent).
    2. Grey with a dark background and nothing darker around the cells: Fluorescent. A halo or a
       dark cell on a dark background leaves a dark tail and goes on.
    3. Grey with a bright background: Brightfield.
    4. Grey with gradients along one direction, steeper one way than the other: DIC shear.
    5. All other grey images: Phase-contrast.

    Parameters
    ----------
    image
        Shape (H, W) or (H, W, C), as `cellharness.data.images.read_image` gives it.
    rule
        One of `RULES`: ``"cues"``, or a class of `cellharness.data.colour_classes` taken for the
        modality that most of its images had.

    Returns
    -------
    modality : str
        One of `cellharness.data.manifest.MODALITIES`.
    reason : str
        The rule that decided, with its numbers.

    Raises
    ------
    UnsupportedImageError
        If there are non-finite pixels.
    UsageError
        If there is no such rule.
    """
    if rule in _BY_CLASS:
        variant, modalities = _BY_CLASS[rule]
        number, reason = colour_class(image, variant)
        return modalities[number], f"class {number} of {rule} ({reason})"
    check_rule(rule)
    cues = measure_cues(image)
    if cues.chroma > _COLOURED:
        name = "Brightfield" if cues.brightness > _BRIGHT_COLOUR else "Fluorescent"
        return name, f"coloured ({cues.chroma:.2f}), background at {cues.brightness:.2f}"
    if cues.background < _DARK_BACKGROUND and cues.dark_tail > _SHALLOW_DARK_TAIL:
        return "Fluorescent", (
            f"grey, dark background ({cues.background:.2f}), no dark rims ({cues.dark_tail:.1f})"
        )
    if cues.background > _BRIGHT_BACKGROUND:
        return "Brightfield", f"grey, bright background ({cues.background:.2f})"
    if cues.directional > _DIRECTIONAL and cues.one_sided > _ONE_SIDED:
        return "DIC", (
            f"grey, shaded along one direction (coherence {cues.directional:.2f}, "
            f"skewness {cues.one_sided:.2f})"
        )
    return "Phase-contrast", (
        f"grey, mid-grey background ({cues.background:.2f}), no shear "
        f"(coherence {cues.directional:.2f})"
    )


def check_rule(rule: str) -> None:
    """Refuse what is no rule; the message names those there are.

    Raises
    ------
    UsageError
        If it is not one of `RULES`.
    """
    if rule not in RULES:
        raise unknown_name(kind="rule for guessing a modality", name=rule, known=RULES)


def with_guessed_modalities(
    manifest: Manifest,
    *,
    rule: str = USUAL_RULE,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Fill empty modalities by `guess_modality` and mark them ``"guessed"``.

    A rule other than the usual one is named in a further column, `RULE_COLUMN`.

    Given modalities and earlier guesses stay as they are. A case whose image cannot be read stays
    empty; `cellharness.data.validation.validate` names it. `progress` is called with (cases done,
    cases in all) after every case.
    """
    check_rule(rule)
    cases = []
    for done, case in enumerate(manifest.cases, start=1):
        guessed = case
        if case.modality is None:
            extra = case.extra if rule == USUAL_RULE else _with_rule(case.extra, rule)
            try:
                modality, _ = guess_modality(read_image(case.image), rule)
                guessed = replace(case, modality=modality, modality_source="guessed", extra=extra)
            except (ImageError, OSError):
                pass
        cases.append(guessed)
        if progress is not None:
            progress(done, len(manifest))
    return replace(manifest, cases=tuple(cases))


def _with_rule(extra: tuple[tuple[str, str], ...], rule: str) -> tuple[tuple[str, str], ...]:
    return (*((name, value) for name, value in extra if name != RULE_COLUMN), (RULE_COLUMN, rule))


def measure_cues(image: np.ndarray) -> Cues:
    """Measure the cues of an image; the rules of `guess_modality` read nothing else."""
    small = _shrink(prepare(image, "native"))
    brightest = small.max(axis=-1)
    top = max(float(np.percentile(small, 99.8)), 1e-9)
    top_of_brightest = max(float(np.percentile(brightest, 99.8)), 1e-9)
    gray = small.mean(axis=-1)
    surround = _surround(gray)
    fine = _in_deviations(ndimage.gaussian_filter(gray, 1.5) - surround)
    coarse = np.clip(_in_deviations(ndimage.gaussian_filter(gray, 4.0) - surround), -4, 4)
    directional, one_sided = _directionality(coarse)
    return Cues(
        chroma=float(np.percentile(brightest - small.min(axis=-1), 95)) / top,
        brightness=float(np.median(brightest)) / top_of_brightest,
        background=_most_frequent_level(gray),
        dark_tail=float(np.percentile(fine, 0.5)),
        directional=directional,
        one_sided=one_sided,
    )


def _shrink(image: np.ndarray) -> np.ndarray:
    """Mean over blocks down to the working size, as float32 with a channel axis."""
    image = image.reshape(*image.shape[:2], -1)
    step = max(1, max(image.shape[:2]) // _WORKING_SIZE)
    # A sliver thinner than the block keeps its one row.
    rows, columns = (min(step, size) for size in image.shape[:2])
    height, width = image.shape[0] // rows, image.shape[1] // columns
    blocks = image[: height * rows, : width * columns].astype(np.float32)
    return blocks.reshape(height, rows, width, columns, -1).mean(axis=(1, 3))


def _most_frequent_level(gray: np.ndarray) -> float:
    bins = 64
    low, high = np.percentile(gray, [0.2, 99.8])
    level = np.clip((gray - low) / max(high - low, 1e-9), 0, 1)
    counts, _ = np.histogram(level, bins, (0, 1))
    # Smoothing the counts keeps gaps of stretched 8-bit images from deciding.
    return float((ndimage.gaussian_filter1d(counts.astype(float), 1.5).argmax() + 0.5) / bins)


def _surround(gray: np.ndarray) -> np.ndarray:
    """Local background: three running means, as wide as a Gaussian of standard deviation 28 px."""
    for _ in range(3):
        gray = ndimage.uniform_filter(gray, 57)
    return gray


def _in_deviations(band: np.ndarray) -> np.ndarray:
    return band / max(float(band.std()), 1e-9)


def _directionality(band: np.ndarray) -> tuple[float, float]:
    """Coherence of the structure tensor, and the largest skewness of a directional derivative.

    DIC shows the derivative of the optical path along the shear: its gradients favour that
    direction, and lit and shaded flanks differ. Cells aligned in rows share the first sign only.
    """
    if min(band.shape) < 2:
        return 0.0, 0.0
    down, across = (part.astype(np.float64) for part in np.gradient(band))
    xx, xy, yy = across * across, across * down, down * down
    second = np.array([xx.mean(), 2 * xy.mean(), yy.mean()])
    third = np.array(
        [(xx * across).mean(), 3 * (xx * down).mean(), 3 * (across * yy).mean(), (yy * down).mean()]
    )
    coherence = float(np.hypot(second[0] - second[2], second[1]) / (second[0] + second[2] + 1e-12))
    # Moments of the derivative along every direction follow from the mixed moments.
    angle = np.radians(np.arange(0, 180, 15))[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    variance = np.hstack([cos**2, cos * sin, sin**2]) @ second
    skewness = np.hstack([cos**3, cos**2 * sin, cos * sin**2, sin**3]) @ third
    return coherence, float(np.abs(skewness / np.maximum(variance**1.5, 1e-9)).max())
