"""How much of an apparent loss the way of evaluating makes, and how much the weights lost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.statistics.contrasts import (
    HIGHER,
    LOWER,
    OF_CHANGES,
    OF_SCORES,
    TOO_FEW,
    Estimate,
    Unit,
    equal_weights,
    mean_difference,
    mean_ratio,
)
from cellharness.statistics.estimates import estimate_rows
from cellharness.statistics.staged_scores import (
    UNSEEN,
    Floats,
    ForgettingError,
    Group,
    Pair,
    StagedScores,
    read_scores,
)
from cellharness.statistics.summary import ALL

#: The measures of `decompose`.
APPARENT, ALIKE, OF_PROTOCOLS = "apparent loss", "loss, both alike", "difference of the protocols"

#: Why there is a share, or none.
DEFINED = "defined"
NOT_SIGNIFICANT = "apparent loss not significant"
IS_GAIN = "gain: nothing was lost"

#: What the interval of a share is, in words.
SHARE_INTERVAL = "all shares that the tests do not reject (Fieller's interval)"

#: Estimands: what counts the same in a mean.
IMAGES, EXPERIMENTS, MODALITIES = "images", "experiments", "modalities"

ESTIMANDS = (IMAGES, EXPERIMENTS, MODALITIES)


def decompose(
    scores: pd.DataFrame | StagedScores,
    trained_protocol: str,
    before_protocol: str,
    alternatives: Sequence[str] | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Set the loss as published beside the loss with weights before and after evaluated alike.

    With R the mean F1 over images, ``p_before`` and ``p_after`` the protocols that a publication
    gave to the weights before and after the training, and q one protocol for both::

        apparent loss                 =  R(before, p_before) - R(after, p_after)
        loss, both alike              =  R(before, q)        - R(after, q)
        difference of the protocols   =  the first less the second

    The share is the last over the first. That the protocol, a fixed diameter in place of an
    estimated one, may make the loss is the objection of Stringer & Pachitariu 2024 (*Transformers
    do not outperform Cellpose*) to Ma et al. 2024. Only weights evaluated alike are compared:
    a protocol that knows more, such as diameters taken from the truth, helps the weights before as
    well.

    Parameters
    ----------
    scores : DataFrame or StagedScores
        See `read_scores`.
    trained_protocol, before_protocol : str
        The ``p_after`` and ``p_before`` above.
    alternatives : sequence of str, optional
        The protocols q; by default all under which the weights were scored before and at the stage.
    stages : int or mapping of str to int, optional
        See `cellharness.statistics.change.change`.
    unit : {"experiment", "image"}, optional
        See `cellharness.statistics.contrast`.
    confidence : float
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a training, group (all and each modality, by part), estimand and measure, and for
        all measures but the first one a protocol: ``measure, remedy, stage, trained_protocol,
        before_protocol, protocol`` (the q; ``""`` for the apparent loss), ``modality, seen,
        estimand`` (`IMAGES`, every image counts the same, or `MODALITIES`, over all modalities
        only), the `ESTIMATE_COLUMNS`; ``opposed``, the modalities whose own mean has the other
        sign, separated by commas; of the difference of the protocols ``share, share_low,
        share_high`` (`mean_ratio`) and ``share_is`` (`DEFINED`, or why there is none, by the
        verdict on the apparent loss after correction). A share may
        be above 1 or below 0. Images count that were scored under all protocols in use. The
        families are, for a measure and a part, the modalities; of the difference of the protocols,
        these with the protocols.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid, or there is no protocol q.
    """
    table = read_scores(scores)
    unit, units = table.units(unit)
    about: list[dict[str, object]] = []
    found: list[Estimate] = []
    families: list[str] = []
    # Of each row, the images behind it: differences, apparent losses, units, weights.
    images: list[tuple[Floats, Floats, NDArray[np.int64], Floats | None]] = []
    for pair in table.pairs(trained_protocol, before_protocol, stages):
        measures = _measures(table, pair, _alternatives(table, pair, alternatives))
        for group in table.groups(("overall", "modality")):
            here = units[group.rows]
            apparent = measures[APPARENT, ""][group.rows]
            for estimand in (IMAGES, MODALITIES) if group.modality == ALL else (IMAGES,):
                weights = _weights(estimand, apparent, table, group.rows)
                for (measure, protocol), every in measures.items():
                    values = every[group.rows]
                    one = mean_difference(
                        values, here, unit=unit, confidence=confidence, weights=weights,
                        bounds=OF_CHANGES if measure == OF_PROTOCOLS else OF_SCORES,
                    )  # fmt: skip
                    about.append(
                        {
                            "measure": measure, "remedy": pair.remedy, "stage": pair.stage,
                            "trained_protocol": pair.protocol,
                            "before_protocol": pair.before_protocol, "protocol": protocol,
                            "modality": group.modality, "seen": group.seen, "estimand": estimand,
                            "opposed": ", ".join(_opposed(table, values, group, one.estimate)),
                        }
                    )  # fmt: skip
                    found.append(one)
                    images.append((values, apparent, here, weights))
                    families.append(_family(measure, protocol, pair.remedy, group, estimand))
    rows = estimate_rows(pd.DataFrame(about), found, families)
    # What a share is a share of must itself be told apart from 0, in its family.
    of = ["remedy", "modality", "seen", "estimand"]
    whole = rows[rows["measure"] == APPARENT].set_index(of)["verdict"].to_dict()
    shares: list[tuple[float, float, float, str]] = []
    for *group_names, measure, (values, apparent, here, weights) in zip(
        *(rows[name] for name in of), rows["measure"], images, strict=True
    ):
        why = _why(whole[tuple(group_names)]) if measure == OF_PROTOCOLS else ""
        share = (np.nan, np.nan, np.nan)
        if why == DEFINED:
            share = mean_ratio(values, apparent, here, confidence=confidence, weights=weights)
        shares.append((*share, why))
    return pd.concat(
        [rows, pd.DataFrame(shares, columns=["share", "share_low", "share_high", "share_is"])],
        axis="columns",
    )


def _family(measure: str, protocol: str, remedy: str, group: Group, estimand: str) -> str:
    # The loss with both alike is the change under that protocol, and is tested as `change` does:
    # one question has one answer.
    if measure == ALIKE:
        measure += f" under {protocol}"
    over = "by modality" if group.modality != ALL else "all modalities"
    if estimand == MODALITIES:
        over += " weighing the same"
    part = "all" if group.seen == ALL else group.seen
    return f"{measure}, {remedy}, {part} experiments, {over}"


def robustness(
    tables: Mapping[float, StagedScores],
    remedy: str,
    trained_protocol: str,
    before_protocol: str,
    *,
    part: str = UNSEEN,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Give the share of the protocols under other choices that could as well have been made.

    Parameters
    ----------
    tables : mapping of float to StagedScores
        The scores at each IoU threshold.
    remedy : str
        The training.
    trained_protocol, before_protocol, unit, confidence
        See `decompose`.
    part : str
        Which images, see `PARTS`.

    Returns
    -------
    DataFrame
        One row a threshold, set of images, estimand (one of `ESTIMANDS`; `EXPERIMENTS` only where
        every image names its own) and protocol q:
        ``threshold, left_out_is`` (``"modality"``, ``"experiment"``, ``"image"``, or ``""`` where
        nothing is), ``left_out`` (its name), ``estimand, protocol, n_images, n_units, unit,
        apparent_loss, loss_alike, share`` (also without a part where that of all images is
        defined), ``share_low, share_high`` (of all images only), ``share_is, confidence``.

    Raises
    ------
    ForgettingError
        See `decompose`.
    """
    rows = []
    for threshold, table in tables.items():
        name, units = table.units(unit)
        pairs = {p.remedy: p for p in table.pairs(trained_protocol, before_protocol)}
        if remedy not in pairs:
            msg = f"no training {remedy!r} at IoU {threshold:g}; there are: {', '.join(pairs)}"
            raise ForgettingError(msg)
        pair = pairs[remedy]
        protocols = _alternatives(table, pair, None)
        measures = _measures(table, pair, protocols)
        defined: dict[str, str] = {}
        for is_what, label, cases in _left_out(table, np.flatnonzero(table.part(part)), name):
            apparent, here = measures[APPARENT, ""][cases], units[cases]
            known = ~np.isnan(apparent)
            about = (threshold, is_what, label)
            counts = (int(known.sum()), np.unique(here[known]).size, name)
            for estimand in ESTIMANDS:
                if estimand == EXPERIMENTS and not (table.experiment != "").all():
                    continue
                weights = _weights(estimand, apparent, table, cases)
                settings: dict[str, Any] = {"confidence": confidence, "weights": weights}
                loss = _mean(apparent, weights)
                if not is_what:
                    whole = mean_difference(apparent, here, unit=name, **settings)
                    defined[estimand] = _why(whole.verdict)
                for protocol in protocols:
                    difference = measures[OF_PROTOCOLS, protocol][cases]
                    between = _mean(difference, weights)
                    share = low = high = np.nan
                    if defined[estimand] == DEFINED and loss > 0:
                        share = between / loss
                        if not is_what:
                            _, low, high = mean_ratio(difference, apparent, here, **settings)
                    rows.append(
                        (
                            *about, estimand, protocol, *counts, loss, loss - between, share, low,
                            high, defined[estimand], confidence,
                        )
                    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(_ROBUSTNESS))


_ROBUSTNESS = (
    "threshold", "left_out_is", "left_out", "estimand", "protocol", "n_images", "n_units", "unit",
    "apparent_loss", "loss_alike", "share", "share_low", "share_high", "share_is", "confidence",
)  # fmt: skip


def judged_alike(table: StagedScores, remedy: str, stage: int) -> list[str]:
    """Protocols under which both a training at a stage and the weights before it were scored."""
    return [
        protocol
        for protocol in table.protocols
        if (remedy, protocol, stage) in table.runs and table.before(remedy, protocol) is not None
    ]


def _measures(
    table: StagedScores, pair: Pair, protocols: Sequence[str]
) -> dict[tuple[str, str], Floats]:
    """All differences, image by image, by measure and protocol; NaN where one score is missing."""
    apparent = pair.before - pair.after
    alike = {}
    for protocol in protocols:
        before = table.before(pair.remedy, protocol)
        assert before is not None  # one of `_alternatives`
        alike[protocol] = before - table.after(pair.remedy, protocol, pair.stage)
    lacking = np.isnan(apparent)
    for values in alike.values():
        lacking |= np.isnan(values)
    found = {(APPARENT, ""): apparent}
    for protocol, values in alike.items():
        found[ALIKE, protocol] = values
        found[OF_PROTOCOLS, protocol] = apparent - values
    return {key: np.where(lacking, np.nan, values) for key, values in found.items()}


def _weights(
    estimand: str, differences: Floats, table: StagedScores, cases: NDArray[np.intp]
) -> Floats | None:
    if estimand == IMAGES:
        return None
    groups = table.modality[cases] if estimand == MODALITIES else _places(table, cases)
    return equal_weights(differences, groups)


def _mean(values: Floats, weights: Floats | None) -> float:
    known = ~np.isnan(values)
    if not known.any():
        return math.nan
    return float(np.average(values[known], weights=None if weights is None else weights[known]))


def _left_out(
    table: StagedScores, cases: NDArray[np.intp], unit: Unit
) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
    """All cases, then those without each modality, then those without each unit."""
    yield "", "", cases
    modality = table.modality[cases]
    units = np.array(table.cases)[cases] if unit == "image" else _places(table, cases)
    for what, labels in (("modality", modality), (unit, units)):
        names = dict.fromkeys(labels.tolist())
        if len(names) > 1:
            for name in names:
                yield what, name, cases[labels != name]


def _places(table: StagedScores, cases: NDArray[np.intp]) -> NDArray[np.str_]:
    """Experiments with their modality, since two modalities may use one name."""
    names = zip(table.modality[cases], table.experiment[cases], strict=True)
    return np.array([f"{modality}: {experiment}" for modality, experiment in names], dtype=str)


def _why(verdict: str) -> str:
    """Say from the verdict on the whole loss whether parts of it have a share."""
    return {TOO_FEW: TOO_FEW, HIGHER: DEFINED, LOWER: IS_GAIN}.get(verdict, NOT_SIGNIFICANT)


def _opposed(
    table: StagedScores, differences: Floats, group: Group, estimate: float
) -> Iterator[str]:
    """Modalities of a group whose own mean has the other sign."""
    known = ~np.isnan(differences)
    modality = table.modality[group.rows]
    for name in table.modalities:
        here = known & (modality == name)
        if here.any() and differences[here].mean() * estimate < 0:
            yield name


def _alternatives(table: StagedScores, pair: Pair, wanted: Sequence[str] | None) -> list[str]:
    remedy, stage = pair.remedy, pair.stage
    scored = judged_alike(table, remedy, stage)
    unknown = [p for p in wanted or () if p not in scored]
    if unknown:
        msg = (
            f"remedy {remedy!r} was not scored under protocol {unknown[0]!r} both before training "
            f"and at stage {stage}; so it was under: {', '.join(scored) or 'none'}"
        )
        raise ForgettingError(msg)
    if not scored:
        msg = (
            f"remedy {remedy!r} was scored at stage {stage} under no protocol under which the "
            "weights before were scored as well; how they differ like for like shows under one"
        )
        raise ForgettingError(msg)
    return scored if wanted is None else list(dict.fromkeys(wanted))
