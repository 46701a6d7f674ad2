import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import faulty_decoder
from featx import images
from featx.batches import DecodeOptions, Decoders
from featx.errors import DecoderError, UsageError
from featx.spec import PixelRules

RULES = PixelRules(image_size=(4, 5))
FAULTY = "faulty_decoder:decode_into"
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="children and files are counted in /proc")


@pytest.fixture(autouse=True)
def _faulty_decoder_is_found(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(faulty_decoder.__file__).parent))


def options(workers=2, batch_size=4, timeout_s=60.0, max_pixels=1000, ahead=1):
    """With the smallest ring: three batches."""
    return DecodeOptions(
        workers=workers, batch_size=batch_size, max_pixels=max_pixels, timeout_s=timeout_s, ahead=ahead
    )


def write(folder, contents):
    """Write files; give (row, path), with rows that are no positions."""
    listed = []
    for position, content in enumerate(contents):
        name = f"{position:04}.jpg"
        (folder / name).write_bytes(content)
        listed.append((1000 - 3 * position, name))
    return listed


def good(count, start=0):
    return [b"good %d" % number for number in range(start, start + count)]


def digest_rows(contents):
    joined = b"".join(hashlib.sha256(content).digest() for content in contents)
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)


@dataclasses.dataclass
class Outcome:
    """All batches of a run, joined; pixels copied while they are valid."""

    pixels: list
    decoded: list
    known: list
    failures: list
    lengths: list

    @property
    def reasons(self):
        return {failure.path: failure.reason for failure in self.failures}


def run(decoders, root, listed):
    outcome = Outcome([], [], [], [], [])
    for batch in decoders.batches(root, listed):
        assert len(batch.images) == len(batch.decoded)
        outcome.pixels += [image.copy() for image in batch.images]
        for rows, target in ((batch.decoded, outcome.decoded), (batch.known, outcome.known)):
            assert (rows.slots.dtype, rows.digests.dtype, rows.digests.shape) == (np.int64, np.uint8, (len(rows), 32))
            target += zip(
                rows.slots.tolist(),
                map(bytes, rows.digests),
                rows.sizes.tolist(),
                rows.mtimes_ns.tolist(),
                strict=True,
            )
        outcome.failures += batch.failures
        outcome.lengths.append(len(batch.images))
    return outcome


def check(outcome, root, listed, contents, *, batch_size, known=(), reasons=None):
    """Every file is where it belongs: rows in order and unmoved, failures and known files beside them."""
    reasons = reasons or {}

    def rows(positions):
        return [
            (
                listed[position][0],
                hashlib.sha256(contents[position]).digest(),
                len(contents[position]),
                (root / listed[position][1]).stat().st_mtime_ns,
            )
            for position in positions
        ]

    beside = set(known) | set(reasons)
    decoded = [position for position in range(len(contents)) if position not in beside]
    assert outcome.decoded == rows(decoded)
    for image, position in zip(outcome.pixels, decoded, strict=True):
        np.testing.assert_array_equal(image, faulty_decoder.pixels(contents[position], image.shape))
    assert outcome.known == rows(sorted(known))
    assert [failure.path for failure in outcome.failures] == [listed[position][1] for position in sorted(reasons)]
    assert outcome.reasons == {listed[position][1]: reason for position, reason in reasons.items()}
    full = [length for length in outcome.lengths[:-1] if length]
    assert full == [batch_size] * len(full)


def children():
    """Processes of this one that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.append(int(entry.parent.name))
    return found


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (1, 5), (2, 4), (3, 7), (2, 23), (2, 100)])
def test_equal_to_decoding_one_by_one(tmp_path, workers, batch_size):
    contents = good(23)
    listed = write(tmp_path, contents)
    with Decoders(RULES, options(workers, batch_size), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, listed)
        check(outcome, tmp_path, listed, contents, batch_size=batch_size)
        assert outcome.lengths[-1] == (23 % batch_size or batch_size)
        assert run(decoders, tmp_path, []) == Outcome([], [], [], [], [])
        again = run(decoders, tmp_path, listed[:7])
        check(again, tmp_path, listed[:7], contents[:7], batch_size=batch_size)


def test_real_images_equal_decoding_one_by_one(tmp_path):
    rng = np.random.default_rng(0)
    listed = []
    for position in range(9):
        suffix = (".png", ".jpg")[position % 2]
        photo = rng.integers(0, 256, (20 + position, 30, 3), np.uint8)
        (tmp_path / f"{position}{suffix}").write_bytes(cv2.imencode(suffix, photo)[1].tobytes())
        listed.append((position, f"{position}{suffix}"))
    rules = PixelRules(image_size=(16, 24), resize="crop")
    with Decoders(rules, options()) as decoders:
        outcome = run(decoders, tmp_path, [*listed, (9, "none.png")])
    assert outcome.reasons == {"none.png": "missing"}
    for image, (_, name) in zip(outcome.pixels, listed, strict=True):
        np.testing.assert_array_equal(image, images.decode((tmp_path / name).read_bytes(), rules))


PATTERNS = {
    "first and last": lambda position, count: position in (0, count - 1),
    "every second": lambda position, count: position % 2 == 0,
    "one in seven": lambda position, count: position % 7 == 3,
    "longer than the ring": lambda position, count: 5 <= position < 45,
    "all": lambda position, count: True,
    "at random": lambda position, count: bool(np.random.default_rng(position).integers(2)),
}


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_holes_never_move_a_row(tmp_path, batch_size):
    """Failures and known files in any pattern; a known file would end its decoder if it were decoded."""
    every_second_known = []
    cases = []
    for number, pattern in enumerate(PATTERNS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        contents = good(60, start=100 * number)
        known, reasons = [], {}
        for position in (position for position in range(60) if pattern(position, 60)):
            if position % 3 == 0:
                contents[position] = b"exit %d" % (100 * number + position)
                known.append(position)
                every_second_known.append(contents[position])
            else:
                contents[position] = b"refuse %d" % position
                reasons[position] = "truncated"
        cases.append((folder, write(folder, contents), contents, known, reasons))
    digests = digest_rows(every_second_known)
    with Decoders(RULES, options(2, batch_size), known=digests, decoder=FAULTY) as decoders:
        for folder, listed, contents, known, reasons in cases:
            outcome = run(decoders, folder, listed)
            check(outcome, folder, listed, contents, batch_size=batch_size, known=known, reasons=reasons)


def test_digests_that_begin_or_end_with_zeros_are_known(tmp_path):
    contents = [b"exit %d" % number for number in range(5000)]
    digests = [hashlib.sha256(content).digest() for content in contents]
    zeros = [content for content, digest in zip(contents, digests, strict=True) if 0 in (digest[0], digest[-1])]
    assert len(zeros) > 10
    listed = write(tmp_path, [*zeros, b"good"])
    with Decoders(RULES, options(), known=digest_rows(zeros), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, listed)
    assert len(outcome.known) == len(zeros)
    assert len(outcome.decoded) == 1


def test_many_known_images_are_handed_over_on_the_way(tmp_path):
    (tmp_path / "known").write_bytes(b"exit")
    (tmp_path / "good").write_bytes(b"good")
    listed = [(row, "good" if row == 5 else "known") for row in range(3000)]
    with Decoders(RULES, options(), known=digest_rows([b"exit"]), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, listed)
    assert [row[0] for row in outcome.known] == [row for row in range(3000) if row != 5]
    assert [row[0] for row in outcome.decoded] == [5]
    assert outcome.lengths == [0, 0, 1]


@pytest.mark.parametrize(("action", "reason"), [(b"segv", "crashed"), (b"hang", "timeout")])
def test_a_broken_decoder_costs_one_image_at_every_position_of_the_ring(tmp_path, action, reason):
    contents = good(44)
    guilty = range(0, 42, 7)  # the ring has 6 slots: one in each
    assert {position % 6 for position in guilty} == set(range(6))
    for position in guilty:
        contents[position] = action
    listed = write(tmp_path, contents)
    with Decoders(RULES, options(3, batch_size=2, timeout_s=0.3), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, listed)
    check(outcome, tmp_path, listed, contents, batch_size=2, reasons=dict.fromkeys(guilty, reason))
    assert all("twice" in failure.message for failure in outcome.failures)


def test_guilty_images_in_one_batch_each_get_their_reason(tmp_path):
    guilty = {
        0: (b"abort", "crashed"),
        1: (b"exit", "crashed"),
        3: (b"stuck", "timeout"),
        4: (b"fail to\ndecode", "crashed"),
        5: (b"memory", "too-large"),
        6: (b"refuse", "truncated"),
    }
    contents = good(11)
    for position, (content, _) in guilty.items():
        contents[position] = content
    listed = write(tmp_path, contents)
    reasons = {position: reason for position, (_, reason) in guilty.items()}
    with Decoders(RULES, options(2, batch_size=8, timeout_s=0.4), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, listed)
    check(outcome, tmp_path, listed, contents, batch_size=8, reasons=reasons)
    messages = {failure.path: failure for failure in outcome.failures}
    assert "SIGABRT" in messages["0000.jpg"].message
    assert "exit code 3" in messages["0001.jpg"].message
    assert messages["0004.jpg"].message == "reading it failed with ValueError: to decode"
    assert messages["0006.jpg"].message == "cut off in two lines"
    assert messages["0006.jpg"].digest == hashlib.sha256(b"refuse").hexdigest()
    assert messages["0006.jpg"].size == len(b"refuse")


def test_an_image_that_a_decoder_dies_of_once_keeps_its_row(tmp_path, caplog):
    contents = good(9)
    contents[4] = b"once " + os.fsencode(tmp_path / "died")
    listed = write(tmp_path, contents)
    with Decoders(RULES, options(), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, listed)
    check(outcome, tmp_path, listed, contents, batch_size=4)
    assert "0004.jpg" in caplog.text


@needs_proc
def test_processes_killed_from_outside_cost_nothing(tmp_path):
    contents = [b"slow %d" % number if number % 4 == 0 else b"good %d" % number for number in range(30)]
    listed = write(tmp_path, contents)
    victims = []
    pixels = []
    with Decoders(RULES, options(), decoder=FAULTY) as decoders:
        for number, batch in enumerate(decoders.batches(tmp_path, listed)):
            pixels += [image.copy() for image in batch.images]
            assert not batch.failures
            if number % 3 == 0:
                victims.append(children()[number % 2])
                os.kill(victims[-1], signal.SIGKILL)
    assert len(set(victims)) == 3
    for image, content in zip(pixels, contents, strict=True):
        np.testing.assert_array_equal(image, faulty_decoder.pixels(content, image.shape))


@needs_proc
def test_an_interrupt_is_left_to_the_parent(tmp_path):
    listed = write(tmp_path, good(8))
    with Decoders(RULES, options(), decoder=FAULTY) as decoders:
        run(decoders, tmp_path, listed)
        before = children()
        for child in before:
            os.kill(child, signal.SIGINT)
        run(decoders, tmp_path, listed)
        assert children() == before


@needs_proc
@pytest.mark.parametrize("leave", ["close", "raise", "interrupt", "leave open"])
def test_leaving_early_leaves_no_process_and_no_file_open(tmp_path, leave):
    listed = write(tmp_path, good(8) + [b"stuck"] * 4)
    files = len(list(Path("/proc/self/fd").iterdir()))
    errors = {"raise": ZeroDivisionError, "interrupt": KeyboardInterrupt}
    decoders = Decoders(RULES, options(), decoder=FAULTY)
    try:
        with decoders:
            batches = decoders.batches(tmp_path, listed)
            kept = next(batches)
            assert len(children()) == 2
            began = time.perf_counter()
            if leave == "close":
                batches.close()
                assert not children()
                # And it can be used again.
                check(run(decoders, tmp_path, listed[:8]), tmp_path, listed[:8], good(8), batch_size=4)
                began = time.perf_counter()
            elif leave in errors:
                raise errors[leave]
    except tuple(errors.values()):
        pass
    assert time.perf_counter() - began < 1
    assert not children()
    batches.close()
    assert kept.images.sum() > 0  # its memory is still there,
    del kept  # and kept open by it
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    with pytest.raises(RuntimeError, match="with"):
        next(decoders.batches(tmp_path, listed))


def test_one_list_of_images_at_a_time(tmp_path):
    listed = write(tmp_path, good(8))
    with Decoders(RULES, options(), decoder=FAULTY) as decoders:
        first = decoders.batches(tmp_path, listed)
        next(first)
        with pytest.raises(RuntimeError, match="busy"):
            next(decoders.batches(tmp_path, listed))
        assert len(next(first).decoded) == 4


PARENT = """
import os, sys
from pathlib import Path
from featx.batches import DecodeOptions, Decoders
from featx.spec import PixelRules

options = DecodeOptions(workers=2, batch_size=2, max_pixels=100, timeout_s=600)
with Decoders(PixelRules(image_size=(4, 5)), options, decoder="faulty_decoder:decode_into") as decoders:
    for batch in decoders.batches(Path(sys.argv[1]), enumerate(sys.argv[2:])):
        print("batch", flush=True)
print("end", flush=True)
"""


def test_no_image_is_waited_for_beyond_a_time(tmp_path):
    """What is done by then comes, what isn't is no failure, and the processes serve the next list."""
    contents = [*good(2), b"stuck", *good(9, start=2)]
    listed = write(tmp_path, contents)
    with Decoders(RULES, options(workers=2, timeout_s=1000), decoder=FAULTY) as decoders:
        outcomes = []
        for until in (0.0, time.monotonic() + 1):
            outcome = Outcome([], [], [], [], [])
            for batch in decoders.batches(tmp_path, listed, until=until):
                outcome.decoded += batch.decoded.slots.tolist()
                outcome.failures += batch.failures
            assert not outcome.failures
            slots = [slot for slot, _ in listed]
            assert listed[2][0] not in outcome.decoded
            assert outcome.decoded == [slot for slot in slots if slot in set(outcome.decoded)]
            outcomes.append(outcome)
        assert outcomes[0].decoded == []
        listed, contents = listed[3:], contents[3:]
        check(run(decoders, tmp_path, listed), tmp_path, listed, contents, batch_size=4)


@needs_proc
def test_processes_die_with_their_parent_even_where_they_hang(tmp_path):
    names = [name for _, name in write(tmp_path, [*good(2), b"stuck", b"stuck"])]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path, *names], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    with parent:
        assert parent.stdout.readline() == b"batch\n"
        stats = {entry.parent: entry.read_text() for entry in Path("/proc").glob("[0-9]*/stat")}
        theirs = [folder for folder, stat in stats.items() if stat.rpartition(")")[2].split()[1] == str(parent.pid)]
        assert len(theirs) == 2
        time.sleep(0.3)
        parent.kill()
    deadline = time.monotonic() + 5
    while any(is_running(folder) for folder in theirs):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(folder):
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_plain_script_without_main_guard_works_and_decoders_are_silent(tmp_path):
    names = [name for _, name in write(tmp_path, [b"chatter"] * 5)]
    script = tmp_path / "script.py"
    script.write_text(PARENT)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, script, tmp_path, *names],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"batch\nbatch\nbatch\nend\n", b"")


def test_another_thread_than_the_main_one_and_one_after_the_other(tmp_path):
    contents = good(10)
    listed = write(tmp_path, contents)
    with Decoders(RULES, options(), decoder=FAULTY) as decoders:
        outcomes = []
        for _ in range(2):
            thread = threading.Thread(target=lambda: outcomes.append(run(decoders, tmp_path, listed)))
            thread.start()
            thread.join()
    for outcome in outcomes:
        check(outcome, tmp_path, listed, contents, batch_size=4)


def test_files_that_are_none(tmp_path):
    (tmp_path / "good").write_bytes(b"good")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "linked").symlink_to("good")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(70 << 20)
    strange = os.fsdecode(b"caf\xe9 \n\xff")
    expected = {
        "fifo": "unsupported",
        "folder": "unsupported",
        "device": "unsupported",
        "dangling": "missing",
        "nowhere": "missing",
        "good/below": "missing",
        "with\0nul": "missing",
        "loop": "unreadable",
        "x" * 5000: "unreadable",
        "huge": "too-large",
    }
    fine = ["good", "linked", str(tmp_path / "good")]
    try:
        (tmp_path / strange).write_bytes(b"good")
        fine.append(strange)
    except OSError:  # a file system that takes only UTF-8
        expected[strange] = "missing"
    names = [*fine[:2], *expected, *fine[2:]]
    with Decoders(RULES, options(max_pixels=1), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, enumerate(names))
    assert outcome.reasons == expected
    assert [names[row[0]] for row in outcome.decoded] == fine
    assert all("\n" not in failure.message and failure.message for failure in outcome.failures)
    sizes = {failure.path: failure.size for failure in outcome.failures}
    assert (sizes["huge"], sizes["dangling"]) == (70 << 20, -1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    listed = write(tmp_path, good(2))
    (tmp_path / listed[0][1]).chmod(0)
    with Decoders(RULES, options(), decoder=FAULTY) as decoders:
        outcome = run(decoders, tmp_path, listed)
    assert outcome.reasons == {listed[0][1]: "unreadable"}


def test_work_in_flight_is_bounded_and_images_are_not_copied(tmp_path):
    (tmp_path / "good").write_bytes(b"good")
    taken = 0

    def listed():
        nonlocal taken
        for row in range(400):
            taken += 1
            yield row, "good"

    with Decoders(RULES, options(2, batch_size=8), decoder=FAULTY) as decoders:
        given = []
        for batch in decoders.batches(tmp_path, listed()):
            assert taken <= 8 * (len(given) + 3)
            given.append(batch.images)
    assert len(given) == 50
    assert all(np.shares_memory(given[number], given[number + 3]) for number in range(47))
    assert not np.shares_memory(given[0], given[1])


@pytest.mark.parametrize(
    ("batch_size", "ahead", "image_size", "batches"),
    [
        (32, 64, (224, 224), 2),  # as many as two batches
        (4, 64, (224, 224), 16),
        (7, 64, (224, 224), 10),
        (128, 64, (224, 224), 2),
        (1, 64, (1000, 1000), 22),  # 64 MB
        (1, 64, (8000, 8000), 2),
        (1, 1, (4, 5), 2),
    ],
)
def test_small_batches_are_decoded_as_far_ahead_as_large_ones(batch_size, ahead, image_size, batches):
    assert options(batch_size=batch_size, ahead=ahead).batches_ahead(image_size) == batches


def test_small_batches_keep_every_process_busy(tmp_path):
    """While the consumer is busy with two images, all that fit ahead of them are decoded."""
    contents = good(40)
    listed = write(tmp_path, contents)
    taken = 0

    def counted():
        nonlocal taken
        for one in listed:
            taken += 1
            yield one

    with Decoders(RULES, options(3, batch_size=2, ahead=16), decoder=FAULTY) as decoders:
        batches = decoders.batches(tmp_path, counted())
        next(batches)
        assert taken == 18
        assert sum(len(batch.images) for batch in batches) == 38


def test_the_decoders_own_limit_of_pixels_needs_no_decoder_in_this_process(tmp_path):
    code = f"""
import sys
from pathlib import Path
from featx.batches import DecodeOptions, Decoders
from featx.spec import PixelRules
options = DecodeOptions(workers=1, batch_size=2, timeout_s=60)
with Decoders(PixelRules(image_size=(4, 5)), options) as decoders:
    for batch in decoders.batches(Path({str(tmp_path)!r}), enumerate(["fine.png", "bomb.png"])):
        print(len(batch.images), [failure.reason for failure in batch.failures], {{"cv2", "PIL"}} & set(sys.modules))
"""
    (tmp_path / "fine.png").write_bytes(cv2.imencode(".png", np.zeros((3, 3, 3), np.uint8))[1].tobytes())
    bomb = bytearray((tmp_path / "fine.png").read_bytes())
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bomb)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1 ['too-large'] set()\n", "")


def test_seconds_are_counted_per_stage(tmp_path):
    listed = write(tmp_path, [b"slow"] * 4)
    with Decoders(RULES, options(workers=1), decoder=FAULTY) as decoders:
        assert decoders.seconds == {"read": 0, "decode": 0, "wait": 0}
        for _ in decoders.batches(tmp_path, listed):
            time.sleep(0.2)
    assert decoders.seconds["decode"] >= 1.2
    assert 0 < decoders.seconds["read"] < 0.5
    assert decoders.seconds["wait"] >= 1.2


@needs_proc
@pytest.mark.parametrize(
    ("decoder", "last_words"),
    [("no_such_module:decode", "No module named 'no_such_module'"), ("faulty_decoder:none", "no attribute 'none'")],
)
def test_processes_that_never_come_up_are_an_error_with_their_last_words(tmp_path, decoder, last_words):
    listed = write(tmp_path, good(3))
    with (
        Decoders(RULES, options(), decoder=decoder) as decoders,
        pytest.raises(DecoderError, match=last_words) as error,
    ):
        run(decoders, tmp_path, listed)
    assert "\n" not in str(error.value)
    assert not children()


@needs_proc
@pytest.mark.parametrize("workers", [1, 3])
def test_a_library_that_can_not_be_loaded_is_no_image_s_fault(tmp_path, workers):
    contents = good(12)
    contents[5] = contents[9] = b"library"
    listed = write(tmp_path, contents)
    with (
        Decoders(RULES, options(workers), decoder=FAULTY) as decoders,
        pytest.raises(DecoderError, match=r"libpicture\.so\.5: no such file"),
    ):
        run(decoders, tmp_path, listed)
    assert not children()


def test_a_ring_that_does_not_fit_is_an_error_that_says_what_to_do():
    rules = PixelRules(image_size=(100_000, 100_000))
    with pytest.raises(DecoderError, match="smaller `batch_size`"), Decoders(rules, options(batch_size=1000)):
        pass


@pytest.mark.parametrize("field", ["workers", "batch_size", "max_pixels", "timeout_s", "ahead"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_options_out_of_range(field, value):
    with pytest.raises(UsageError, match=field):
        options(**{field: value})
