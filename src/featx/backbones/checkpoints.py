"""The tensors of a checkpoint in PyTorch's first format, without PyTorch and without running what a pickle names.

The file is a row of pickles (a magic number, the version of the protocol, the sizes of types, the tensors with the
keys of their storages, the keys in order) and then the storages themselves: the number of elements as int64, and the
elements (``torch.serialization._legacy_save``). A pickle may name any function to be called; here it can name a
dictionary, a tensor and two kinds of storage, which become plain tuples. A pickle can still ask for more memory than a
machine has, so only files whose digest is known are read.
"""

import collections
import hashlib
import io
import math
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import WeightsError
from featx.files import open_regular

MOST_BYTES = 256 << 20
"""Size from which on a checkpoint isn't read: ten times the largest that is expected."""

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT = struct.Struct("<q")
_DTYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor(NamedTuple):
    """A tensor as its pickle describes it: place and layout in a storage, in elements."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


class _Unpickler(pickle.Unpickler):
    """Builds dictionaries, texts, numbers and `_Tensor`; any other name in the file is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # A new one each time: a pickle can give attributes to what it names.
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint of plain tensors needs")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def read_checkpoint(path: Path, *, sha256: str) -> dict[str, NDArray[Any]]:
    """Read the tensors of a checkpoint.

    Parameters
    ----------
    path : Path
        Written by PyTorch before its version 1.6, or with ``_use_new_zipfile_serialization=False``.
    sha256 : str
        Digest of the file, 64 hexadecimal digits.

    Returns
    -------
    dict of str to ndarray
        float32 or int64, C-contiguous, by the names of the state dictionary, in its order.

    Raises
    ------
    WeightsError
        The file can't be read, or is another one.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"weights file {path} can't be read: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(
            f"weights file {path} is not the one that was published: it was changed, or not copied whole; "
            "install its package again"
        )
    return tensors_of(io.BytesIO(content))


def tensors_of(file: io.BytesIO) -> dict[str, NDArray[Any]]:
    """Read the tensors from a checkpoint's bytes.

    Raises
    ------
    ValueError, pickle.UnpicklingError
        It is of another format or cut short, or names anything but tensors.
    """
    magic, protocol, _, state, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL) or not isinstance(state, Mapping):
        raise ValueError("another format")
    wanted = {str(one.storage[2]): (_DTYPES[one.storage[1]], int(one.storage[4])) for one in state.values()}
    storages = {}
    for key in keys:
        dtype, count = wanted[key]
        if _COUNT.unpack(file.read(_COUNT.size)) != (count,):
            raise ValueError(f"storage {key} has another length")
        elements = file.read(count * dtype.itemsize)
        if len(elements) != count * dtype.itemsize:
            raise ValueError(f"storage {key} is cut short")
        storages[key] = np.frombuffer(elements, dtype)
    if file.read(1):
        raise ValueError("more follows the last tensor")
    return {str(name): _view(one, storages[str(one.storage[2])]) for name, one in state.items()}


def _view(one: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    """Lay a tensor's shape over its storage, which must hold all of it."""
    shape, strides = tuple(map(int, one.shape)), tuple(map(int, one.strides))
    last = int(one.offset) + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    sound = min(*shape, *strides, int(one.offset), 0) == 0 and math.prod(shape) <= storage.size
    if not sound or last >= storage.size:
        raise ValueError("a tensor reaches beyond its storage")
    steps = tuple(stride * storage.itemsize for stride in strides)
    return np.ascontiguousarray(
        np.lib.stride_tricks.as_strided(storage[int(one.offset) :], shape, steps, writeable=False)
    )
