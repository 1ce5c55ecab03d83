"""How much of an apparent loss the way of evaluating explains, and how much the weights lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.statistics.contrasts import FEWEST_UNITS, Unit
from cellharness.statistics.resampling import RESAMPLING, Resampling, check_statistic, resample
from cellharness.statistics.staged_scores import (
    Floats,
    ForgettingError,
    Group,
    StagedScores,
    center,
    read_scores,
)

#: Row of the protocol under which the trained weights do best, looked for in every sample anew.
BEST = "best"

#: Why there is a share, or none.
DEFINED = "defined"
NOT_PROVEN = "loss not proven: its interval holds 0"
IS_GAIN = "gain: nothing was lost"
TOO_FEW = "too few units"


def decompose(
    scores: pd.DataFrame | StagedScores,
    trained_protocol: str,
    before_protocol: str,
    alternatives: Sequence[str] | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    statistic: str = "mean",
    resampling: Resampling = RESAMPLING,
    unit: Unit | None = None,
) -> pd.DataFrame:
    """Split the apparent loss into what the protocol explains and what is left in the weights.

    With R the mean or median F1 over cases, p the protocol that the trained weights were given
    and q another one::

        apparent loss  =  R(before, its own protocol) - R(after, p)
        explained      =  R(after, q)                 - R(after, p)
        left           =  R(before, its own protocol) - R(after, q)

    so that explained + left = apparent. The share is explained / apparent. Before and after are on
    the same cases, and all terms are resampled jointly. That the protocol, a fixed diameter in
    place of an estimated one, may explain the loss is the objection of Stringer & Pachitariu 2024
    (*Transformers do not outperform Cellpose*) to Ma et al. 2024.

    Where q knows more than the protocol before (such as diameters taken from the truth), it would
    help the weights before as well. If these were scored under q too, the loss like for like
    is in ``left_same_protocol``: R(before, q) - R(after, q).

    Parameters
    ----------
    scores : DataFrame or StagedScores
        See `read_scores`.
    trained_protocol : str
        The p above, such as the diameter of the training set for every image.
    before_protocol : str
        The reference protocol of the weights before.
    alternatives : sequence of str, optional
        The protocols q; by default all others under which the training was scored at the stage.
    stages : int or mapping of str to int, optional
        See `cellharness.statistics.change.change`.
    statistic : str
        ``"mean"`` or ``"median"``. Medians are taken of each set of scores, not of differences, so
        that the parts add up; the paper's numbers are of this kind.
    resampling : Resampling
        Samples, seed and confidence.

    Returns
    -------
    DataFrame
        One row a training, group and alternative, and one `BEST`: ``remedy, stage,
        trained_protocol, before_protocol, statistic, modality, seen, protocol`` (the q; `BEST`),
        ``chosen`` (the q itself; for `BEST` the protocol, p among them, with the highest R, so
        what it explains is never below 0 and rather too much: no proof), ``n`` (cases scored
        under all protocols in use), ``n_missing, accuracy_before, accuracy_trained, accuracy``
        (under q), ``apparent_loss, apparent_low, apparent_high, explained, explained_low,
        explained_high, left, left_low, left_high, left_same_protocol, left_same_low,
        left_same_high`` (NaN where the weights before were not scored under q),
        ``share_explained, share_low, share_high, share_left`` (one minus the first), ``share_is``
        (`DEFINED`, or why the share is NaN: the interval of the apparent loss holds 0, it is a
        gain, or there are fewer than `FEWEST_FOR_A_SHARE` cases), ``confidence, samples,
        seed``. A share may be above 1 or below 0.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid, or there is no other protocol.
    """
    check_statistic(statistic)
    table = read_scores(scores)
    unit, units = table.units(unit)
    rows = []
    for pair in table.pairs(trained_protocol, before_protocol, stages):
        protocols = _alternatives(table, pair.remedy, pair.stage, trained_protocol, alternatives)
        after = [table.after(pair.remedy, q, pair.stage) for q in protocols]
        same = [table.before(pair.remedy, q) for q in protocols]
        unknown = np.full(len(table.cases), np.nan)
        # Rows: before, after under p, after under each q, before under each q.
        series = np.stack(
            [pair.before, pair.after, *after, *(unknown if s is None else s for s in same)]
        )
        needed = np.array([True, True, *[True] * len(after), *(s is not None for s in same)])
        for group in table.groups(("overall", "modality")):
            split = _Split(series, needed, group, units, statistic, resampling)
            fixed = {
                "remedy": pair.remedy, "stage": pair.stage, "trained_protocol": pair.protocol,
                "before_protocol": pair.before_protocol, "statistic": statistic,
                "modality": group.modality, "seen": group.seen, "unit": unit,
                "n_units": split.n_units,
            }  # fmt: skip
            for number, protocol in enumerate(protocols):
                rows.append({**fixed, "protocol": protocol, **split.row(number, protocol)})
            candidates = [pair.protocol, *protocols]
            rows.append({**fixed, "protocol": BEST, **split.best(candidates)})
    return pd.DataFrame(rows).assign(**resampling.settings())


class _Split:
    """R of all series of one group, with samples, and the split they give.

    Parameters
    ----------
    series : ndarray of float64, shape (2 + 2 * protocols, cases)
        Before, after under p, after under each q, before under each q.
    needed : ndarray of bool, shape (2 + 2 * protocols,)
        A case counts if it has a score in all of these.
    group, units, statistic, resampling
        What to average, to which independent unit each case belongs, how, and how to draw.
    """

    def __init__(
        self,
        series: Floats,
        needed: NDArray[np.bool_],
        group: Group,
        units: NDArray[np.int64],
        statistic: str,
        resampling: Resampling,
    ) -> None:
        values = series[:, group.rows]
        complete = ~np.isnan(values[needed]).any(axis=0)
        values = values[:, complete]
        self._resampling = resampling
        self._protocols = (len(series) - 2) // 2
        self._n, self._n_missing = int(complete.sum()), int((~complete).sum())
        here = units[group.rows][complete]
        self.n_units = np.unique(here).size
        weights = resampling.draw(self._n, *group.name, units=here)
        # The value itself stands in front of its samples: one formula serves both.
        self._r = np.column_stack([center(values, statistic), resample(values, weights, statistic)])

    def row(self, number: int, protocol: str) -> dict[str, object]:
        """Split by one alternative."""
        under, same = self._r[2 + number], self._r[2 + self._protocols + number]
        return self._describe(protocol, under, same)

    def best(self, names: Sequence[str]) -> dict[str, object]:
        """Split by the alternative with the highest R, of the whole and of every sample."""
        after = self._r[1 : 2 + self._protocols]
        same = np.vstack([np.full(after.shape[1], np.nan), self._r[2 + self._protocols :]])
        if self._n == 0:
            return self._describe("", after[0], same[0])
        which = np.argmax(after, axis=0)
        columns = np.arange(after.shape[1])
        return self._describe(names[which[0]], after[which, columns], same[which, columns])

    def _describe(self, chosen: str, under: Floats, same: Floats) -> dict[str, object]:
        before, trained = self._r[0], self._r[1]
        apparent, explained, left = before - trained, under - trained, before - under
        apparent_low, apparent_high = self._ends(apparent)
        reason = self._reason(apparent_low, apparent_high)
        share, share_low, share_high = np.nan, np.nan, np.nan
        if reason == DEFINED:
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = explained / apparent
            share = float(shares[0])
            share_low, share_high = self._ends(shares)
        row: dict[str, object] = {
            "chosen": chosen, "n": self._n, "n_missing": self._n_missing,
            "accuracy_before": before[0], "accuracy_trained": trained[0], "accuracy": under[0],
        }  # fmt: skip
        for name, stem, values in (
            ("apparent_loss", "apparent", apparent),
            ("explained", "explained", explained),
            ("left", "left", left),
            ("left_same_protocol", "left_same", same - under),
        ):
            row[name] = values[0]
            row[f"{stem}_low"], row[f"{stem}_high"] = self._ends(values)
        return row | {
            "share_explained": share, "share_low": share_low, "share_high": share_high,
            "share_left": 1 - share, "share_is": reason,
        }  # fmt: skip

    def _reason(self, low: float, high: float) -> str:
        if self.n_units < FEWEST_UNITS:
            return TOO_FEW
        if high < 0:
            return IS_GAIN
        return DEFINED if low > 0 else NOT_PROVEN

    def _ends(self, values: Floats) -> tuple[float, float]:
        # Percentile intervals of few units are too narrow to be shown.
        if self.n_units < FEWEST_UNITS:
            return np.nan, np.nan
        low, high = self._resampling.interval(values[1:])
        return float(low), float(high)


def _alternatives(
    table: StagedScores, remedy: str, stage: int, trained: str, wanted: Sequence[str] | None
) -> list[str]:
    scored = [p for p in table.protocols if (remedy, p, stage) in table.runs and p != trained]
    if wanted is None:
        chosen = scored
    else:
        chosen = [p for p in dict.fromkeys(wanted) if p != trained]
        unknown = [p for p in chosen if p not in scored]
        if unknown:
            msg = (
                f"remedy {remedy!r} was not scored under protocol {unknown[0]!r} at stage {stage}; "
                f"beside {trained!r} there are: {', '.join(scored) or 'none'}"
            )
            raise ForgettingError(msg)
    if not chosen:
        msg = (
            f"remedy {remedy!r} was scored at stage {stage} under protocol {trained!r} only; what "
            "a protocol explains shows under another one"
        )
        raise ForgettingError(msg)
    return chosen
