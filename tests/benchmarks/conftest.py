"""What all benchmarks have in common."""

from __future__ import annotations

import os
import sys

# Python keeps the bytecode of what it imports unless told not to, as in some containers, where
# every process would compile torch and the rest anew: nobody's usual start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
