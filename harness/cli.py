"""The ``cellharness`` command. No logic of its own: it parses, calls and prints."""

from __future__ import annotations

import os
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from typer.core import TyperCommand

from harness import __version__
from harness.errors import UsageError
from harness.ledger import SEGMENTED, Outcome

EXIT_FAILED_CASES = 1
EXIT_USAGE = 2

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class SpreadCommand(TyperCommand):
    """Let an option that may be repeated take several values at once: ``--threshold 0.5 0.7``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option in front of each further value."""
        names = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        return super().parse_args(ctx, spread(args, names))


def spread(args: Sequence[str], names: set[str]) -> list[str]:
    """Turn ``--a 1 2 --b`` into ``--a 1 --a 2 --b`` for the options in ``names``.

    Examples
    --------
    >>> spread(["--a", "1", "2", "--b", "3", "4"], {"--a"})
    ['--a', '1', '--a', '2', '--b', '3', '4']
    """
    result: list[str] = []
    option = waiting = ""
    for arg in args:
        if arg.startswith("-"):
            # An option that got no value is passed on, so that its absence is reported.
            result += [waiting] if waiting else []
            option = waiting = arg if arg in names else ""
            if not option:
                result.append(arg)
        elif option:
            result += [option, arg]
            waiting = ""
        else:
            result.append(arg)
    return result + ([waiting] if waiting else [])


app = typer.Typer(
    name="cellharness",
    help="Compare cell-segmentation methods modality by modality.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(no_args_is_help=True, help="Manifests and data sets.")
weights_app = typer.Typer(no_args_is_help=True, help="Named weights.")
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")


def _examples(*lines: str) -> str:
    """Epilog with one example a paragraph, since rich joins lines within one."""
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"[cyan]{line}[/cyan]" for line in lines)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"cellharness {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and leave.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never use the network (CELLHARNESS_OFFLINE).")
    ] = False,
) -> None:
    if offline:
        os.environ["CELLHARNESS_OFFLINE"] = "1"


@app.command(
    epilog=_examples(
        "cellharness run configs/demo.yaml",
        "cellharness run configs/mini.yaml --limit 8 --out runs/try",
        "cellharness run configs/mini.yaml --resume",
    )
)
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file, see configs/.")],
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Cases at most, spread over modalities; marked as partial."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on; nothing that finished is made again.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: try failed cases again.")
    ] = False,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Run directory; default: runs/<name>.")
    ] = None,
) -> None:
    """Run the whole comparison of CONFIG: masks, scores and report."""
    from harness.config import load_config
    from harness.report import build_report
    from harness.run import run_comparison

    settings = load_config(config)
    default = settings.resolve(settings.out) if settings.out else Path("runs") / settings.name
    folder = out_dir or default
    with _bars() as bars:
        result = run_comparison(
            settings,
            folder,
            limit=limit,
            resume=resume,
            retry_failed=retry_failed,
            observer=bars,
        )
    page = build_report(folder)
    _print_statuses(result.statuses)
    _print_medians(folder)
    for method, message in result.messages.items():
        err.print(f"[yellow]{method}[/yellow]: {_plain(message)}")
    for (method, case), reason in result.unscored.items():
        err.print(f"[yellow]{method}, {case}[/yellow]: not scored. {_plain(reason)}")
    out.print(f"Report: {page}")
    if result.failed:
        err.print(
            f"{result.failed} pair(s) of method and case have no mask; they count as F1 0 in "
            "profile strict. Try them again with --resume --retry-failed."
        )
        raise typer.Exit(EXIT_FAILED_CASES)


@app.command(
    cls=SpreadCommand,
    epilog=_examples(
        "cellharness predict --method cellpose --images photos/ --out masks/ --set weights=cyto",
        "cellharness predict --method cellpose --images photos/ --out masks/ "
        "--set weights=cyto diameter=30",
        "cellharness predict --method otsu-watershed --images photos/ --out masks/",
    ),
)
def predict(
    method: Annotated[str, typer.Option(help="Registered method, see `cellharness methods`.")],
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for <stem>_label.tiff.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A knob of the method; may be repeated."),
    ] = None,
    input_mode: Annotated[
        str | None, typer.Option("--input", help="gray_max, gray or native; default: the method's.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one image.")] = 900.0,
) -> None:
    """Segment every image of a folder with one method."""
    from harness.config import LimitsConfig
    from harness.predict import predict_folder

    if input_mode not in (None, "gray_max", "gray", "native"):
        msg = f"unknown --input '{input_mode}'; valid: gray_max, gray, native"
        raise UsageError(msg)
    with _bars() as bars:
        result = predict_folder(
            method,
            images,
            out_dir,
            parameters=_key_values(settings or []),
            input_mode=input_mode,
            limits=LimitsConfig(timeout_s=timeout),
            observer=bars,
        )
    _print_statuses(result.statuses)
    out.print(f"Masks: {out_dir}")
    if result.failed:
        for message in result.messages.values():
            err.print(_plain(message))
        raise typer.Exit(EXIT_FAILED_CASES)


@app.command(
    cls=SpreadCommand,
    epilog=_examples(
        "cellharness score --gt labels/ --pred masks/ --profile challenge --out scores.csv",
        "cellharness score --gt labels/ --pred masks/ --profile strict "
        "--threshold 0.5 0.7 0.9 --out scores.csv",
    ),
)
def score(
    gt: Annotated[Path, typer.Option(help="Folder of true labels.")],
    pred: Annotated[Path, typer.Option(help="Folder of predicted labels.")],
    profile: Annotated[
        str,
        typer.Option(help="challenge: the official script to the last digit. strict: every case."),
    ],
    out_file: Annotated[
        Path, typer.Option("--out", help="CSV to write, one row a case and threshold.")
    ],
    threshold: Annotated[
        list[float] | None, typer.Option(help="IoU from which on a cell is correct; default 0.5.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Score a folder of masks against a folder of true labels."""
    from harness.scoring import score_folders

    with _counter("scoring") as progress:
        table = score_folders(gt, pred, profile, threshold or [0.5], workers, progress=progress)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out_file, index=False)
    summary = Table("threshold", "cases", "scored", "median F1", "mean F1", title=profile)
    for value, rows in table.groupby("threshold"):
        scored = rows["f1"].notna()
        f1 = rows.loc[scored, "f1"]
        cells = (
            f"{value:g}",
            str(len(rows)),
            str(scored.sum()),
            f"{f1.median():.4f}",
            f"{f1.mean():.4f}",
        )
        summary.add_row(*cells)
    out.print(summary)
    bad = table[~table["status"].isin(SEGMENTED)]
    messages = table.attrs.get("messages", {})
    for case, status in bad.drop_duplicates("case")[["case", "status"]].itertuples(index=False):
        err.print(f"[yellow]{case}[/yellow]: {status}. {_plain(messages.get(case, ''))}")
    out.print(f"Scores: {out_file}")
    if len(bad):
        raise typer.Exit(EXIT_FAILED_CASES)


@app.command(epilog=_examples("cellharness report runs/demo"))
def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder that `run` wrote.")],
) -> None:
    """Write the report of a finished run again."""
    from harness.report import build_report

    out.print(f"Report: {build_report(run_dir)}")


@app.command(
    epilog=_examples("cellharness methods", "cellharness methods cellpose"),
)
def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show its knobs.")] = None,
) -> None:
    """List the methods, or the knobs of one."""
    from adapters.registry import method_class, method_names
    from harness.errors import MissingDependencyError

    if name is None:
        table = Table("method", "input", "licence", "summary")
        for each in method_names():
            try:
                info = method_class(each).info
            except MissingDependencyError as error:
                table.add_row(each, "", "", f"[yellow]{_plain(str(error))}[/yellow]")
                continue
            table.add_row(each, info.input, info.licence, info.summary)
        out.print(table)
        return
    cls = method_class(name)
    info = cls.info
    out.print(f"[bold]{name}[/bold]: {info.summary}")
    for key in ("citation", "licence", "url", "input", "extra"):
        if getattr(info, key):
            out.print(f"  {key}: {_plain(str(getattr(info, key)))}")
    if info.training_data:
        out.print(f"  training data: {', '.join(info.training_data)}")
    table = Table("knob", "default", "meaning")
    for knob, field in cls.Parameters.model_fields.items():
        default = "(required)" if field.is_required() else _plain(repr(field.default))
        table.add_row(knob, default, _plain(field.description or ""))
    if cls.Parameters.model_fields:
        out.print(table)


@app.command(epilog=_examples("cellharness doctor"))
def doctor() -> None:
    """Say what is missing on this machine, and the command that mends it."""
    from harness.doctor import examine

    marks = {True: "[green]ok[/green]", False: "[red]mend[/red]", None: "[dim]note[/dim]"}
    sound = True
    for finding in examine():
        out.print(f"{marks[finding.ok]}  {finding.subject}: {_plain(finding.state)}")
        if finding.ok is not True and finding.remedy:
            out.print(f"      -> {_plain(finding.remedy)}")
        sound = sound and finding.ok is not False
    if not sound:
        raise typer.Exit(EXIT_FAILED_CASES)


@weights_app.command("list", epilog=_examples("cellharness weights list"))
def weights_list() -> None:
    """List the named weights, and which are on this machine."""
    from adapters.registry import weight_names, weight_source
    from harness.weights import WeightsHashError

    table = Table("weights", "here", "SHA256", "training data", "licence", "source")
    for name in weight_names():
        source = weight_source(name)
        try:
            found = source.locate()
            here, sha256 = ("yes", found.sha256["network"][:12]) if found else ("no", "")
        except WeightsHashError:
            here, sha256 = "[red]changed[/red]", ""
        data = ", ".join(source.training_data)
        table.add_row(name, here, sha256, data, source.licence, source.source)
    out.print(table)


@weights_app.command(
    "fetch",
    epilog=_examples("cellharness weights fetch cyto", "cellharness weights fetch cyto cyto2"),
)
def weights_fetch(names: Annotated[list[str], typer.Argument(metavar="NAME...")]) -> None:
    """Fetch named weights and verify them."""
    from adapters.registry import weight_source

    for name in names:
        found = weight_source(name).fetch()
        for role, path in found.files.items():
            out.print(f"{name} {role}: {path} SHA256 {found.sha256[role]}")


@data_app.command("validate", epilog=_examples("cellharness data validate manifest.csv"))
def data_validate(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="Manifest CSV.")],
    root: Annotated[Path | None, typer.Option(help="Folder its paths start from.")] = None,
    guess: Annotated[
        Path | None,
        typer.Option(
            "--write-guesses",
            metavar="CSV",
            help="Write a manifest with empty modalities guessed, marked as guessed.",
        ),
    ] = None,
) -> None:
    """Read every image and label of a manifest; report faults, leaks and doubts."""
    from harness.dataset import Manifest
    from harness.modality_guess import with_guessed_modalities
    from harness.validate import validate

    cases = Manifest.read(manifest, root)
    with _counter("validating") as progress:
        answer = validate(cases, progress=progress)
    colours = {"error": "red", "warning": "yellow", "note": "cyan"}
    for finding in answer.findings:
        colour = colours[finding.level]
        out.print(
            f"[{colour}]{finding.level}[/{colour}] {finding.case} {finding.code}: "
            f"{_plain(finding.message)}"
        )
    counts = ", ".join(f"{len(answer.at(level))} {level}(s)" for level in colours)
    out.print(f"{answer.n_cases} cases: {counts}")
    if guess is not None:
        with_guessed_modalities(cases).write(guess)
        out.print(f"Guessed modalities: {guess}")
    if not answer.ok:
        raise typer.Exit(EXIT_FAILED_CASES)


@data_app.command(
    "import",
    epilog=_examples("cellharness data import neurips22/ --out neurips22/manifest.csv"),
)
def data_import(
    folder: Annotated[Path, typer.Argument(help="Unpacked challenge data.")],
    manifest: Annotated[Path, typer.Option("--out", help="Manifest CSV to write.")],
) -> None:
    """Make a manifest of an unpacked copy of the challenge data."""
    from harness.challenge import import_challenge

    with _counter("hashing") as progress:
        answer = import_challenge(folder, manifest, progress=progress)
    for part, count in answer.found.items():
        out.print(f"{part}: {count}")
    for problem in answer.problems:
        err.print(f"[yellow]{_plain(problem)}[/yellow]")
    out.print(f"{len(answer.manifest.cases)} cases: {manifest}")
    out.print("No file of the record says an image's modality; fill the column, or guess it with")
    out.print(f"  cellharness data validate {manifest} --root {folder} --write-guesses guessed.csv")


@data_app.command(
    "download",
    cls=SpreadCommand,
    epilog=_examples(
        "cellharness data download --out neurips22/",
        "cellharness data download --out neurips22/ --part Tuning",
    ),
)
def data_download(
    folder: Annotated[Path, typer.Option("--out", help="Folder for archives and data.")],
    part: Annotated[
        list[str] | None, typer.Option(help="Training-labeled, Tuning or Testing; default all.")
    ] = None,
) -> None:
    """Fetch the challenge data (CC BY-NC-ND 4.0), resumable and hash-checked."""
    from harness.challenge_download import ARCHIVES, download_challenge

    with _counter("bytes") as progress:
        paths = download_challenge(folder, part or tuple(ARCHIVES), progress=progress)
    for path in paths:
        out.print(str(path))


@data_app.command(
    "phantom",
    epilog=_examples("cellharness data phantom --out phantom/ --seed 0"),
)
def data_phantom(
    folder: Annotated[Path, typer.Option("--out", help="Folder for images, labels, manifest.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    per_experiment: Annotated[
        int | None, typer.Option(min=1, help="Images per experiment and split.")
    ] = None,
) -> None:
    """Generate the embedded synthetic images of four modalities."""
    from harness.phantom import generate

    options: dict[str, Any] = {"seed": seed}
    if per_experiment is not None:
        options["per_experiment"] = per_experiment
    manifest = generate(folder, **options)
    out.print(f"{len(manifest.cases)} cases: {manifest.path}")


class _Bars:
    """Progress of a run: one bar for each method, then one for scoring."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def method_started(self, label: str, total: int, reused: int) -> None:
        """Open a bar."""
        text = f"{label} ({reused} there already)" if reused else label
        self._task = self._progress.add_task(_plain(text), total=total, completed=reused)

    def case_finished(self, label: str, case: str, outcome: Outcome) -> None:
        """Move on; say at once what went wrong."""
        assert self._task is not None
        self._progress.advance(self._task)
        if outcome.status not in SEGMENTED:
            text = f"{label}, {case}: {outcome.status}. {outcome.message}"
            self._progress.console.print(f"[yellow]{_plain(text)}[/yellow]")

    def scoring_started(self, total: int) -> None:
        """Open the last bar."""
        self._task = self._progress.add_task("scoring", total=total)

    def pair_scored(self) -> None:
        """Move on."""
        assert self._task is not None
        self._progress.advance(self._task)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    )


@contextmanager
def _bars() -> Iterator[_Bars]:
    with _progress() as progress:
        yield _Bars(progress)


@contextmanager
def _counter(text: str) -> Iterator[Callable[[int, int | None], None]]:
    with _progress() as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _key_values(settings: Sequence[str]) -> dict[str, Any]:
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            msg = f"--set takes key=value, not '{setting}'"
            raise UsageError(msg)
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            values[key] = text
    return values


def _print_statuses(statuses: Any) -> None:
    names = sorted({status for counter in statuses.values() for status in counter})
    table = Table("method", *names)
    for method, counter in statuses.items():
        table.add_row(method, *(str(counter.get(name, 0)) for name in names))
    out.print(table)


def _print_medians(folder: Path) -> None:
    """Median F1 at 0.5 by modality, profile strict: the answer in one look."""
    import pandas as pd

    scores = pd.read_csv(folder / "scores.csv")
    profiles = set(scores["profile"])
    chosen = scores[scores["profile"] == ("strict" if "strict" in profiles else profiles.pop())]
    chosen = chosen[chosen["threshold"] == chosen["threshold"].min()]
    chosen = chosen.fillna({"modality": "unknown"})
    cells = chosen.pivot_table(
        "f1", "method", "modality", "median", margins=True, margins_name="All"
    )
    title = f"median F1 at IoU {chosen['threshold'].iloc[0]:g}, {chosen['profile'].iloc[0]}"
    table = Table("method", *map(str, cells.columns), title=title)
    # A method without a single score has dropped out of the pivot; it still gets its row.
    cells = cells.reindex(list(dict.fromkeys(chosen["method"])))
    for method, row in cells.iterrows():
        table.add_row(str(method), *("-" if pd.isna(value) else f"{value:.3f}" for value in row))
    out.print(table)


def _plain(text: str) -> str:
    """Keep brackets in messages from being read as markup."""
    return text.replace("[", r"\[")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are printed without a traceback."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        app(args=list(args) if args is not None else None, standalone_mode=True)
    except UsageError as error:
        err.print(f"[red]error:[/red] {_plain(str(error))}")
        sys.exit(EXIT_USAGE)
    except (OSError, sqlite3.DatabaseError) as error:
        err.print(f"[red]error:[/red] {_plain(str(error))}")
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
