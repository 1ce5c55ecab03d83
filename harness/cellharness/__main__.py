"""``python -m cellharness`` is the ``cellharness`` command."""

from __future__ import annotations

from cellharness.cli import main

if __name__ == "__main__":
    main()
