"""The memory shared with decoder processes: image slots, and for each process a mark of its current image."""

import errno
import mmap
import os
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featx.machine import memory_limit

IDLE = -1
"""Mark of a process that works on no image."""

_PAGE = 4096
_ZEROS = bytes(1 << 20)


def shared_file(size: int) -> int:
    """Open an anonymous file of `size` bytes that can be mapped by several processes and leaves nothing behind.

    Parameters
    ----------
    size : int
        Bytes; all of them are really allocated, so that touching them later can't fail (a mapping that can't be backed
        kills with SIGBUS).

    Returns
    -------
    int
        File descriptor, not inheritable.

    Raises
    ------
    OSError
        There is no room for it, or it would take more than half of the machine's or container's memory.
    """
    if size > memory_limit() // 2:  # asked beforehand: a container that runs out of memory kills, it doesn't refuse
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    try:
        # Not under /dev/shm, which containers often limit to 64 MB.
        fd = os.memfd_create("featx", os.MFD_CLOEXEC)
    except (AttributeError, OSError):  # not Linux, or forbidden by a sandbox
        import tempfile  # which a decoder process doesn't need, and is to be up soon

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        # Writing allocates everywhere; macOS has no posix_fallocate.
        left = size
        while left:
            left -= os.write(fd, _ZEROS[:left] if left < len(_ZEROS) else _ZEROS)
    except OSError:
        os.close(fd)
        raise
    return fd


class Ring:
    """Image slots and marks in one shared file, mapped.

    Parameters
    ----------
    fd : int
        File of at least `Ring.size` bytes, from `shared_file`.
    slots : int
        Number of image slots.
    image_size : (int, int)
        Height H and width W.
    workers : int
        Number of processes.
    views : int
        Number K of views that follow each image.

    Attributes
    ----------
    images : (slots, H, W, 3) uint8, or (slots, 1 + K, H, W, 3) with views
        Written by the processes, read by the parent.
    marks : (workers, 2) int64
        For each process the position of the image that it works on (`IDLE` for none) and when it last made progress
        with it (`time.monotonic_ns`, a clock that all processes share).
    """

    def __init__(self, fd: int, *, slots: int, image_size: tuple[int, int], workers: int, views: int = 0) -> None:
        self.fd = fd
        # The mapping is closed when the last array on it is gone, so a kept batch never points to nowhere.
        memory = mmap.mmap(fd, self.size(slots=slots, image_size=image_size, workers=workers, views=views))
        self.marks: NDArray[np.int64] = np.frombuffer(memory, np.int64, 2 * workers).reshape(workers, 2)
        shape = (slots, 1 + views, *image_size, 3) if views else (slots, *image_size, 3)
        pixels = np.frombuffer(memory, np.uint8, int(np.prod(shape)), offset=self._start(workers))
        self.images: NDArray[np.uint8] = pixels.reshape(shape)

    @classmethod
    def allocate(cls, *, slots: int, image_size: tuple[int, int], workers: int, views: int = 0) -> Self:
        """Make a new ring, its memory reserved.

        Raises
        ------
        OSError
            There is no room for it.
        """
        fd = shared_file(cls.size(slots=slots, image_size=image_size, workers=workers, views=views))
        try:
            ring = cls(fd, slots=slots, image_size=image_size, workers=workers, views=views)
        except OSError:
            os.close(fd)
            raise
        ring.marks[:, 0] = IDLE
        return ring

    @classmethod
    def size(cls, *, slots: int, image_size: tuple[int, int], workers: int, views: int = 0) -> int:
        """Bytes of a ring."""
        return cls._start(workers) + slots * (1 + views) * image_size[0] * image_size[1] * 3

    @staticmethod
    def _start(workers: int) -> int:
        return -(-16 * workers // _PAGE) * _PAGE

    def close(self) -> None:
        """Close the file; arrays taken from the ring stay readable."""
        os.close(self.fd)
