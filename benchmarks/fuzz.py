"""Feed damaged files to the decoder and to the reader of feature stores, and keep what they can't bear.

    python benchmarks/fuzz.py --minutes 10 --out findings

Images of every format that is decoded (made here; the material's odd files as well, where FEATX_MATERIAL is set) and
feature stores are mutated: bits, bytes, numbers, pieces cut, doubled, moved and mixed, checksums mended. Each is given
to a child process under limits of time and memory. It may answer with a result or with featx's own error; a crash, a
hang, any other exception, more memory than the pixels allowed need, or a store that opens with other values than any
that was written, is a finding, kept as a file. Inputs that give a new kind of answer are mutated further.

What was found so far is in ``tests/test_fuzz_cases.py``.
"""

import argparse
import contextlib
import hashlib
import io
import itertools
import os
import random
import re
import resource
import select
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

SECONDS = 15
"""Time that one input may take."""

MAX_PIXELS = 2_000_000
MEMORY = 500 << 20
"""Bytes that a child may grow by: sixteen bytes a pixel, thrice over, and what libraries load late."""

LARGEST = 60_000
"""Bytes of a seed; larger ones take time and find nothing more."""

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Target = Callable[[bytes], str]
"""From an input to what became of it."""


def image_seeds() -> Iterator[bytes]:
    from PIL import Image

    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(24), np.arange(31))[..., None] * np.array([3, 5, 2])
    picture = Image.fromarray((smooth + rng.integers(0, 20, (24, 31, 3))).clip(0, 255).astype(np.uint8))
    alpha = picture.copy()
    alpha.putalpha(picture.convert("L"))
    deep = Image.fromarray(rng.integers(0, 65536, (9, 11), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[Image.Image, str, dict[str, object]]] = [
        (picture, "JPEG", {"quality": 80, "exif": exif}),
        (picture, "JPEG", {"progressive": True, "subsampling": 2, "restart_marker_rows": 1}),
        (picture.convert("L"), "JPEG", {}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture, "PNG", {"exif": exif}),
        (alpha, "PNG", {}),
        (picture.quantize(16), "PNG", {"transparency": 3}),
        (picture.convert("1"), "PNG", {}),
        (deep, "PNG", {}),
        (picture, "PNG", {"save_all": True, "append_images": [picture.transpose(Image.Transpose.ROTATE_180)]}),
        (picture, "BMP", {}),
        (picture.quantize(16), "BMP", {}),
        (alpha, "BMP", {}),
        (picture.quantize(64), "GIF", {"save_all": True, "append_images": [picture.quantize(8)], "transparency": 1}),
        (picture, "GIF", {"interlace": 1}),
        (picture, "WEBP", {"quality": 60, "exif": exif}),
        (alpha, "WEBP", {"lossless": True}),
        (alpha, "WEBP", {"save_all": True, "append_images": [alpha.rotate(90)]}),
        *(
            (picture, "TIFF", {"compression": one})
            for one in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
        ),
        (picture.convert("1"), "TIFF", {"compression": "group4"}),
        (picture.convert("CMYK"), "TIFF", {}),
        (picture.convert("LAB"), "TIFF", {}),
        (deep, "TIFF", {"compression": "tiff_lzw"}),
        (alpha, "TIFF", {"big_tiff": True}),
    ]
    for image, kind, options in kinds:
        file = io.BytesIO()
        image.save(file, kind, **options)
        yield file.getvalue()
    if material := os.environ.get("FEATX_MATERIAL"):
        for path in sorted((Path(material) / "odd_images").rglob("*.*")):
            if path.suffix != ".csv" and path.stat().st_size <= LARGEST:
                yield path.read_bytes()


def store_seeds() -> Iterator[bytes]:
    from featx.manifest import Failure, Manifest
    from featx.spec import ExtractionSpec
    from featx.store import Provenance, plan

    spec = ExtractionSpec(backbone="mean-colour", weights="sha256:0", image_size=(8, 8), preprocessing="none")
    provenance = Provenance(weights_source="none", runtime="numpy", precision="float32")
    for n, failed, groups in ((5, 1, True), (3, 0, False), (1, 1, False)):
        paths = tuple(os.fsdecode(b"%d\xff.png" % i) if groups else f"{i}.png" for i in range(n))
        images = Manifest(
            source=Path("/data"),
            root=Path("/data"),
            name="data",
            split="train" if groups else None,
            paths=paths,
            labels=np.arange(n, dtype=np.int32) % 2,
            classes=("a", os.fsdecode(b"b\xfe")),
            groups=paths if groups else None,
            sizes=np.arange(n),
            mtimes_ns=np.arange(n),
        )
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "store.h5"
            with plan(target, images, spec, feature_shape=(3,), provenance=provenance) as partial:
                slots = np.arange(failed, n)
                rows = np.arange(3.0 * len(slots), dtype=np.float32).reshape(-1, 3)
                digests = np.repeat(slots[:, None].astype(np.uint8) + 1, 32, axis=1)
                partial.write(slots, rows, digests, slots, slots, reused=False)
                partial.flush()
                yield partial.path.read_bytes()
                partial.seal(
                    [
                        Failure(path=path, reason="truncated", message="cut", digest=None, size=1, mtime_ns=1)
                        for path in paths[:failed]
                    ]
                )
            yield target.read_bytes()


def decoder(_seeds: list[bytes]) -> Target:
    from featx.errors import ImageError
    from featx.images import decode
    from featx.spec import PixelRules

    rules = [PixelRules(image_size=(16, 16)), PixelRules(image_size=(7, 9), resize="pad", interpolation="area")]
    turn = itertools.cycle(rules)

    def one(data: bytes) -> str:
        try:
            decode(data, next(turn), max_pixels=MAX_PIXELS)
        except ImageError as error:
            return error.reason if error.reason == "not-an-image" else one_line(f"{error.reason} {error}")
        return f"row {data[:4]!r}"

    return one


def store_reader(seeds: list[bytes]) -> Target:
    from featx.errors import StoreError
    from featx.store import layout as hdf5
    from featx.store import open_store, rows_of
    from featx.store.format import LayoutError, content_digest

    file = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "store.h5"

    def values() -> object:
        store = open_store(file)
        repr(store), store.class_counts, float(store.features.sum())
        columns = (store.labels, store.digests, store.sizes, store.mtimes_ns, store.status, store.checksums)
        return (
            *(column.tobytes() for column in columns),
            *(store.paths, store.classes, store.groups, store.failures, store.spec, store.content_digest),
            *(store.name, store.split, store.root, store.source, store.created, store.seconds, store.feature_shape),
        )

    genuine = set()
    for seed in seeds:
        file.write_bytes(seed)
        with contextlib.suppress(StoreError):  # an unfinished one
            genuine.add(values())
    turn = itertools.cycle((False, False, True))

    def mend() -> bool:
        """Make the content digest right again, as somebody would who tampers with a store."""
        try:
            with file.open("r+b", buffering=0) as opened:
                layout = hdf5.scan(opened)
                digest = content_digest(layout.attributes, layout.read_all(opened))
            hdf5.modify(file, {"content_digest": np.array(digest.encode())})
        except (LayoutError, StoreError, OSError, RuntimeError, KeyError, ValueError, TypeError):
            return False
        return True

    def one(data: bytes) -> str:
        file.write_bytes(data)
        tampered = next(turn) and mend()
        rows_of(file, fingerprint="0" * 64)
        try:
            found = values()
        except StoreError as error:
            return one_line(str(error).replace(str(file), ""))
        assert tampered or found in genuine, "an altered store was taken for a whole one"
        return f"opened, tampered: {tampered}"

    return one


def one_line(message: str) -> str:
    if "\n" in message:
        raise AssertionError(f"more than one line: {message!r}")
    return message


TARGETS = {"decoder": (image_seeds, decoder), "store": (store_seeds, store_reader)}


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6, 20))):
        if not spoiled:
            break
        # Headers are where it hurts.
        size = len(spoiled)
        at = rng.randrange(size) if rng.random() < 0.5 else min(size - 1, int(rng.expovariate(1 / 100)))
        length = min(size - at, 1 + int(rng.expovariate(1 / 20)))
        match rng.randrange(8):
            case 0:
                spoiled[at] ^= 1 << rng.randrange(8)
            case 1:
                spoiled[at] = rng.randrange(256)
            case 2:
                code = rng.choice(("<H", ">H", "<I", ">I", "<Q"))
                number = (rng.choice(NUMBERS) + rng.randrange(-1, 2)) % 256 ** struct.calcsize(code)
                spoiled[at : at + struct.calcsize(code)] = struct.pack(code, number)
            case 3:
                del spoiled[at : at + length]
            case 4:
                spoiled[at:at] = spoiled[at : at + length] * rng.choice((1, 2, 50))
            case 5:
                other = rng.choice(others)
                start = rng.randrange(len(other) or 1)
                spoiled[at : at + length] = other[start : start + length]
            case 6:
                spoiled[at : at + length] = bytes(length)
            case 7:
                if rng.random() < 0.3:
                    del spoiled[at:]
    if rng.random() < 0.7:  # with another format's name it is another format's damage
        spoiled[:12] = data[:12]
    if spoiled.startswith(b"\x89PNG") and rng.random() < 0.7:
        mend_png(spoiled)
    return bytes(spoiled)


def mend_png(data: bytearray) -> None:
    """Make the checksum of each chunk right again, or nothing behind it would ever be tried."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[position + 4 : end]))
        position = end + 4


class Child:
    """A process that tries one input after another."""

    def __init__(self, target: str, seeds: list[bytes]) -> None:
        self.target = target
        self.seeds = seeds
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child", self.target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(struct.pack("<I", len(self.seeds)) + b"".join(map(record, self.seeds)))

    def one(self, data: bytes) -> str:
        """Its answer; ``FOUND …`` for a finding."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(record(data))
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], SECONDS)[0]:
                return self.again(f"FOUND a hang of {SECONDS} s")
            if (answer := read_record(self.process.stdout)) is not None:
                return answer.decode("utf-8", "replace")
        except BrokenPipeError:
            pass
        return self.again(f"FOUND a crash, exit code {self.process.wait()}")

    def again(self, answer: str) -> str:
        self.process.kill()
        self.process.wait()
        self.start()
        return answer


def record(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def read_record(stream: IO[bytes]) -> bytes | None:
    head = stream.read(4)
    return stream.read(struct.unpack("<I", head)[0]) if len(head) == 4 else None


def child(target: str, tasks: IO[bytes], answers: IO[bytes]) -> None:
    (count,) = struct.unpack("<I", tasks.read(4))
    seeds = [read_record(tasks) or b"" for _ in range(count)]
    one = TARGETS[target][1](seeds)
    for warm in seeds:
        one(warm)
    before = peak()
    while (data := read_record(tasks)) is not None:
        try:
            answer = one(data)
        except Exception:  # noqa: BLE001  (which is what is looked for)
            answer = f"FOUND {traceback.format_exc()}"
        if (used := peak() - before) > MEMORY:
            answer = f"FOUND {used >> 20} MiB, where an image has {MAX_PIXELS} pixels at most: {answer}"
            before += used
        answers.write(record(answer.encode("utf-8", "replace")))
        answers.flush()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def kind_of(answer: str) -> str:
    """What is the same for answers of one kind: their words, without what the input itself put in."""
    plain = re.sub(r"0x[0-9a-f]+|b?'[^']*'|b?\"[^\"]*\"|\(.*\)", "", answer)
    words = re.findall(r"(?<![\w\\])[A-Za-z]{3,}(?!\w)", plain)
    return " ".join(words[-12:] if answer.startswith("FOUND") else words[:8])


def fuzz(target: str, minutes: float, out: Path, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    corpus = list(TARGETS[target][0]())
    tried, seen = Counter[str](), set[str]()
    process = Child(target, list(corpus))
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        data = mutate(rng.choice(corpus), corpus, rng)
        answer = process.one(data)
        found, kind = answer.startswith("FOUND"), kind_of(answer)
        tried["found" if found else "row" if answer.startswith(("row", "opened")) else "refused"] += 1
        if kind in seen:
            continue
        seen.add(kind)
        if not found:
            if len(data) <= LARGEST:
                corpus.append(data)
            continue
        out.mkdir(parents=True, exist_ok=True)
        name = f"{target}-{hashlib.sha256(data).hexdigest()[:12]}"
        (out / name).write_bytes(data)
        (out / f"{name}.txt").write_text(answer)
        print(f"{target}: {name} ({len(data)} bytes): {answer.strip().splitlines()[-1][:200]}", flush=True)
    process.process.kill()
    tried["kinds of answer"] = len(seen)
    return tried


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="in all, shared by the targets")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--out", type=Path, default=Path("findings"), help="folder for what is found")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", choices=TARGETS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answers = os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries write there as they like
        child(options.child, sys.stdin.buffer, answers)
        return
    targets = [options.target] if options.target else list(TARGETS)
    for target in targets:
        tried = fuzz(target, options.minutes / len(targets), options.out, options.seed)
        print(f"{target}: {', '.join(f'{count:,} {what}' for what, count in tried.items())}", flush=True)


if __name__ == "__main__":
    main()
