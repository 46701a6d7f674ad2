"""The main job on real weights and real photos, as a user runs it."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import featx

pytestmark = [pytest.mark.keras, pytest.mark.material]

AGREEMENT = Path(__file__).parents[1] / "benchmarks/agreement.py"
WEIGHTS = "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _resident(pid: int) -> int:
    """Bytes that a process and its descendants hold, shared pages counted once."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        total += sum(_resident(int(child)) for child in task.read_text().split())
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            total += int(line.split()[1]) * 1024
    return total


def _watched(*command: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run a command; its result and the most memory that its processes held together."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            try:
                peak = max(peak, _resident(process.pid))
            except OSError:  # one of them has just ended
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    done.set()
    watcher.join()
    return subprocess.CompletedProcess(command, process.returncode, out, err), peak


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system doesn't tell proportional memory")
def test_every_odd_image_is_a_row_or_a_named_failure(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))  # the export is watched as well
    folder = material / "odd_images"
    command = "from featx.cli import main; main()"
    weights = str(material / WEIGHTS)
    done, peak = _watched(
        sys.executable, "-c", command, "extract", str(folder), "-m", "mobilenetv2", "--weights", weights, "--json"
    )
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    store = featx.open(told["store"])
    assert told["found"] == len(files) == told["extracted"] + told["failed"]
    assert set(store.paths) | {failure.path for failure in store.failures} == files
    assert len(store) > 100
    assert np.isfinite(store.features).all()
    assert peak < 1.5e9


def test_photos_give_what_a_plain_script_gives(material: Path) -> None:
    """`benchmarks/agreement.py` on one set: features, accuracy and predictions of Keras and scikit-learn alone."""
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).parents[1] / "benchmarks/agreement.py"),
            "--sets",
            "flowers5_dev",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"FEATX_MATERIAL": str(material)},
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["relative_error"] <= 1e-5
    for clf in found["classifiers"].values():
        assert abs(clf["featx_accuracy"] - clf["plain_accuracy"]) <= 0.01
        assert clf["equal_predictions"] >= 0.98
    assert 0.75 <= found["classifiers"]["logreg"]["featx_accuracy"] <= 0.88


def test_a_model_finds_its_weights_again_or_says_what_it_needs(material: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.h5"
    weights.write_bytes((material / WEIGHTS).read_bytes())
    source = material / "images/flowers5_dev"
    store = featx.extract(source, backbone="mobilenetv2", weights=weights, limit=30, image_size=96)
    model = featx.fit(store)
    image = source / store.paths[0]
    first = featx.predict(model, image)
    moved = weights.rename(tmp_path / "moved.h5")
    with pytest.raises(featx.WeightsError, match="`weights`"):
        featx.predict(model, image)
    again = featx.predict(model, image, weights=moved)
    np.testing.assert_allclose(again.margins, first.margins)
    other = material / "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    with pytest.raises(featx.WeightsError, match="mobilenetv2"):
        featx.predict(model, image, weights=other)
