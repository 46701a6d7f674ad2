"""Fits in blocks of rows: scikit-learn's objectives, their minimum, and what must not change it."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from featx.classifiers import lbfgs
from featx.classifiers.blocks import Blocks
from featx.classifiers.blockwise import Blockwise, fit_blockwise
from featx.errors import DataError, UsageError

LOSSES = ("log", "squared_hinge")


def features(n=300, d=40, k=4, *, seed=0, spread=1.0):
    """Correlated, non-negative columns of scales that differ by orders of magnitude, as a network's are."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    factors = rng.normal(size=(n, 8)) + spread * rng.normal(size=(k, 8))[y]
    X = np.maximum(factors @ rng.normal(size=(8, d)) + rng.normal(size=(n, d)), 0) * 10 ** rng.uniform(-2, 2, d)
    return X.astype(np.float32), y


def standardised(X):
    return StandardScaler().fit_transform(X.astype(np.float64))


def plain_objective(loss, Z, y, coef, intercept, C, weights=None):
    """The objective as the definition has it, in float64."""
    scores = Z @ coef.T + intercept
    k = int(y.max()) + 1
    if loss == "log":
        full = np.column_stack([np.zeros(len(y)), scores]) if k == 2 else scores
        losses = np.log(np.exp(full - full[np.arange(len(y)), y][:, None]).sum(axis=1))
    else:
        signs = np.where(y[:, None] == (np.arange(k) if k > 2 else [1]), 1, -1)
        losses = (np.maximum(1 - signs * scores, 0) ** 2).sum(axis=1)
    return C * np.sum(losses * (1 if weights is None else weights)) + 0.5 * np.sum(coef**2)


def best_objective(loss, X, y, C, weights=None):
    """The least value of the objective, found without any of the code under test."""
    Z = standardised(X)
    k = int(y.max()) + 1
    if loss == "log":
        found = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(Z, y, sample_weight=weights)
        return plain_objective(loss, Z, y, found.coef_, found.intercept_, C, weights), found
    coefs, intercepts = [], []
    for positive in range(k) if k > 2 else [1]:
        design = np.column_stack([Z, np.ones(len(Z))])
        signs = np.where(y == positive, 1.0, -1.0)
        s = np.ones(len(y)) if weights is None else weights

        def value(w, design=design, signs=signs, s=s):
            lacking = np.maximum(1 - signs * (design @ w), 0)
            gradient = -2 * C * design.T @ (s * signs * lacking)
            gradient[:-1] += w[:-1]
            return C * np.sum(s * lacking**2) + 0.5 * np.sum(w[:-1] ** 2), gradient

        w = minimize(value, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options=EXACT).x
        coefs.append(w[:-1])
        intercepts.append(w[-1])
    return plain_objective(loss, Z, y, np.array(coefs), np.array(intercepts), C, weights), None


EXACT = {"maxiter": 100_000, "maxfun": 200_000, "ftol": 1e-15, "gtol": 1e-10}


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_objective_and_its_gradient_are_those_of_the_definition(loss: str, k: int) -> None:
    X, y = features(n=90, d=7, k=k)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(y))
    solver = Blockwise(X, y, loss=loss, weights=weights, rows_at_once=16)
    outputs = k if k > 2 else 1
    rng = np.random.default_rng(2)
    coef, intercept = rng.normal(size=(outputs, 7)), rng.normal(size=outputs)
    value, by_coef, by_intercept = solver.objective(coef, intercept, C=0.3)

    Z = standardised(X)
    assert value == pytest.approx(plain_objective(loss, Z, y, coef, intercept, 0.3, weights), rel=1e-6)

    def plain(point):
        columns = point.reshape(outputs, -1)
        return plain_objective(loss, Z, y, columns[:, :-1], columns[:, -1], 0.3, weights)

    gradient = np.column_stack([by_coef, by_intercept]).ravel()
    off = check_grad(plain, lambda _point: gradient, np.column_stack([coef, intercept]).ravel())
    assert off < 1e-5 * np.linalg.norm(gradient)


@pytest.mark.parametrize("C", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_minimum_is_found(loss: str, k: int, C: float) -> None:
    X, y = features(k=k)
    found = fit_blockwise(X, y, loss=loss, C=C)
    least, _ = best_objective(loss, X, y, C)
    assert found.converged
    reached = plain_objective(loss, standardised(X), y, found.coef, found.intercept, C)
    assert reached == pytest.approx(least, rel=1e-6)
    assert found.objective == pytest.approx(reached, rel=1e-6)


@pytest.mark.parametrize("k", [2, 4])
def test_predictions_are_those_of_logistic_regression(k: int) -> None:
    X, y = features(k=k, n=600)
    known, unknown = X[:300], X[300:]
    found = fit_blockwise(known, y[:300], loss="log", C=0.05)
    scaler = StandardScaler().fit(known.astype(np.float64))
    plain = LogisticRegression(C=0.05, tol=1e-10, max_iter=100_000).fit(scaler.transform(known), y[:300])
    assert np.allclose(found.mean, scaler.mean_, rtol=1e-12)
    assert np.allclose(found.scale, scaler.scale_, rtol=1e-12)
    assert found.coef.shape == plain.coef_.shape
    assert np.abs(found.coef - plain.coef_).max() < 1e-3 * np.abs(plain.coef_).max()
    scores = found.scores(unknown, rows_at_once=64)
    expected = plain.decision_function(scaler.transform(unknown)).reshape(scores.shape)
    assert np.abs(scores - expected).max() < 1e-3 * np.abs(expected).max()
    labels = scores.argmax(axis=1) if k > 2 else (scores[:, 0] > 0).astype(int)
    assert np.mean(labels == plain.predict(scaler.transform(unknown))) == 1


def test_squared_hinge_is_that_of_linear_svc() -> None:
    X, y = features(k=3)
    found = fit_blockwise(X, y, loss="squared_hinge", C=0.01)
    # liblinear penalises the intercept; scaled up, it is hardly penalised.
    plain = LinearSVC(C=0.01, dual=False, tol=1e-8, intercept_scaling=100, max_iter=100_000).fit(standardised(X), y)
    Z = standardised(X)
    theirs = plain_objective("squared_hinge", Z, y, plain.coef_, plain.intercept_, 0.01)
    assert found.objective <= theirs * (1 + 1e-6)
    assert found.objective == pytest.approx(theirs, rel=1e-3)
    assert np.mean(found.scores(X).argmax(axis=1) == plain.predict(Z)) > 0.99


@pytest.mark.parametrize("loss", LOSSES)
def test_the_size_of_the_blocks_changes_nothing_but_rounding(loss: str) -> None:
    X, y = features()
    whole = fit_blockwise(X, y, loss=loss, C=0.1, rows_at_once=len(X))
    for rows_at_once in (1, 7, 299, 10_000):
        found = fit_blockwise(X, y, loss=loss, C=0.1, rows_at_once=rows_at_once)
        assert found.objective == pytest.approx(whole.objective, rel=1e-6)
        assert np.abs(found.scores(X) - whole.scores(X)).max() < 1e-2


@pytest.mark.parametrize("loss", LOSSES)
def test_threads_change_no_bit(loss: str) -> None:
    X, y = features()
    one, three = (Blockwise(X, y, loss=loss, rows_at_once=16, threads=threads).fit(C=0.1) for threads in (1, 3))
    assert np.array_equal(one.coef, three.coef)
    assert np.array_equal(one.intercept, three.intercept)


def test_a_start_elsewhere_reaches_the_same_minimum() -> None:
    X, y = features()
    for loss in LOSSES:
        solver = Blockwise(X, y, loss=loss)
        cold = solver.fit(C=1.0)
        rng = np.random.default_rng(0)
        starts = [solver.fit(C=0.1), (rng.normal(size=cold.coef.shape), rng.normal(size=cold.intercept.shape))]
        for start in starts:
            assert solver.fit(C=1.0, start=start).objective == pytest.approx(cold.objective, rel=1e-6)
        again = solver.fit(C=1.0, start=cold)
        assert again.iterations < cold.iterations / 2


def test_fitted_from_a_map_as_from_memory(tmp_path: Path) -> None:
    X, y = features()
    for offset in (0, 1234):
        file = tmp_path / f"{offset}.bin"
        file.write_bytes(b"x" * offset + X.tobytes())
        mapped = np.memmap(file, np.float32, "r", offset, X.shape)
        ours = fit_blockwise(X, y, loss="log", C=0.1, rows_at_once=50)
        theirs = fit_blockwise(mapped, y, loss="log", C=0.1, rows_at_once=50)
        assert np.array_equal(ours.coef, theirs.coef)
        part = Blockwise(mapped[100:], y[100:], loss="log").fit(C=0.1)
        assert np.array_equal(part.coef, Blockwise(X[100:], y[100:], loss="log").fit(C=0.1).coef)


def test_some_rows_are_fitted_as_if_there_were_no_others() -> None:
    X, y = features()
    weights = np.random.default_rng(0).uniform(1, 2, len(y))
    rows = np.sort(np.random.default_rng(1).permutation(len(X))[:150])
    for loss in LOSSES:
        found = Blockwise(X, y, loss=loss, weights=weights, rows=rows).fit(C=0.1)
        alone = Blockwise(X[rows], y[rows], loss=loss, weights=weights[rows]).fit(C=0.1)
        assert np.array_equal(found.coef, alone.coef)
        assert np.array_equal(found.scores(X, rows=rows), alone.scores(X[rows]))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_is_so_many_copies_of_a_row(loss: str) -> None:
    X, y = features()
    copies = np.array([1, 2, 3, 1])
    # Mean and scale must stay, so that the copies weigh in the loss alone.
    found = fit_blockwise(X, y, loss=loss, C=0.1, weights=copies)
    assert np.array_equal(found.coef, fit_blockwise(X, y, loss=loss, C=0.1, weights=copies[y].astype(float)).coef)
    assert found.objective == pytest.approx(best_objective(loss, X, y, 0.1, copies[y].astype(float))[0], rel=1e-6)


def test_constant_and_nearly_constant_columns_are_scaled_as_scikit_learn_does() -> None:
    X, y = features()
    X[:, 0], X[:, 1] = 7.3, 1000 + 1e-2 * X[:, 2] / X[:, 2].max()
    blocks = Blocks(X, rows_at_once=64)
    mean, scale = blocks.moments()
    scaler = StandardScaler().fit(X.astype(np.float64))
    assert np.allclose(mean, scaler.mean_, rtol=1e-12)
    assert np.allclose(scale, scaler.scale_, rtol=1e-6)
    assert fit_blockwise(X, y, loss="log", C=0.1).converged


def resident_of_map(address: int) -> int:
    """Bytes of a map that are in memory, by the system's account."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            first, last = (int(word, 16) for word in words[0].split("-"))
            inside = first <= address < last
        elif inside and words[0] == "Rss:":
            return int(words[1]) * 1024
    raise AssertionError("no such map")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system doesn't tell what a map holds")
@pytest.mark.parametrize("some", [False, True])
def test_pages_of_a_map_are_given_back(tmp_path: Path, *, some: bool) -> None:
    file = tmp_path / "features.bin"
    np.random.default_rng(0).normal(size=(4096, 256)).astype(np.float32).tofile(file)
    X, y = np.memmap(file, np.float32, "r", 0, (4096, 256)), np.arange(4096) % 3
    rows = np.flatnonzero(np.arange(4096) % 5) if some else None
    solver = Blockwise(X, y, loss="log", rows=rows, rows_at_once=256)
    solver.fit(C=1e-4)
    assert resident_of_map(X.ctypes.data) < X.nbytes / 8
    assert float(X.sum()) != 0  # it is still all there


def test_a_private_map_keeps_what_was_written_to_it(tmp_path: Path) -> None:
    file = tmp_path / "features.bin"
    np.zeros((4 * mmap.PAGESIZE, 4), np.float32).tofile(file)
    X = np.memmap(file, np.float32, "c", 0, (4 * mmap.PAGESIZE, 4))
    X[:] = 1
    Blocks(X, rows_at_once=mmap.PAGESIZE).moments()
    assert np.all(X == 1)


def test_wide_features_are_fitted_without_a_preconditioner(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = features()
    with_it = fit_blockwise(X, y, loss="log", C=0.1)
    monkeypatch.setattr("featx.classifiers.blockwise.PRECONDITIONER_COLUMNS", X.shape[1] - 1)
    without = fit_blockwise(X, y, loss="log", C=0.1)
    assert without.objective == pytest.approx(with_it.objective, rel=1e-6)
    assert with_it.iterations < without.iterations


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        (UsageError, {"loss": "hinge"}),
        (DataError, {"y": np.zeros(300, int)}),
        (DataError, {"y": np.zeros(10, int)}),
        (DataError, {"weights": np.ones(17)}),
    ],
)
def test_what_cannot_be_fitted_is_said(error: type[Exception], changes: dict) -> None:
    X, y = features()
    with pytest.raises(error):
        fit_blockwise(X, **{"y": y, "loss": "log", "C": 1.0} | changes)


def test_lbfgs_finds_the_minimum_of_a_convex_function_and_says_when_it_stops_short() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(30, 20)) * 10 ** rng.uniform(-2, 1, 20)

    def function(point):
        values = np.logaddexp(0, factors @ point)
        return float(values.sum() + point @ point), factors.T @ expit(factors @ point) + 2 * point

    found = lbfgs.minimise(function, np.ones(20), precondition=lambda vector: vector, tolerance=1e-12)
    expected = minimize(function, np.ones(20), jac=True, method="L-BFGS-B", options=EXACT)
    assert found.converged
    assert found.value == pytest.approx(expected.fun, rel=1e-9)
    short = lbfgs.minimise(function, np.ones(20), precondition=lambda vector: vector, max_iterations=2)
    assert not short.converged
    assert short.iterations == 2
