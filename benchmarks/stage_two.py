"""How fast does featx choose and fit a classifier, beside scikit-learn as users write it, and how well?

    python benchmarks/stage_two.py --repeats 3 --write docs/stage-two.md
    python benchmarks/stage_two.py --small            # a minute: does it all still run?

Every run is a fresh process; the contenders take turns, and ratios are taken within a turn. Features are made
(`deep_features.py`), or those of the material's photos through MobileNetV2 where FEATX_MATERIAL names a folder of them.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from deep_features import make
from featx.machine import available_cores
from fits import Task
from processes import FailedError, Finished, machine, run, wait_until_quiet
from stage_two_page import CASES, Case, Findings, Run, page

HERE = Path(__file__).parent
SETS = ("flowers5_dev", "trashnet_dev", "sign_digits")
WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"


class Bench:
    """Folder and options of a run of the benchmark."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.cores = available_cores()
        self.runs: list[Run] = []
        self.skipped: dict[str, str] = {}
        self._folder = folder

    def measure(self, name: str, turn: int) -> None:
        """Let the contenders of a case take their turns once."""
        case = CASES[name]
        try:
            folder = self._features(case)
        except FailedError as error:
            self.skipped[name] = str(error)
            return
        rows = [row for row in case.rows if row in self.options.rows]
        for row in rows[turn % len(rows) :] + rows[: turn % len(rows)] if rows else []:
            self._run(name, case, folder, row, turn)

    def _run(self, name: str, case: Case, folder: Path, row: str, turn: int) -> None:
        task = Task(
            folder=str(folder),
            clf=case.clf,
            kernel=case.kernel,
            grid={key: list(values) for key, values in case.grid.items()},
            folds=self.options.folds,
            cores=1 if self.options.small else self.cores,  # each more is an interpreter that imports scikit-learn
            out=str(self._folder / f"{name}.npy"),
        )
        wait_until_quiet(self.options.patience)
        try:
            done = self._process(row, task, watch_memory=True)
            found = done.result
            if row == "featx" and turn == 0 and case.compared:
                found |= self._process("predictions", dataclasses.replace(task, at=found["chosen"])).result
        except FailedError as error:
            self.skipped[f"{name}, {row}"] = str(error)
            print(f"left out: {name}, {row}: {error}", flush=True)
            return
        X = np.load(folder / "X.npy", mmap_mode="r")
        classes = int(np.load(folder / "y.npy").max()) + 1
        self.runs.append(
            Run(
                case=name,
                turn=turn,
                row=row,
                shape=(*map(int, X.shape), classes),
                wall=done.wall,
                others=done.others,
                memory=done.memory or 0.0,
                found=found,
            )
        )
        accuracy = max(map(np.mean, found["table"]))
        print(
            f"{name:16} {turn} {row:22}{found['seconds']:8.1f} s, {done.memory:7.0f} MB, best {accuracy:.2%}, "
            f"others {done.others:.0%}",
            flush=True,
        )

    def _process(self, row: str, task: Task, *, watch_memory: bool = False) -> Finished:
        command = [sys.executable, str(HERE / "fits.py"), row, json.dumps(dataclasses.asdict(task))]
        return run(command, environment={"FEATX_CACHE": str(self._folder / "cache")}, watch_memory=watch_memory)

    def _features(self, case: Case) -> Path:
        """Give the folder of a case's features, made once."""
        if case.photos:
            return self._features_of_photos(case.photos)
        n, d, k = case.small if self.options.small else case.size
        folder = self._folder / f"made-{n}-{d}-{k}"
        if not folder.exists():
            make(folder, n=n, d=d, k=k)
        return folder

    def _features_of_photos(self, photos: str) -> Path:
        material = os.environ.get("FEATX_MATERIAL")
        if not material:
            raise FailedError("FEATX_MATERIAL names no folder of photos and weights")
        import featx

        folder = self._folder / photos
        if not folder.exists():
            os.environ["FEATX_CACHE"] = str(self._folder / "cache")
            store = featx.extract(
                Path(material, "images", photos),
                backbone="mobilenetv2",
                weights=Path(material, "weights", WEIGHTS),
                out=self._folder / f"{photos}.h5",
                limit=60 if self.options.small else None,
            )
            folder.mkdir()
            np.save(folder / "X.npy", store.features)
            np.save(folder / "y.npy", np.asarray(store.labels, dtype=np.int64))
        return folder


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rows = list(dict.fromkeys(row for case in CASES.values() for row in case.rows))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sections", nargs="*", default=list(CASES), choices=list(CASES), metavar="SECTION")
    parser.add_argument("--rows", nargs="+", default=rows, choices=rows, metavar="ROW")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait, before a run, for a quiet machine")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the features in this folder, or find them")
    parser.add_argument("--records", type=Path, help="JSON file of all runs: what is there is added to")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the results as a Markdown page")
    parser.add_argument("--small", action="store_true", help="few rows, one turn")
    options = parser.parse_args(arguments)
    if options.small:
        options.repeats, options.folds = 1, 3
    return options


def main() -> int:
    """Run, print, write; 0 where featx gave figures wherever it was asked for them."""
    options = parse()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="featx-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    earlier = Findings(runs=[], skipped={})
    if options.records and options.records.exists():
        earlier = Findings.from_json(options.records.read_text(encoding="utf-8"))
    findings = earlier
    try:
        bench = Bench(options, folder)
        for name in options.sections:
            for turn in range(options.repeats):
                bench.measure(name, turn)
                findings = earlier.joined(Findings(runs=bench.runs, skipped=bench.skipped))
                if options.records:  # after every turn, since some take many minutes
                    options.records.write_text(findings.to_json(), encoding="utf-8")
    finally:
        if not options.keep:
            shutil.rmtree(folder)
    text = page(findings, machine(bench.cores, None))
    print("\n" + text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    return int(any(key.endswith(", featx") for key in bench.skipped))


if __name__ == "__main__":
    sys.exit(main())
