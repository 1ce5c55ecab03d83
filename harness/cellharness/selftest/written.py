"""``selftest.json`` and ``selftest.md``: what a self test found, for programs and for readers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cellharness.errors import UsageError
from cellharness.files import write_atomic
from cellharness.methods.registry import methods
from cellharness.provenance import environment
from cellharness.selftest.part import Result

#: Of the file; one that says otherwise is refused.
FORMAT = 1
#: Columns of the table of what was measured: key, head, digits.
_COLUMNS = (
    ("images_per_s", "images/s", 2),
    ("crops_per_s", "crops/s", 1),
    ("times_the_library", "times the library", 2),
    ("cpu_s_per_image", "s an image on the CPU", 2),
    ("s_per_image", "s an image", 3),
    ("utilisation_percent", "utilisation, %", 0),
    ("images_per_s_at_once", "images/s, several at once", 2),
    ("utilisation_percent_at_once", "utilisation then, %", 0),
    ("allocator_peak_mb", "peak, allocator, MiB", 0),
    ("driver_peak_mb", "peak, driver, MiB", 0),
)


def write_results(
    folder: Path, results: Sequence[Result], *, device: str, measured: bool, images: str = ""
) -> dict[str, Any]:
    """Write both files into a folder, which is made if it is not there.

    Parameters
    ----------
    folder : Path
    results : sequence of Result
    device : {"cpu", "cuda"}
    measured : bool
        Whether it was a test of a GPU, or the rehearsal of one on a CPU.
    images : str
        Manifest of real images, or "".

    Returns
    -------
    dict
        What the JSON file holds.
    """
    content = {
        "format": FORMAT,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "gpu_test": measured,
        "rehearsal": measured and device == "cpu",
        "images": Path(images).parent.name if images else "embedded",
        "environment": {**environment(_packages()), **_torch()},
        "parts": [result.as_json() for result in results],
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1)
    write_atomic(folder / "selftest.json", f"{text}\n".encode())
    write_atomic(folder / "selftest.md", to_markdown(content).encode())
    return content


def read_results(path: Path) -> dict[str, Any]:
    """Read ``selftest.json``.

    Raises
    ------
    UsageError
        It is no such file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"'{path}' is no selftest.json of format {FORMAT}; make one with cellharness selftest"
        raise UsageError(msg)
    return content


def to_markdown(content: Mapping[str, Any]) -> str:
    """Set what was found as tables: what was checked, and what was measured where it was."""
    results = [Result.from_json(each) for each in content["parts"]]
    lines = [_where(content), ""]
    timed = [result for result in results if _shown(result.measured)]
    if timed:
        keys = [column for column in _COLUMNS if any(column[0] in r.measured for r in timed)]
        lines += [_row("part", "settings", *(head for _, head, _ in keys))]
        lines += [_row("---", "---", *("---:" for _ in keys))]
        lines += [
            _row(
                result.part,
                _settings(result.measured),
                *(_number(result.measured.get(key), digits) for key, _, digits in keys),
            )
            for result in timed
        ]
        lines.append("")
    lines += [_row("part", "status", "seconds", "what was seen"), _row("---", "---", "---:", "---")]
    lines += [_row(r.part, r.status, f"{r.seconds:.0f}", _told(r)) for r in results]
    return "\n".join(lines) + "\n"


def _packages() -> list[str]:
    names: dict[str, None] = dict.fromkeys(("torch", "torchvision"))
    for method in methods().values():
        try:
            names.update(dict.fromkeys(method().info.packages))
        except UsageError:
            continue
    return list(names)


def _torch() -> dict[str, Any]:
    """The CUDA that torch was built for, where there is a torch."""
    try:
        import torch
    except ImportError:
        return {}
    return {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def _where(content: Mapping[str, Any]) -> str:
    around = content["environment"]
    machine = around["machine"]
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory']})" for gpu in machine["gpus"]) or "no GPU"
    versions = around["versions"]
    named = [f"{name} {versions[name]}" for name in ("torch", "numpy", "numba") if name in versions]
    cuda = f", CUDA {around['cuda']}" if around.get("cuda") and content["device"] == "cuda" else ""
    head = (
        "**Rehearsal on a CPU, nothing of it was measured on a GPU.** "
        if content["rehearsal"]
        else ""
    )
    commit = str(around["git"]["commit"] or "")[:9]
    if commit and around["git"]["dirty"]:
        commit += " with changes"
    return (
        f"{head}{content['written'][:10]}, {gpus}, {machine['cores']} cores of {machine['cpu']}, "
        f"Python {around['python']}, {', '.join(named)}{cuda}"
        f"{f', commit {commit}' if commit else ''}; images: {content['images']}."
    )


def _shown(measured: Mapping[str, Any]) -> bool:
    return any(key in measured for key, _, _ in _COLUMNS)


def _settings(measured: Mapping[str, Any]) -> str:
    if "crops" in measured:
        words = [f"batch {measured['batch_size']}", str(measured.get("precision", ""))]
    else:
        words = [f"{measured['images']} images, best of {measured['rounds']}"]
    if measured.get("driver_peak_of") == "device":
        words.append("driver: whole device")
    return ", ".join(filter(None, words))


def _told(result: Result) -> str:
    facts = [
        f"{each.what}: {each.value}" + (f" (wanted {each.wanted})" if not each.ok else "")
        for each in result.seen
    ]
    if result.part == "GPU tests" and result.measured:
        counts = ", ".join(f"{number} {word}" for word, number in result.measured.items())
        facts = [counts, *(f"{s.what}: {s.value}" for s in result.seen if not s.ok)]
    first = result.message.strip().splitlines()[:1]
    return "; ".join([*first, *facts])


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"
