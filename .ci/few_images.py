"""Copy a few real images with their labels, and a manifest of them.

python .ci/few_images.py MANIFEST FOLDER
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from cellharness.data.manifest import Manifest

#: Small ones of four modalities; cell_00064 is what tests marked gpu look at.
CASES = (
    "cell_00030", "cell_00035", "cell_00052", "cell_00064", "cell_00066", "cell_00103",
    "cell_00111", "cell_00115", "cell_00116", "cell_00141",
)  # fmt: skip


def main() -> None:
    """Copy them."""
    given, out = Path(sys.argv[1]), Path(sys.argv[2])
    manifest = Manifest.read(given)
    kept = [manifest[name] for name in CASES]
    for case in kept:
        for path in (case.image, case.label):
            copy = out / Path(path).relative_to(given.resolve().parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    lines = given.read_text(encoding="utf-8").splitlines()
    wanted = [lines[0], *(line for line in lines if line.partition(",")[0] in CASES)]
    (out / given.name).write_text("\n".join(wanted) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
