"""What damaged files may do: nothing but be refused. Cases by hand, and a short run of the fuzzer itself."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from featx.errors import ImageError
from featx.images import decode
from featx.spec import PixelRules

FUZZER = Path(__file__).parents[1] / "benchmarks/fuzz.py"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def bmp(width: int, height: int, bits: int = 24) -> bytes:
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)


def tiff(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + table + struct.pack("<I", following)


SIZE = ((256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (262, 3, 1, 1))

CASES = {
    "png of no data": (png(4, 4), "truncated"),
    "png of no width": (png(0, 4), "truncated"),
    "png of four gigapixels": (png(65536, 65535), "too-large"),
    "png of the largest size": (png(2**31 - 1, 2**31 - 1), "too-large"),
    "png of an unknown depth": (png(4, 4, chunk(b"IDAT", zlib.compress(bytes(99))), depth=3), "truncated"),
    "png whose text unpacks to a gigabyte": (
        png(
            4, 4, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26), 9)), chunk(b"IDAT", zlib.compress(bytes(99)))
        ),
        "too-large",
    ),
    "png of a palette that isn't there": (png(4, 4, chunk(b"IDAT", zlib.compress(bytes(99))), colour=3), None),
    "gif of no size": (b"GIF89a" + bytes(7) + b";", "truncated"),
    "gif of the largest size": (
        b"GIF89a" + b"\xff" * 4 + bytes(3) + b",\0\0\0\0\xff\xff\xff\xff\0\x08\0;",
        "too-large",
    ),
    "bmp of no data": (bmp(4, 4), "truncated"),
    "bmp of the smallest height": (bmp(1, -(2**31)), "too-large"),
    "bmp of a negative width": (bmp(-4, 4), None),
    "bmp of 64 bits": (bmp(4, 4, bits=64), "unsupported"),
    "webp of the largest canvas": (b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6, "too-large"),
    "webp of a header only": (b"RIFF\x04\0\0\0WEBP", "truncated"),
    "tiff of no table": (struct.pack("<2sHI", b"II", 42, 8), "truncated"),
    "tiff whose table is itself": (tiff(*SIZE, following=8), "truncated"),
    "tiff of strips beyond the file": (tiff(*SIZE, (273, 4, 1, 10**6), (279, 4, 1, 16)), "truncated"),
    "tiff of four billion strips": (tiff(*SIZE, (273, 4, 2**32 - 1, 8), (279, 4, 2**32 - 1, 8)), "truncated"),
    "jpeg of markers only": (b"\xff\xd8" + b"\xff" * 5000, "truncated"),
    "jpeg of a scan without a frame": (b"\xff\xd8\xff\xda\0\x08\1\1\0\0\x3f\0\0\xff\xd9", "truncated"),
    "jpeg of the largest size": (
        b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0\0\xff\xd9",
        "too-large",
    ),
}


# Found by the fuzzer: the pixels are whole, and cv2, asked because Pillow gives 8 bits only, took half a gigabyte.
DEEP = chunk(b"IDAT", zlib.compress(bytes(4 * 25)))
LIAR = png(4, 4, b"\x20\0\0\0" + DEEP[4:], depth=16)
CASES["png of 16 bits whose data announces half a gigabyte"] = (LIAR, "truncated")


@pytest.mark.parametrize("what", CASES)
def test_a_hostile_image_is_refused_for_a_reason(what: str) -> None:
    data, reason = CASES[what]
    with pytest.raises(ImageError) as caught:
        decode(data, PixelRules(image_size=(8, 8)))
    assert reason in (None, caught.value.reason), caught.value
    assert "\n" not in str(caught.value)


def test_a_hostile_image_costs_no_memory() -> None:
    script = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import test_fuzz_cases as t
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
t.decode(t.png(4, 4, t.DEEP, depth=16), t.PixelRules(image_size=(8, 8)))
before = peak()
for what in t.CASES:
    t.test_a_hostile_image_is_refused_for_a_reason(what)
print(peak() - before)
"""
    command = [sys.executable, "-c", script, Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100e6


@pytest.mark.parametrize("target", ["decoder", "store"])
def test_a_short_run_of_the_fuzzer_finds_nothing(tmp_path: Path, target: str) -> None:
    command = [
        sys.executable,
        FUZZER,
        "--minutes",
        "0.06",
        "--target",
        target,
        "--out",
        tmp_path / "found",
        "--seed",
        "3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "found").exists(), done.stdout
    assert int(done.stdout.split(" refused")[0].split()[-1].replace(",", "")) > 50, done.stdout


def test_the_fuzzer_sees_what_it_looks_for(tmp_path: Path) -> None:
    """A decoder with a hole in it: found, kept, and the same again when it is replayed."""
    script = f"""
import os, sys
sys.path.insert(0, {str(FUZZER.parent)!r})
import fuzz
def holed(seeds):
    def one(data):
        if len(data) % 7 == 3: os.abort()
        if len(data) % 7 == 5: raise KeyError("hole")
        return "row"
    return one
fuzz.TARGETS["decoder"] = (lambda: iter([bytes(100)]), holed)
fuzz.__file__ = __file__
if "--child" in sys.argv: fuzz.main()
else: print(fuzz.fuzz("decoder", 0.05, fuzz.Path({str(tmp_path / "found")!r}), 0))
"""
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False)
    found = sorted(path for path in (tmp_path / "found").iterdir() if path.suffix != ".txt")
    assert {len(path.read_bytes()) % 7 for path in found} == {3, 5}, done.stderr
    assert np.unique([path.with_suffix(".txt").read_text()[:20] for path in found]).size == 2
