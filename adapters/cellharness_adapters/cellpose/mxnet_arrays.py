"""Read the MXNet array file that holds the original cyto weights, without MXNet."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from cellharness.weights import WeightFileError

_FILE_MAGIC = 0x112
#: First bytes of such a file.
MAGIC = struct.pack("<Q", _FILE_MAGIC)
_ARRAY_MAGICS = (0xF993FAC9, 0xF993FACA)
_DTYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8"}


class ArrayFileError(WeightFileError):
    """The file is not an MXNet array file, or is cut short."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the named arrays of an MXNet ``NDArray`` file.

    Parameters
    ----------
    path : Path
        Written by ``mxnet.nd.save`` (list magic 0x112).

    Returns
    -------
    dict of str to ndarray
        In the order of the file.

    Raises
    ------
    ArrayFileError
        Wrong magic number, sparse storage, an unknown dtype, or a truncated file.
    """
    data = path.read_bytes()
    position = 0

    def take(layout: str) -> tuple[int, ...]:
        nonlocal position
        values = struct.unpack_from(f"<{layout}", data, position)
        position += struct.calcsize(f"<{layout}")
        return values

    try:
        magic, _, count = take("QQQ")
        if magic != _FILE_MAGIC:
            msg = f"'{path}' is no MXNet array file: magic {magic:#x}, expected {_FILE_MAGIC:#x}"
            raise ArrayFileError(msg)
        arrays: list[np.ndarray] = []
        for _ in range(count):
            array_magic, storage, dimensions = take("IiI")
            if array_magic not in _ARRAY_MAGICS or storage != 0:
                msg = f"'{path}': array {len(arrays)} has magic {array_magic:#x}, storage {storage}"
                raise ArrayFileError(msg)
            shape = take(f"{dimensions}q")
            *_, dtype = take("iii")
            if dtype not in _DTYPES:
                msg = f"'{path}': array {len(arrays)} has unknown dtype code {dtype}"
                raise ArrayFileError(msg)
            size = int(np.prod(shape))
            array = np.frombuffer(data, _DTYPES[dtype], size, position).reshape(shape)
            position += array.nbytes
            arrays.append(array)
        names = []
        for _ in range(take("Q")[0]):
            (length,) = take("Q")
            names.append(data[position : position + length].decode())
            position += length
    except (struct.error, ValueError) as error:
        msg = (
            f"'{path}' is cut short: its {len(data)} bytes end within an array that begins before "
            f"byte {position}; copy or download it again"
        )
        raise ArrayFileError(msg) from error
    if position != len(data) or len(names) != len(arrays):
        msg = (
            f"'{path}': {len(arrays)} arrays, {len(names)} names, {len(data) - position} bytes over"
        )
        raise ArrayFileError(msg)
    return dict(zip(names, arrays, strict=True))


def torch_name(name: str) -> str:
    """Translate an MXNet parameter name into that of ``cellpose.resnet_torch.CPnet``.

    Examples
    --------
    >>> torch_name("downsample.down.0.conv.1.0.gamma")
    'downsample.down.res_down_0.conv.conv_1.0.weight'
    >>> torch_name("upsample.up.3.conv.2.full.bias")
    'upsample.up.res_up_3.conv.conv_2.full.bias'
    """
    name = re.sub(r"^(downsample\.)down\.(\d)\.", r"\1down.res_down_\2.", name)
    name = re.sub(r"^(upsample\.)up\.(\d)\.", r"\1up.res_up_\2.", name)
    name = re.sub(r"(res_(?:down|up)_\d\.conv)\.(\d)\.", r"\1.conv_\2.", name)
    return name.replace(".gamma", ".weight").replace(".beta", ".bias")
