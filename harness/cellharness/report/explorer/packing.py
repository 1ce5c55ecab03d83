"""Numbers and text in the form in which a script can hold them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np


def pack_floats(values: np.ndarray) -> str:
    """Write numbers as base64 of little-endian float32, last axis fastest; NaN stays NaN.

    Examples
    --------
    >>> pack_floats(np.array([1.0, np.nan]))
    'AACAPwAAwH8='
    """
    return _base64(values, "<f4")


def pack_bytes(values: np.ndarray) -> str:
    """Write whole numbers from 0 to 255 as base64.

    Examples
    --------
    >>> pack_bytes(np.array([[0, 1], [2, 255]]))
    'AAEC/w=='
    """
    return _base64(values, "u1")


def script_text(value: Any) -> str:
    r"""Write a value as JSON that is safe wherever a script may stand, and ASCII only.

    Examples
    --------
    >>> print(script_text({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _base64(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode("ascii")
