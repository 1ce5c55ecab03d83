"""What scripts and the command line call: a whole run, masks for a folder, a comparison.

Each function imports what it works with when it is called: who predicts needs no figures, and who
compares needs no images.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellharness.errors import UsageError, unknown_name
from cellharness.vocabulary import INPUT_MODES

if TYPE_CHECKING:
    import pandas as pd

    from cellharness.comparing.comparison import Comparison
    from cellharness.config.run import RunConfig
    from cellharness.data.manifest import Case
    from cellharness.running.observer import Observer
    from cellharness.running.result import RunResult
    from cellharness.training.observer import TrainingObserver

AnyPath = str | os.PathLike[str]


def run(
    config: RunConfig | AnyPath,
    out: AnyPath | None = None,
    *,
    limit: int | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    overwrite: bool = False,
    scheduler: str | None = None,
    observer: Observer | None = None,
    training_observer: TrainingObserver | None = None,
) -> RunResult:
    """Run a whole comparison: trainings, masks, scores and report.

    Methods run in processes of their own, which start a Python of their own: a script that calls
    this keeps the call below ``if __name__ == "__main__":``.

    Parameters
    ----------
    config : RunConfig or path
        The comparison, or the YAML file that describes it.
    out : path or None
        Run directory; default: the configuration's ``out``, else ``runs/<name>``.
    limit : int or None
        Cases at most, spread over the modalities; the result is marked partial.
    resume : bool
        Go on in a directory that holds a run; nothing that finished is made again.
    retry_failed : bool
        With `resume`: try cases again that failed.
    overwrite : bool
        Replace an older report that cellharness did not write, or that was changed since.
    scheduler : str or None
        Address of a Dask scheduler to whose workers the cases and trainings go, in the place of
        what the configuration says under ``cluster``.
    observer, training_observer : Observer, TrainingObserver or None
        Told of progress.

    Returns
    -------
    RunResult
        Statuses and messages by method, the run directory (``folder``) and the page of its report
        (``report``).

    Raises
    ------
    UsageError
        The configuration or data cannot be used, or the directory holds a run and `resume` is off.
    StoppedError
        The Dask scheduler was lost; `resume` goes on.

    Examples
    --------
    >>> result = run("configs/demo.yaml", "runs/demo")  # doctest: +SKIP
    >>> result.report  # doctest: +SKIP
    PosixPath('runs/demo/report/index.html')
    """
    from cellharness.config.cluster import on_scheduler
    from cellharness.config.output import run_folder
    from cellharness.config.run import RunConfig, load_config
    from cellharness.own_files import OwnFiles
    from cellharness.report import build_report
    from cellharness.run_directory import RunDirectory
    from cellharness.running.run import run_comparison

    settings = config if isinstance(config, RunConfig) else load_config(Path(config))
    settings = on_scheduler(settings, scheduler)
    folder = run_folder(settings, out)
    # Before hours are spent, and not after.
    OwnFiles(RunDirectory(folder).report).refuse_foreign(overwrite=overwrite)
    result = run_comparison(
        settings,
        folder,
        limit=limit,
        resume=resume,
        retry_failed=retry_failed,
        observer=observer,
        training_observer=training_observer,
    )
    return replace(result, report=build_report(folder, overwrite=overwrite))


def predict(
    method: str,
    images: AnyPath,
    out: AnyPath,
    *,
    parameters: Mapping[str, Any] | None = None,
    input_mode: str | None = None,
    timeout_s: float = 900.0,
    tile: int | None = None,
    tile_overlap: int | None = None,
    seed: int = 0,
    overlays: bool = False,
    flows: bool = False,
    counts: bool = False,
    overwrite: bool = False,
    environment: str | None = None,
    python: AnyPath | None = None,
    observer: Observer | None = None,
) -> RunResult:
    """Segment every image of a folder with one method.

    The method runs in a process of its own, see `run`.

    Parameters
    ----------
    method : str
        Registered name, see ``cellharness methods``.
    images, out : path
        Folder of images; folder for the masks, ``<stem>_label.tiff``, and ``provenance.json``.
    parameters : mapping or None
        The method's parameters, such as ``{"weights": "cyto"}``.
    input_mode : {"gray_max", "gray", "native"} or None
        Form in which an image is handed over; None for the one that the method declares.
    timeout_s : float
        Seconds after which an image is given up.
    tile : int or None
        Segment by overlapping tiles of this many px, in memory that does not grow with the image;
        None for images in one piece.
    tile_overlap : int or None
        Px that neighbouring tiles share; twice the largest cell or more. None for 256, and for
        half of the tile where that is less.
    seed : int
        Set before each image, and before each tile.
    overlays : bool
        Write ``<stem>_overlay.png`` beside each mask: the image with its cells outlined.
    flows : bool
        Write ``<stem>_flows.tiff``: what the method's network gave for each pixel, such as flows,
        distances or probabilities; of a method that keeps it.
    counts : bool
        Write ``counts.csv``, one row an image: number of cells, median diameter, covered share,
        status and remark.
    overwrite : bool
        Replace files where masks go that an earlier call did not write, such as labels made by
        hand.
    environment : str or None
        Named environment that the method runs in, see ``cellharness environments``; None for the
        one that this runs in.
    python : path or None
        An interpreter, in the place of an environment's name.
    observer : Observer or None
        Told of progress.

    Returns
    -------
    RunResult
        Statuses and the first message under the method's name.

    Raises
    ------
    UsageError
        Unknown method, parameter or input mode, weights not to be had, no images, files in the way
        of masks, or the method does not load.

    Examples
    --------
    >>> result = predict("otsu-watershed", "photos", "masks")  # doctest: +SKIP
    >>> dict(result.statuses["otsu-watershed"])  # doctest: +SKIP
    {'ok': 12}
    """
    from cellharness.config.run import LimitsConfig, tiles_of
    from cellharness.running.own_masks import Beside
    from cellharness.running.predict import predict_folder

    if input_mode is not None and input_mode not in INPUT_MODES:
        raise unknown_name(kind="input mode", name=input_mode, known=INPUT_MODES)
    tiles = None
    if tile is not None:
        tiles = tiles_of(tile, tile_overlap)
    elif tile_overlap is not None:
        msg = "an overlap of tiles needs their size; give tile (--tile) too, such as 2048"
        raise UsageError(msg)
    return predict_folder(
        method,
        Path(images),
        Path(out),
        parameters=parameters,
        input_mode=input_mode,
        beside=Beside(overlays=overlays, flows=flows, counts=counts),
        limits=LimitsConfig(timeout_s=timeout_s),
        tiles=tiles,
        seed=seed,
        overwrite=overwrite,
        environment=environment,
        python=Path(python) if python is not None else None,
        observer=observer,
    )


def compare(
    sources: Iterable[AnyPath],
    *,
    metric: str = "f1",
    threshold: float = 0.5,
    profile: str = "strict",
    baseline: str | None = None,
    unit: Literal["experiment", "image"] | None = None,
) -> Comparison:
    """Set runs or score tables side by side, with paired statistics on common cases.

    Parameters
    ----------
    sources : iterable of paths
        Run directories, or CSVs of scores: cellharness's, the official script's, or any with the
        columns ``case`` and ``f1`` (and ``method``).
    metric : str
        Score to compare, the larger the better.
    threshold : float
        IoU from which on a cell is correct.
    profile : {"strict", "challenge"}
        Of run directories.
    baseline : str or None
        Compare the others with this method; None for all pairs.
    unit : {"experiment", "image"} or None
        What is independent; None is experiments where every case names one, else images.

    Returns
    -------
    Comparison
        The DataFrames ``methods``, ``pairs`` and ``ranks``, and ``warnings``.

    Raises
    ------
    UsageError
        A source cannot be read, there is nothing to compare, or the baseline is no method.

    Examples
    --------
    >>> comparison = compare(["runs/mini", "theirs.csv"])  # doctest: +SKIP
    >>> comparison.pairs[["method", "other", "estimate", "verdict"]]  # doctest: +SKIP
    """
    from cellharness.comparing import ScoreChoice, compare_sources

    if isinstance(sources, str | os.PathLike):
        msg = f"compare takes several sources in a list, not the one path '{os.fspath(sources)}'"
        raise UsageError(msg)
    return compare_sources(
        map(Path, sources),
        ScoreChoice(metric, threshold, profile),
        baseline,
        unit,
    )


def power(
    source: AnyPath,
    *,
    difference: float | None = None,
    unit: Literal["experiment", "image"] | None = None,
    sd: float | None = None,
    correlation: float | None = None,
) -> pd.DataFrame:
    """Say which difference between two methods a data set can show, modality by modality.

    Parameters
    ----------
    source : path
        Configuration of a run or a forgetting study, or a run directory. A run says how paired
        differences vary; for a configuration, or where `sd` or `correlation` is given, it is
        assumed.
    difference : float, optional
        Of mean F1, for which to tell how many experiments and images it would take.
    unit : {"experiment", "image"}, optional
        What is independent; by default experiments where every case names one, else images.
    sd, correlation : float, optional
        Assumed standard deviation of paired differences of F1, and their correlation within an
        experiment; by default those of `cellharness.statistics.power.TYPICAL`.

    Returns
    -------
    DataFrame
        From `cellharness.statistics.power.power_table`.

    Raises
    ------
    UsageError
        The source cannot be read, or names no experiments where these are asked for.

    Examples
    --------
    >>> power("configs/mini.yaml")[["modality", "detectable"]]  # doctest: +SKIP
    """
    from cellharness.statistics.contrasts import units_of
    from cellharness.statistics.power import TYPICAL, Spread, power_table

    for name, value in (("difference", difference), ("sd", sd)):
        if value is not None and not 0 < value <= 1:  # neither is NaN
            msg = f"{name} is {value}; valid are numbers above 0 and up to 1, such as 0.05"
            raise UsageError(msg)
    if correlation is not None and not 0 <= correlation <= 1:
        msg = f"correlation is {correlation}; valid are numbers from 0 to 1"
        raise UsageError(msg)
    spread = Spread.of(
        TYPICAL.sd if sd is None else sd,
        TYPICAL.correlation if correlation is None else correlation,
    )
    path = Path(source)
    if path.is_dir():
        from cellharness.analysis.run_data import load_run
        from cellharness.report.sensitivity import power_of_run

        run = load_run(path)
        if sd is None and correlation is None:
            return power_of_run(run, difference, unit)
        cases = run.main.drop_duplicates("case")
        modality, experiment = cases["modality"].tolist(), cases["experiment"].tolist()
    else:
        with tempfile.TemporaryDirectory() as folder:
            chosen = _selected(path, Path(folder))
        modality = [case.modality or "" for case in chosen]
        experiment = [case.experiment or "" for case in chosen]
    chosen_unit, units = units_of(modality, experiment, unit)
    return power_table([], modality, units, unit=chosen_unit, difference=difference, spread=spread)


def _selected(path: Path, folder: Path) -> Sequence[Case]:
    """Cases that a configuration, of a run or of a study, would segment."""
    from cellharness.config.reading import ConfigError
    from cellharness.config.run import load_config
    from cellharness.config.study import load_study_config
    from cellharness.running.run import read_cases, select_cases
    from cellharness.running.study import expand

    try:
        config = load_config(path)
    except ConfigError as error:
        try:
            config, _ = expand(load_study_config(path))
        except ConfigError:
            raise error from None
    return select_cases(config, read_cases(config, folder)).cases
