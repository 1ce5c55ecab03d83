"""Take a run directory: no folder of somebody else's, and never two runs in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellharness.errors import UsageError, first_of
from cellharness.files import alone, has_keys, refuse_file_for_folder, write_atomic
from cellharness.run_directory import RunDirectory
from cellharness.running.ledger import is_ledger

_MARK = b"cellharness writes its runs here; docs/run-directory.md says what is what.\n"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a run directory to oneself; make it if it is not there.

    Raises
    ------
    UsageError
        It is a file, cannot be written to, holds files that no run wrote, or another run is busy
        in it.
    """
    refuse_foreign(folder)
    run = RunDirectory(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not run.mark.is_file():
            write_atomic(run.mark, _MARK)
    except OSError as error:
        msg = f"cannot write into '{folder}': {error.strerror}; give another --out"
        raise UsageError(msg) from error
    with alone(run.lock, f"another run is busy in '{folder}'", "give another --out"):
        yield


def refuse_foreign(folder: Path) -> None:
    """Raise if a run would write over files in a folder that is no run directory.

    Raises
    ------
    UsageError
        Naming what is in the way; nothing was written.
    """
    refuse_file_for_folder(folder)
    run = RunDirectory(folder)
    taken = [path.name for path in run.written if path.exists()]
    if taken and not _is_ours(run):
        msg = (
            f"'{folder}' holds {first_of(taken)}, and no run of cellharness wrote that; it is not "
            "replaced. Give another --out"
        )
        raise UsageError(msg)


def _is_ours(run: RunDirectory) -> bool:
    """Whether a run began here; by its mark, or by the documents of runs that had none."""
    if run.mark.is_file() and run.mark.read_bytes() == _MARK:
        return True
    if run.database.is_file() and is_ledger(run.database):
        return True
    records = (run.record, *run.path.glob("training/*/training.json"))
    return any(has_keys(record, {"name", "status", "versions"}) for record in records)
