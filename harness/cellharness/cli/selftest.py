"""``cellharness selftest``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, examples, out, plain, say_path
from cellharness.errors import UsageError

if TYPE_CHECKING:
    from cellharness.selftest import Result

_MARKS = {
    "passed": "[green]passed[/green]",
    "failed": "[red]failed[/red]",
    "error": "[red]error[/red]",
    "timeout": "[red]timeout[/red]",
    "skipped": "[dim]skipped[/dim]",
}
_GPU_FOLDER = Path("selftest")


@app.command(
    epilog=examples(
        "cellharness selftest",
        "cellharness selftest --only cellpose",
        "cellharness selftest --gpu --out measured/ --minutes 8",
        "cellharness selftest --gpu --device cpu --only kit-ge",
    ),
)
def selftest(
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="On a CUDA GPU: masks against the CPU's, speed, memory, trainings, the GPU tests.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="With --gpu: cuda, or cpu to rehearse all of it without a GPU."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="Only this method, or tests; may be repeated."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="With --gpu: manifest of real images to add."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of selftest.json and selftest.md; --gpu: selftest."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Begin no part after so many, and end what is at work.")
    ] = None,
) -> None:
    """Try the installed methods on embedded images; exit code 1 where something is wrong."""
    from cellharness.selftest import FAILED, plan, run, write_results

    kind = _device(gpu=gpu, device=device)
    if images is not None and not gpu:
        msg = "--images is for --gpu; without it the embedded images alone are used"
        raise UsageError(msg)
    if images is not None:
        from cellharness.data.manifest import Manifest

        Manifest.read(images)  # what is wrong with it is said before anything runs
    manifest = "" if images is None else str(images.resolve())
    parts, skipped = plan(kind, measured=gpu, only=only or (), images=manifest)
    for result in skipped:
        _tell(result)
    results = [*run(parts, minutes, _tell), *skipped]
    folder = output or (_GPU_FOLDER if gpu else None)
    if folder is not None:
        write_results(folder, results, device=kind, measured=gpu, images=manifest)
        say_path("Written", folder / "selftest.json")
        say_path("Written", folder / "selftest.md")
    bad = [result.part for result in results if result.status in FAILED]
    passed = sum(result.status == "passed" for result in results)
    out.print(f"{passed} passed, {len(bad)} failed, {len(results) - passed - len(bad)} skipped")
    if bad:
        raise typer.Exit(EXIT_FAILED_CASES)
    if not passed:
        out.print("Nothing was tried; `cellharness doctor` says what is missing.")
        raise typer.Exit(EXIT_FAILED_CASES)


def _device(*, gpu: bool, device: str | None) -> Literal["cpu", "cuda"]:
    """Settle on which device; a GPU is demanded before anything runs."""
    if device is not None and device not in ("cpu", "cuda"):
        msg = f"--device {device} is none; choose cuda, or cpu to rehearse a GPU test"
        raise UsageError(msg)
    if not gpu:
        if device is not None:
            msg = "--device is for --gpu; without it everything runs on the CPU"
            raise UsageError(msg)
        return "cpu"
    if device == "cpu":
        return "cpu"
    from cellharness.methods.device import choose_device

    try:
        return choose_device("cuda")
    except ImportError as error:
        msg = f"--gpu needs torch, which is not installed ({error})"
        raise UsageError(msg) from error


def _tell(result: Result) -> None:
    out.print(f"{_MARKS[result.status]}  {plain(result.part)} ({result.seconds:.0f} s)")
    if result.message:
        out.print(f"      {plain(result.message.strip())}")
    for seen in result.seen:
        if result.part != "GPU tests" or not seen.ok:
            wanted = f", wanted {seen.wanted}" if seen.wanted else ""
            out.print(f"      {plain(f'{seen.what}: {seen.value}{wanted}')}")
