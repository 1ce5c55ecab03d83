"""Rehearse the challenge without its data: every command, measured, on generated images.

From the root of the project::

    python tests/rehearsal.py ../rehearsal
    python tests/rehearsal.py ../rehearsal --kill preparing --kill epoch --kill prediction
    python tests/rehearsal.py /tmp/small --train 8 --tuning 3 --test 4 --slide 600 --small

Makes archives as the challenge's (`stand_in.py`), serves them on this machine, and calls the
commands of a comparison one after another. What each took stands in ``OUT/rehearsal.json``, also
when this program is killed; called again it goes on, and steps that are done are passed over.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import tifffile
import yaml

from cellharness.caching import cache_dir
from cellharness.files import write_atomic
from cellharness.provenance import environment
from cellharness.run_directory import RunDirectory
from download_server import Server
from stand_in import PARTS, Amounts, make_archives

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
TRAININGS = ("cellpose2", "kit-ge")
MOMENTS = ("preparing", "epoch", "prediction")
#: Seconds from one look at the processes to the next, at most, and as a share of what has passed.
_LOOK_S, _LOOK_SHARE = 0.2, 0.05
#: Seconds without another prepared image after which the epoch has begun.
_STILL_S = 10.0
#: Seconds in which the processes of a killed command must have ended by themselves.
_LINGER_S = 60.0


@dataclass
class Step:
    """One command.

    Attributes
    ----------
    name
        In the JSON.
    arguments
        Of ``cellharness``.
    kills
        Moment to whether it has come.
    kept
        Gives the files of which none may be made twice.
    """

    name: str
    arguments: list[str]
    kills: dict[str, Callable[[], bool]] = field(default_factory=dict)
    kept: Callable[[], list[Path]] = list


class Rehearsal:
    """The folder of a rehearsal, and how far it came.

    Parameters
    ----------
    out
        Holds all that it makes, its own cache too.
    amounts
        Of images; those of an earlier call in the same folder must be the same.
    kills
        Some of `MOMENTS`; at each the command is killed once and called again.
    predict
        Images to predict at most, beside the slides; None for all.
    small
        KIT-GE has a network of a thousandth of the weights: to try the way, not to measure it.
    """

    def __init__(
        self,
        out: Path,
        amounts: Amounts,
        kills: list[str],
        predict: int | None = None,
        *,
        small: bool = False,
    ) -> None:
        self.out = out
        self.amounts = amounts
        self.kills = kills
        self.predict = predict
        self.small = small
        self.told = out / "rehearsal.json"
        self.data = out / "neurips22"
        self.cache = out / "cache"
        self.runs = {name: RunDirectory(out / "runs" / name) for name in ("rehearsal", "slides")}
        found = json.loads(self.told.read_text()) if self.told.is_file() else {}
        if found and found["amounts"] != asdict(amounts):
            sys.exit(f"error: '{out}' holds a rehearsal of {found['amounts']}; give another folder")
        self.steps: dict[str, list[dict[str, Any]]] = found.get("steps", {})
        #: When the command at hand was called, and how many files of its step were there.
        self.begun, self.n_files = 0.0, 0

    def run(self, until: str | None = None) -> None:
        """Do what is not done yet, up to a step."""
        self.out.mkdir(parents=True, exist_ok=True)
        archives = self.out / "archives"
        make_archives(archives, self.amounts)
        here = cache_dir() / "weights"
        if here.is_dir() and not (self.cache / "weights").is_dir():
            shutil.copytree(here, self.cache / "weights")
        self.configure()
        with served(archives, self.out / "archives.json"):
            for step in self.plan():
                if not self.done(step.name):
                    self.do(step)
                if step.name == until:
                    break
        self.save()

    def plan(self) -> list[Step]:
        """The commands, in order."""
        run = self.runs["rehearsal"]
        images = self.amounts.tuning + self.amounts.test - 2
        limit = [] if self.predict is None else ["--limit", str(self.predict)]
        images = min(images, self.predict or images)

        def predicted() -> list[Path]:
            return self.files(run.path / "predictions", "*/*.tiff")

        return [
            Step("weights", ["weights", "fetch", "cyto"]),
            Step(
                "download",
                ["data", "download", "--out", "neurips22", "--archives", "archives.json"],
            ),
            Step("import", ["data", "import", "neurips22", "--out", "neurips22/manifest.csv"]),
            Step(
                "validate",
                ["data", "validate", "neurips22/manifest.csv", "--write-guesses", "guessed.csv"],
            ),
            *(self.training(name) for name in TRAININGS),
            Step(
                "run" if self.predict is None else f"run, {self.predict} images",
                ["run", "rehearsal.yaml", "--out", "runs/rehearsal", "--resume", *limit],
                {"prediction": lambda: len(predicted()) > self.n_files + images // 2},
                predicted,
            ),
            Step("report", ["report", "runs/rehearsal", "--for-print"]),
            Step(
                "slides",
                ["run", "rehearsal-slides.yaml", "--out", "runs/slides", "--resume"],
            ),
        ]

    def training(self, name: str) -> Step:
        """The step of a training."""

        def prepared() -> list[Path]:
            return self.prepared(name)

        def images() -> int:
            last = {"cellpose2": "-flows.npy", "kit-ge": ".npy"}[name]  # made of an image
            return sum(path.name.endswith(last) for path in prepared())

        def in_epoch() -> bool:
            newest = max((path.stat().st_mtime for path in prepared()), default=0.0)
            still = time.time() - max(newest, self.begun + _STILL_S) > _STILL_S
            return still and images() >= self.amounts.train

        # One training is enough to see that a kill costs nothing; both are done by the same code.
        kills = {
            "preparing": lambda: images() > self.amounts.train // 3,
            "epoch": in_epoch,
        }
        command = ["train", "rehearsal.yaml", "--only", name, "--out", "runs/rehearsal"]
        return Step(f"train {name}", command, kills if name == TRAININGS[0] else {}, prepared)

    def prepared(self, name: str) -> list[Path]:
        """What a training prepared of its images and keeps."""
        rooms = {"cellpose2": ("flows", "pictures"), "kit-ge": ("distance_crops",)}[name]
        return [path for room in rooms for path in self.files(self.cache / room, "*.npy")]

    @staticmethod
    def files(folder: Path, pattern: str) -> list[Path]:
        """Whole files of a folder; those that are being written begin with a dot."""
        return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))

    def configure(self) -> None:
        """Write the configurations into the folder, with its own manifest and weights."""
        for name in ("rehearsal", "rehearsal-slides"):
            text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
            text = text.replace("../../rehearsal/", "")
            config = yaml.safe_load(text)
            if self.small:
                for training in config.get("training", []):
                    if training["method"] == "kit-ge":
                        training["parameters"]["filters"] = [8, 32]
                text = yaml.safe_dump(config, sort_keys=False)
            (self.out / f"{name}.yaml").write_text(text, encoding="utf-8")

    def done(self, name: str) -> bool:
        """Whether a step went through."""
        return any(attempt["ended"] == "finished" for attempt in self.steps.get(name, []))

    def do(self, step: Step) -> None:
        """Call a command until it goes through, with the kills asked for."""
        attempts = self.steps.setdefault(step.name, [])
        moments = [moment for moment in step.kills if moment in self.kills]
        for moment in moments:
            if not any(moment in attempt["ended"] for attempt in attempts):
                attempts.append(self.call(step, moment))
                self.save()
        attempts.append(self.call(step, None))
        self.save()
        if attempts[-1]["ended"] != "finished":
            sys.exit(f"error: {step.name} {attempts[-1]['ended']}; see {self.log(step.name)}")
        if step.name == "import":
            self.set_slides_apart()

    def call(self, step: Step, moment: str | None) -> dict[str, Any]:
        """Call a command once and measure it."""
        command = [sys.executable, "-m", "cellharness", *step.arguments]
        before = {path: path.stat().st_mtime_ns for path in step.kept()}
        log = self.log(step.name)
        log.parent.mkdir(exist_ok=True)
        print(f"{datetime.now(UTC):%H:%M:%S} {step.name}", flush=True)  # noqa: T201
        attempt: dict[str, Any] = {"command": " ".join(step.arguments)}
        self.begun, self.n_files, begun = time.time(), len(before), time.perf_counter()
        environ = os.environ | {"CELLHARNESS_CACHE": str(self.cache)}
        with log.open("a") as output:
            process = subprocess.Popen(
                command, cwd=self.out, env=environ, stdout=output, stderr=output
            )
            watch = Watch(process, step.kept)
            ended = watch.until(step.kills[moment] if moment else None)
        if ended is None:
            attempt["ended"] = f"killed: {moment}"
            attempt["lingered_s"] = round(watch.linger(), 1)
        else:
            # 1 says that cases failed, or data have faults: the command itself went through.
            attempt["ended"] = "finished" if ended in (0, 1) else f"failed with code {ended}"
            attempt["exit_code"] = ended
        attempt |= {
            "wall_s": round(time.perf_counter() - begun, 2),
            "processor_s": round(watch.processor_s, 2),
            "peak_mb": round(watch.peak_mb, 1),
            "to_last_file": watch.to_last_file,
            "files_before": len(before),
            "files_before_kept": sum(
                path.is_file() and path.stat().st_mtime_ns == then for path, then in before.items()
            ),
            "files_after": len(step.kept()),
        }
        print(f"{datetime.now(UTC):%H:%M:%S} {attempt}", flush=True)  # noqa: T201
        return attempt

    def log(self, name: str) -> Path:
        """What a step printed."""
        return self.out / "logs" / f"{name.replace(' ', '-')}.txt"

    def set_slides_apart(self) -> None:
        """Give the slides a split of their own, as a user writes it into the manifest."""
        path = self.data / "manifest.csv"
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            if row["part"] == "testing-wsi":
                row["split"] = "slides"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def save(self) -> None:
        """Write what is known so far."""
        content = {
            "format": 1,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "amounts": asdict(self.amounts),
            "niceness": os.nice(0),
            "environment": environment(("torch", "cellpose", "omnipose")),
            "steps": self.steps,
            "data": self.sizes(),
            "trainings": {name: self.trained(name) for name in TRAININGS},
            "predictions": {name: predictions(run) for name, run in self.runs.items()},
        }
        write_atomic(self.told, json.dumps(content, indent=1).encode())

    def sizes(self) -> dict[str, dict[str, float]]:
        """Images, million pixels and bytes of each part."""
        found = {}
        for part in PARTS:
            labels = [*(self.out / "archives/pictures" / part).rglob("*_label.tiff")]
            archive = self.out / "archives" / f"{part}.zip"
            found[part] = {
                "images": len(labels),
                "megapixels": round(sum(map(_pixels, labels)) / 1e6, 3),
                "megabytes": round(archive.stat().st_size / 1e6, 1),
            }
        return found

    def trained(self, name: str) -> dict[str, Any]:
        """What a training prepared, and its epoch."""
        files = self.prepared(name)
        found: dict[str, Any] = {
            "prepared_megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1)
        }
        if name == "kit-ge":
            found["crops"] = sum(np.load(path, mmap_mode="r").shape[0] for path in files)
        epochs = self.runs["rehearsal"].training(name).epochs
        if epochs.is_file() and epochs.stat().st_size:
            rows = pd.read_csv(epochs)
            found["epochs"] = len(rows)
            found["epoch_s"] = round(float(rows["seconds"].sum()), 2)
        return found


def predictions(run: RunDirectory) -> dict[str, dict[str, Any]]:
    """By method: images, million pixels, seconds and peak memory of its own process."""
    if not run.ledger.is_file():
        return {}
    found = {}
    for method, rows in pd.read_csv(run.ledger).groupby("method", sort=False):
        found[str(method)] = {
            "images": len(rows),
            "statuses": rows["status"].value_counts().to_dict(),
            "megapixels": round(float(rows["pixels"].sum()) / 1e6, 3),
            "seconds": round(float(rows["seconds_total"].sum()), 1),
            "loading_s": round(float(rows[["seconds_load", "seconds_warmup"]].sum().sum()), 1),
            "network_s": round(float(rows["seconds_network"].sum()), 1),
            "postprocess_s": round(float(rows["seconds_postprocess"].sum()), 1),
            "peak_mb": round(float(rows["peak_host_mb"].max()), 1),
        }
    return found


class Watch:
    """The processes of a command: their time and memory.

    Attributes
    ----------
    processor_s
        Of all its processes so far, also those that ended. Looks miss what came after the last of
        them, so at the end it is what the kernel counted, where that is more.
    peak_mb
        Largest sum of their resident memory, MiB; pages that several share count in each.
    to_last_file
        What had passed and what it had cost, in seconds, when the last of its files came; None
        without a new one.
    """

    def __init__(self, process: subprocess.Popen[bytes], files: Callable[[], list[Path]]) -> None:
        self.process = process
        self.root = psutil.Process(process.pid)
        self.peak_mb = 0.0
        self.to_last_file: dict[str, float] | None = None
        self._seconds: dict[psutil.Process, float] = {}
        self._ended_before = _of_ended_processes()
        self._files = files
        self._n_files = len(files())
        self._begun = time.perf_counter()

    @property
    def processor_s(self) -> float:
        seen = sum(self._seconds.values())
        return max(seen, _of_ended_processes() - self._ended_before)

    def until(self, moment: Callable[[], bool] | None) -> int | None:
        """Wait for the end and give the exit code, or kill at a moment and give None."""
        looks = 0
        while self.process.poll() is None:
            self._look()
            looks += 1
            if looks % 5 == 0:
                self._count()
            if moment is not None and moment():
                # Files may have come since the last count, and on a fast machine all of them.
                self._count()
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                return None
            passed = time.perf_counter() - self._begun
            time.sleep(min(_LOOK_S, _LOOK_SHARE * passed))
        return self.process.returncode

    def linger(self) -> float:
        """Seconds that other processes of a killed command lived on; ends those that stay."""
        begun = time.perf_counter()
        others = [each for each in self._seconds if each != self.root]
        _, left = psutil.wait_procs(others, _LINGER_S)
        for each in left:
            with suppress(psutil.Error):
                each.kill()
        return time.perf_counter() - begun

    def _count(self) -> None:
        count = len(self._files())
        if count > self._n_files:
            passed = time.perf_counter() - self._begun
            self.to_last_file = {
                "wall_s": round(passed, 2),
                "processor_s": round(self.processor_s, 2),
            }
        self._n_files = count

    def _look(self) -> None:
        memory = 0
        with suppress(psutil.Error):
            for each in (self.root, *self.root.children(recursive=True)):
                with suppress(psutil.Error):
                    times = each.cpu_times()
                    self._seconds[each] = times.user + times.system
                    memory += each.memory_info().rss
        self.peak_mb = max(self.peak_mb, memory / 2**20)


def _of_ended_processes() -> float:
    """Processor time of this process's children that ended and were waited for, and theirs."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


@contextmanager
def served(folder: Path, told: Path) -> Iterator[None]:
    """Serve the archives of a folder; write where they are and what they are to a file."""
    digests = json.loads((folder / "sha256.json").read_text())
    servers, places = [], {}
    for part in PARTS:
        server = Server((folder / f"{part}.zip").read_bytes())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        places[part] = {"url": server.url, "sha256": digests[part]}
    told.write_text(json.dumps(places))
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _pixels(path: Path) -> int:
    with tifffile.TiffFile(path) as file:
        height, width = file.pages[0].shape
    return height * width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder for all of it")
    for name, value in asdict(Amounts()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--kill", action="append", choices=MOMENTS, default=[])
    parser.add_argument("--predict", type=int, help="images to predict at most, beside the slides")
    parser.add_argument("--small", action="store_true", help="a small network for KIT-GE")
    parser.add_argument("--until", help="last step to do, such as 'train cellpose2'")
    told = parser.parse_args()
    amounts = Amounts(told.train, told.tuning, told.test, told.slide)
    Rehearsal(told.out.resolve(), amounts, told.kill, told.predict, small=told.small).run(
        told.until
    )


if __name__ == "__main__":
    main()
