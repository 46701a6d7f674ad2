"""A decoder for tests, to be named to `Decoders`: a file's first word says what happens when it is decoded."""

import ctypes
import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from featx.errors import ImageError


def pixels(data, shape):
    """What a good file looks like: every byte depends on all bytes of the file."""
    digest = np.frombuffer(hashlib.sha256(data).digest(), np.uint8)
    return np.resize(digest, shape)


def decode_into(data, rules, out, *, max_pixels):
    word, _, rest = bytes(data).partition(b" ")
    ACTIONS.get(word, good)(rest)
    out[:] = pixels(data, (*rules.image_size, 3))


def thumbnail_into(data, rules, out, *, max_pixels):
    """Make a thumbnail of an image, after what the last word behind it says."""
    from featx.images import thumbnail_into

    ACTIONS.get(bytes(data).rpartition(b" ")[2], good)(b"")
    thumbnail_into(data, rules, out, max_pixels=max_pixels)


def good(rest):
    pass


def crash_once(rest):
    try:
        Path(os.fsdecode(rest)).touch(exist_ok=False)
    except FileExistsError:
        return
    os.abort()


def refuse(rest):
    raise ImageError("truncated", "cut off\nin two lines")


def fail(rest):
    raise ValueError(rest.decode())


def run_out_of_memory(rest):
    raise MemoryError


def lack_a_library(rest):
    raise ImportError("libpicture.so.5: no such file")


def chatter(rest):
    for _ in range(20):
        print("printed " * 1000)
        print("printed " * 1000, file=sys.stderr)
    os.write(1, b"written")


ACTIONS = {
    b"exit": lambda rest: os._exit(3),
    b"abort": lambda rest: os.abort(),
    b"segv": lambda rest: signal.raise_signal(signal.SIGSEGV),
    b"hang": lambda rest: time.sleep(1000),
    b"stuck": lambda rest: ctypes.PyDLL(None).sleep(1000),  # in C, and no other thread of Python's runs
    b"slow": lambda rest: time.sleep(0.3),
    b"once": crash_once,
    b"refuse": refuse,
    b"fail": fail,
    b"memory": run_out_of_memory,
    b"library": lack_a_library,
    b"chatter": chatter,
}
