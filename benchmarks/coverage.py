"""How often do the intervals of a report hold the truth? Simulated test sets, by figure, size, classes and accuracy.

    python benchmarks/coverage.py [--sets 2000] [--figures accuracy log_loss …] [--sizes 100 …] [--classes 2 …]

A population of 200,000 images is drawn for each number of classes and accuracy: scores are normal, each class's own is
raised, by more for some classes than for others, and the probabilities are Bayes's own (calibrated), or those with all
log odds times 1.5 (over-confident). Test sets are drawn from it with replacement, so that the population's figures are
exactly the true ones. Prints, for each figure, the share of test sets whose 95 % interval holds the true figure; with
2,000 sets a true 95 % shows as 94.0 to 96.0 in 19 of 20 cells. `*` marks what is outside 94 to 97.

A test set may lack a class; the mean recall and F1 are then meant over the classes that it has.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from featx.statistics import averages
from featx.statistics.comparison import compare
from featx.statistics.intervals import Interval, skewed_mean, wilson, wilson_f1
from featx.statistics.paired import holm, mcnemar
from featx.statistics.reliability import BINS, FEWEST, reliability

POPULATION = 200_000
SIZES = (100, 300, 1000, 3000)
ACCURACIES = (0.6, 0.8, 0.9, 0.95, 0.98)
CLASSES = {"2": (2, 1), "5": (5, 1), "10": (10, 1), "10, uneven": (10, 5)}
"""Number of classes, and how many times as frequent the most frequent one is as the rarest."""
OVER_CONFIDENT = 1.5
MODELS = 5  # in the family whose error rate is simulated


@dataclass(frozen=True, kw_only=True)
class Population:
    """Images: true class, predicted class, and what a model says of each."""

    k: int
    true: np.ndarray
    predicted: np.ndarray
    among: np.ndarray  # whether the class is among the five of the highest scores
    probabilities: np.ndarray

    def confusion(self, images: np.ndarray) -> np.ndarray:
        """(m, k, k) of test sets (m, n)."""
        m, k = len(images), self.k
        cells = self.true[images] * k + self.predicted[images] + np.arange(m)[:, None] * k * k
        return np.bincount(cells.ravel(), minlength=m * k * k).reshape(m, k, k)


def scores(true: np.ndarray, k: int, raised: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Log odds of the classes, as Bayes gives them."""
    found = noise.copy()
    found[np.arange(len(true)), true] += raised[true]
    prior = np.log(np.bincount(true, minlength=k) / len(true))
    return found * raised - raised**2 / 2 + prior


def raised_for(accuracy: float, true: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
    """How much a class's own score is raised, for an accuracy."""
    low, high = 0.0, 12.0
    for _ in range(20):
        middle = (low + high) / 2
        found = scores(true[:20_000], k, middle * np.linspace(0.8, 1.2, k), noise[:20_000])
        low, high = (middle, high) if np.mean(found.argmax(1) == true[:20_000]) < accuracy else (low, middle)
    return low * np.linspace(0.8, 1.2, k)


def population(k: int, uneven: float, accuracy: float, sharper: float, rng: np.random.Generator) -> Population:
    shares = np.geomspace(1, uneven, k)
    true = rng.choice(k, POPULATION, p=shares / shares.sum())
    noise = rng.normal(size=(POPULATION, k))
    odds = scores(true, k, raised_for(accuracy, true, k, noise), noise) * sharper
    p = np.exp(odds - odds.max(1, keepdims=True))
    own = odds[np.arange(len(true)), true]
    return Population(
        k=k,
        true=true,
        predicted=odds.argmax(1),
        among=(odds > own[:, None]).sum(1) < 5,
        probabilities=p / p.sum(1, keepdims=True),
    )


Held = np.ndarray
"""(m,) bool: whether the interval of each test set holds the truth."""


def holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth + 1e-12 and truth - 1e-12 <= interval.high


def proportion(found: np.ndarray, of: np.ndarray, truth: float, interval: Callable[..., Interval] = wilson) -> Held:
    return np.array([holds(interval(int(x), int(n)), truth) for x, n in zip(found, of, strict=True)])


def accuracy(people: Population, images: np.ndarray) -> Held:
    right = people.true == people.predicted
    return proportion(right[images].sum(1), np.full(len(images), images.shape[1]), right.mean())


def top5_accuracy(people: Population, images: np.ndarray) -> Held:
    return proportion(people.among[images].sum(1), np.full(len(images), images.shape[1]), people.among.mean())


def of_class(figure: str) -> Callable[[Population, np.ndarray], Held]:
    """Precision, recall or F1 of the first class: the one hardest to tell, and where some are, the rarest."""

    def counts(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both, support, named = matrices[:, 0, 0], matrices[:, 0].sum(1), matrices[:, :, 0].sum(1)
        return both, {"precision": named, "recall": support, "f1": support + named - both}[figure]

    def held(people: Population, images: np.ndarray) -> Held:
        (both,), (of,) = counts(people.confusion(np.arange(POPULATION)[None]))
        share = both / of
        if figure == "f1":
            return proportion(*counts(people.confusion(images)), 2 * share / (1 + share), wilson_f1)
        return proportion(*counts(people.confusion(images)), share)

    return held


def averaged(
    figure: Callable[[np.ndarray], averages.Averages],
    truth: Callable[[np.ndarray], np.ndarray],
    counted: Callable[[np.ndarray], np.ndarray],
) -> Callable[[Population, np.ndarray], Held]:
    """A mean over the classes that a test set has."""

    def held(people: Population, images: np.ndarray) -> Held:
        every = truth(people.confusion(np.arange(POPULATION)[None])[0])
        found = people.confusion(images)
        has = counted(found) > 0
        true = (every * has).sum(1) / has.sum(1)
        ends = figure(found)
        return (ends.low <= true) & (true <= ends.high)

    return held


balanced_accuracy = averaged(averages.balanced_accuracy, lambda c: np.diag(c) / c.sum(1), lambda c: c.sum(2))
macro_f1 = averaged(averages.macro_f1, lambda c: 2 * np.diag(c) / (c.sum(0) + c.sum(1)), lambda c: c.sum(2) + c.sum(1))


def log_loss(people: Population, images: np.ndarray) -> Held:
    every = np.arange(POPULATION)
    logs = -np.log(np.clip(people.probabilities, np.finfo(float).eps, 1))
    losses = logs[every, people.true]
    others = people.probabilities.copy()
    others[every, people.predicted] = 0
    cost, share = (others * logs).sum(1)[images].sum(1), others.sum(1)[images].sum(1)
    found = zip(images, cost / share, strict=True)
    return np.array([holds(skewed_mean(losses[one], extra=extra), losses.mean()) for one, extra in found])


def calibration_error(people: Population, images: np.ndarray) -> Held:
    sure, right = people.probabilities.max(1), people.true == people.predicted
    bins = min(BINS, max(1, images.shape[1] // FEWEST))
    truth = reliability(sure, right, bins=bins).plug_in
    return np.array(
        [holds(reliability(sure[one], right[one], seed=seed).interval, truth) for seed, one in enumerate(images)]
    )


FIGURES: dict[str, Callable[[Population, np.ndarray], Held]] = {
    "accuracy": accuracy,
    "top5_accuracy": top5_accuracy,
    "precision": of_class("precision"),
    "recall": of_class("recall"),
    "f1": of_class("f1"),
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "calibration_error": calibration_error,
}
BY_PROBABILITY = ("log_loss", "calibration_error")
PAIRED = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is simulated."""

    sets: int
    sizes: Sequence[int]
    accuracies: Sequence[float]
    classes: Sequence[str]


WANTED = (0.94, 0.97)
ALARMS = (0.0, 0.05)


def table(
    title: str,
    rows: Iterable[tuple[str, list[float]]],
    columns: list[str],
    wanted: tuple[float, float] = WANTED,
) -> None:
    """A table as it is computed, and what all of it says."""

    def inside(share: float) -> bool:
        return wanted[0] <= round(share, 4) <= wanted[1]

    print(f"\n## {title}\n\n| test sets | " + " | ".join(columns) + " |\n| --- |" + " --- |" * len(columns))
    cells: list[float] = []
    start = time.perf_counter()
    for name, shares in rows:
        cells += shares
        marked = [f"{100 * share:.1f}" + ("" if inside(share) else "*") for share in shares]
        print(f"| {name} | " + " | ".join(marked) + " |", flush=True)
    within = sum(map(inside, cells))
    low, high = (f"{100 * end:.0f}" for end in wanted)
    print(
        f"\nmean {100 * np.mean(cells):.1f}, {100 * min(cells):.1f} to {100 * max(cells):.1f}; "
        f"{within} of {len(cells)} cells within {low} to {high} ({time.perf_counter() - start:.0f} s)",
        flush=True,
    )


def coverage(figure: str, sharper: float, options: Options) -> Iterator[tuple[str, list[float]]]:
    for name in options.classes:
        k, uneven = CLASSES[name]
        if figure == "top5_accuracy" and k <= 5:
            continue
        rng = np.random.default_rng([k, int(uneven), len(figure)])
        peoples = [population(k, uneven, accuracy, sharper, rng) for accuracy in options.accuracies]
        for n in options.sizes:
            shares = [
                float(FIGURES[figure](people, rng.integers(0, POPULATION, (options.sets, n))).mean())
                for people in peoples
            ]
            yield f"{name} classes, {n} images", shares


def pair(k: int, accuracy: float, gap: float, rng: np.random.Generator, models: int = 2) -> list[np.ndarray]:
    """Labels, and the predictions of models that err on the same images more often than not.

    The last model's accuracy is lower by the gap; without one, every image is there with the models in every rotation,
    so that they are exactly equal.
    """
    true = rng.integers(0, k, POPULATION)
    common = rng.normal(size=(POPULATION, k))
    predicted = []
    for model in range(models):
        noise = 0.8 * common + 0.6 * rng.normal(size=(POPULATION, k))
        raised = raised_for(accuracy - gap * (model == models - 1), true, k, noise)
        predicted.append(scores(true, k, raised, noise).argmax(1))
    if gap:
        return [true, *predicted]
    turns = [predicted[turn:] + predicted[:turn] for turn in range(models)]
    return [np.tile(true, models), *(np.concatenate(column) for column in zip(*turns, strict=True))]


def differences(gap: float, options: Options) -> dict[str, list[tuple[str, list[float]]]]:
    """The rows of a table for each figure."""
    tables = defaultdict(list)
    for k in (2, 10):
        rng = np.random.default_rng([k, int(100 * gap)])
        peoples = [pair(k, accuracy, gap, rng) for accuracy in options.accuracies]
        for n in options.sizes:
            found = np.zeros((len(peoples), options.sets, len(PAIRED)))
            for place, people in enumerate(peoples):
                true = compare(*people, resamples=1)
                for seed in range(options.sets):
                    images = rng.integers(0, len(people[0]), n)
                    one = compare(*(column[images] for column in people), seed=seed)
                    found[place, seed] = [holds(getattr(one, x).interval, getattr(true, x).value) for x in PAIRED]
            for figure, shares in zip(PAIRED, found.mean(axis=1).T, strict=True):
                tables[figure].append((f"{k} classes, {n} images", shares.tolist()))
    return tables


def false_alarms(options: Options) -> Iterator[tuple[str, list[float]]]:
    """How often equal models are called different: two of them, and any two of a family after Holm's correction."""
    for models in (2, MODELS):
        rng = np.random.default_rng(models)
        peoples = [pair(10, accuracy, 0.0, rng, models) for accuracy in options.accuracies]
        rights = [np.array([people[0] == one for one in people[1:]]) for people in peoples]
        for n in options.sizes:
            shares = []
            for right in rights:
                alarms = 0
                for _ in range(options.sets):
                    drawn = right[:, rng.integers(0, right.shape[1], n)].astype(np.int64)
                    both = drawn @ drawn.T
                    p = [
                        mcnemar(int(both[a, a] - both[a, b]), int(both[b, b] - both[a, b]))
                        for a in range(models)
                        for b in range(a)
                    ]
                    alarms += min(holm(p)) < 0.05
                shares.append(alarms / options.sets)
            yield f"{models} equal models, {n} images", shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=2000, help="test sets of each cell")
    parser.add_argument("--figures", nargs="+", default=[*FIGURES, "differences", "false_alarms"])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="images of a test set")
    parser.add_argument("--accuracies", nargs="+", type=float, default=ACCURACIES)
    parser.add_argument("--classes", nargs="+", choices=list(CLASSES), default=tuple(CLASSES))
    chosen = parser.parse_args()
    options = Options(sets=chosen.sets, sizes=chosen.sizes, accuracies=chosen.accuracies, classes=chosen.classes)
    columns = [f"accuracy {one:.0%}" for one in options.accuracies]
    error = 100 * float(np.sqrt(0.95 * 0.05 / options.sets))
    print(f"Coverage in %, {options.sets} test sets per cell: a standard error of {error:.1f} points")
    for figure in chosen.figures:
        if figure == "differences":
            for gap in (0.0, 0.02):
                for one, rows in differences(gap, options).items():
                    table(f"difference of {one}, models {gap:.0%} apart in accuracy", rows, columns)
        elif figure == "false_alarms":
            table("equal models called different (not coverage; at most 5 %)", false_alarms(options), columns, ALARMS)
        elif figure in BY_PROBABILITY:
            for kind, sharper in (("calibrated", 1.0), ("over-confident", OVER_CONFIDENT)):
                table(f"{figure}, {kind}", coverage(figure, sharper, options), columns)
        else:
            table(figure, coverage(figure, 1.0, options), columns)


if __name__ == "__main__":
    main()
