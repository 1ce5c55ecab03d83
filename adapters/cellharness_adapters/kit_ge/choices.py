"""Named choices of the parameters, apart from the modules that act on them and import much."""

from __future__ import annotations

from typing import Literal

#: Of the network's hidden layers.
Activation = Literal["relu", "mish"]

#: How grey values become the network's input, see :mod:`.normalisation`.
Normalisation = Literal["min_max", "published"]
