"""Where a network can be split, a logistic regression as its head, and the training of what lies behind the cut."""

import dataclasses

import numpy as np
import pytest

from featx.classifiers import make_classifier
from featx.errors import FeatxError, UsageError
from featx.selection.calibration import Calibration
from featx.training.head import Head, drawn, fold, unfold

SIDE = 32


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def scores(head, X):
    for number, (weights, bias) in enumerate(head.layers):
        X = X @ weights + bias
        X = np.maximum(X, 0) if number < len(head.layers) - 1 else X
    return X


def plain(value):
    return np.array(value.numpy())


def features(n=90, d=40, k=3, seed=0):
    """Features as a network gives them: not negative, of very different scales."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    X = np.abs(rng.normal(size=(n, d)) + 0.7 * np.eye(k, d)[y]) * rng.uniform(0.01, 30, d)
    return X.astype(np.float32), y


@pytest.mark.parametrize(
    ("k", "options"), [(2, {}), (3, {}), (7, {"C": 10.0}), (3, {"class_weight": "balanced"}), (3, {"pca": 9})]
)
def test_a_folded_head_has_the_probabilities_of_the_logistic_regression(k, options):
    X, y = features(k=k)
    pipeline = make_classifier("logreg", **options).fit(X, y)
    head = fold(pipeline)
    np.testing.assert_allclose(softmax(scores(head, X)), pipeline.predict_proba(X), rtol=0, atol=1e-5)
    again = unfold(head)
    np.testing.assert_allclose(again.predict_proba(X), pipeline.predict_proba(X), rtol=0, atol=1e-5)
    assert (again.predict(X) == pipeline.predict(X)).all()


@pytest.mark.parametrize("k", [2, 4])
def test_a_folded_head_takes_the_calibration_over(k):
    from featx.classifiers import class_scores

    X, y = features(k=k)
    pipeline = make_classifier("logreg").fit(X, y)
    calibration = Calibration(
        temperature=1.7, error_before=0.0, error_after=0.0, log_loss_before=0.0, log_loss_after=0.0
    )
    wanted = calibration.probabilities(class_scores(pipeline, X))
    found = softmax(scores(fold(pipeline, temperature=1.7), X))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("k", [2, 5])
def test_a_head_with_a_hidden_layer_is_a_perceptron_of_scikit_learn(k):
    from sklearn.preprocessing import StandardScaler

    X, _ = features(k=k)
    scaler = StandardScaler().fit(X)
    head = drawn(X.shape[1], 16, k, dropout=0.5, seed=3)
    pipeline = unfold(head, scaler=scaler)
    wanted = softmax(scores(head, scaler.transform(X)))
    np.testing.assert_allclose(pipeline.predict_proba(X), wanted, rtol=0, atol=1e-6)
    assert (pipeline.predict(X) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("clf", "options", "words"), [("svm", {}, "PairwiseSVC"), ("logreg", {"normalize": "l2"}, "Normalizer")]
)
def test_what_is_no_plain_logistic_regression_is_no_head(clf, options, words):
    X, y = features()
    with pytest.raises(UsageError, match=words):
        fold(make_classifier(clf, **options).fit(X, y))


@pytest.fixture(scope="module")
def opened():
    """Open a backbone with untrained weights, once for all tests."""
    from featx.backbones import Request, resolve
    from featx.training.tail import Backbone

    found = {}

    def opened(name, side=SIDE):
        if (name, side) not in found:
            found[name, side] = Backbone.load(*resolve(Request(backbone=name, image_size=side, weights="none")))
        return found[name, side]

    return opened


@pytest.mark.keras
@pytest.mark.parametrize(
    ("name", "side", "usual", "last"),
    [
        ("mobilenet-0.25", 64, "conv_pw_11_relu", "conv_pw_12_relu"),
        ("mobilenetv2-0.35", 64, "block_12_add", "block_15_add"),
        # Its graph has operations that are no layers: an addition, a product and a clip in each activation.
        ("mobilenetv3small-0.75", 64, "expanded_conv_7_add", "expanded_conv_9_add"),
        ("vgg16", 64, "block4_pool", "block4_pool"),
        ("densenet121", 64, "pool4_pool", "conv5_block15_concat"),
        # Its last block ends in a sum, and no layer inside it has all paths.
        ("resnet50", 64, "conv4_block6_out", "conv5_block2_out"),
    ],
)
def test_a_network_is_split_where_everything_passes(name, side, usual, last, opened):
    backbone = opened(name, side)
    assert backbone.choose_cut(last=None, layer=None) == usual
    assert backbone.choose_cut(last=1, layer=None) == last
    pixels = np.random.default_rng(0).random((2, side, side, 3), dtype=np.float32) * 2 - 1
    whole = backbone.network.cut
    from featx.backbones.session import import_keras

    keras = import_keras()
    front = keras.Model(whole.input, whole.get_layer(usual).output)
    found = plain(backbone.split(usual)([front(pixels, training=False)], training=False))
    wanted = plain(whole(pixels, training=False))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.keras
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer": "block_12_ad"}, r"no such layer; nearest: .*block_12_add"),
        ({"layer": "block_12_expand"}, r"not everything passes.*block_11_add or block_12_add"),
        ({"layer": "out_relu"}, "nothing is left to train"),
        ({"last": 40}, r"last 1 to \d+ blocks"),
    ],
)
def test_a_place_where_a_network_cannot_be_split_is_refused_with_one_where_it_can(arguments, words, opened):
    with pytest.raises(UsageError, match=words):
        opened("mobilenetv2-0.35", 64).choose_cut(**{"last": None, "layer": None} | arguments)


@pytest.fixture(scope="module")
def lesson(opened):
    """A small network, activations, labels that can be learnt, and a head."""
    from featx.backbones.session import import_keras
    from featx.training.loop import Examples

    keras = import_keras()
    backbone = opened("mobilenet-0.25")
    cut = "conv_pw_11_relu"
    rng = np.random.default_rng(1)
    labels = np.arange(45).astype(np.int32) % 3
    pixels = (
        rng.normal(0, 0.3, (45, SIDE, SIDE, 3)).astype(np.float32) + np.eye(3, dtype=np.float32)[labels][:, None, None]
    )
    whole = backbone.network.cut
    values = plain(keras.Model(whole.input, whole.get_layer(cut).output)(pixels, training=False))
    head = Head(layers=((0.01 * rng.normal(size=(256, 3)).astype(np.float32), np.zeros(3, np.float32)),))
    training = Examples(values=values, rows=np.arange(33), labels=labels[:33])
    validation = Examples(values=values, rows=np.arange(33, 45), labels=labels[33:])
    return backbone, cut, head, training, validation, pixels


@pytest.fixture
def trained(lesson, tmp_path):
    """Train from the same start, as often as wanted."""
    from featx.training.loop import Stopped, train
    from featx.training.recipe import Recipe
    from featx.training.tail import attach

    backbone, cut, head, training, validation, _ = lesson
    tail = backbone.split(cut)
    start = [plain(one) for one in backbone.network.whole.variables]

    def run(name="one", observe=lambda _: None, validation=validation, **options):
        for variable, array in zip(backbone.network.whole.variables, start, strict=True):
            variable.assign(array)
        network = attach(tail, head)
        recipe = Recipe(**{"epochs": 3, "batch_size": 8, "seed": 5} | options)
        place = Stopped(path=tmp_path / f"{name}.npz", key="k")
        state = train(network, training, validation, recipe, place=place, observe=observe)
        return network, state

    yield run
    for variable, array in zip(backbone.network.whole.variables, start, strict=True):
        variable.assign(array)


@pytest.mark.keras
def test_what_is_frozen_and_the_statistics_stay_to_the_last_bit(lesson, trained):
    backbone, cut, *_ = lesson
    before = {one.path: plain(one) for one in backbone.network.whole.variables}
    network, state = trained(epochs=2)
    for variable, array in zip(network.variables, state.arrays, strict=True):  # not the best: that may be the start
        variable.assign(array)
    layers = [layer.name for layer in backbone.network.whole.layers]
    frozen = set(layers[: layers.index(cut) + 1])
    changed = 0
    for one in backbone.network.whole.variables:
        layer = one.path.split("/")[-2]
        same = np.array_equal(before[one.path], plain(one))
        if layer in frozen or "moving" in one.path:
            assert same, one.path
        changed += not same
    assert changed == len(network.variables) - 2  # all of them but the head, which is no part of the backbone


@pytest.mark.keras
def test_an_interrupted_training_ends_with_the_same_weights(trained):
    _, wanted = trained("whole")

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained("stopped", observe=stop)
    seen = []
    network, found = trained("stopped", observe=lambda epoch: seen.append(epoch.number))
    assert seen == [0, 1, 2, 3]
    for part in ("arrays", "best", "optimizer"):
        pairs = zip(getattr(found, part), getattr(wanted, part), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)
    assert all(np.array_equal(one, other) for one, other in zip(network.arrays(), wanted.best, strict=True))


@pytest.mark.keras
def test_the_best_epoch_is_taken_and_the_start_is_one_of_them(trained):
    network, state = trained("wild", rate=0.9, epochs=4, patience=2, warmup=0)
    assert len(state.history) <= state.best_trained.number + 3  # two more without a better one
    assert state.taken.validation_accuracy == max(one.validation_accuracy for one in state.history)
    better = [one for one in state.history if one.validation_accuracy > state.history[0].validation_accuracy]
    assert (state.taken.number > 0) == bool(better)  # a lower loss alone is no reason to leave the start
    assert all(np.array_equal(one, other) for one, other in zip(network.arrays(), state.best, strict=True))
    _, gentle = trained("gentle", rate=3e-3, epochs=6)
    assert gentle.taken.number > 0
    assert gentle.taken.validation_accuracy > gentle.history[0].validation_accuracy


@pytest.mark.keras
def test_a_class_may_have_no_validation_images(lesson, trained):
    *_, validation, _ = lesson
    few = validation.labels < 2
    without = dataclasses.replace(validation, rows=validation.rows[few], labels=validation.labels[few])
    assert len(trained("without", validation=without, epochs=1)[1].history) == 2


@pytest.mark.keras
def test_a_full_disk_keeps_the_last_checkpoint(trained, tmp_path, monkeypatch):
    import errno

    from featx.training import checkpoints

    def full(file, **arrays):
        if len(checkpoints.parse_json(bytes(arrays["about"]))["history"]) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(file, **arrays)

    save = np.savez
    monkeypatch.setattr(checkpoints.np, "savez", full)
    with pytest.raises(FeatxError, match=r"No space left.*up to epoch 1 is kept"):
        trained("full")
    monkeypatch.undo()
    assert len(checkpoints.Checkpoint.load(tmp_path / "full.npz", key="k").history) == 2
    assert checkpoints.Checkpoint.load(tmp_path / "full.npz", key="other") is None


def test_the_rate_rises_then_falls_to_nothing():
    from featx.training.recipe import Recipe

    recipe = Recipe(epochs=15, rate=1e-3, warmup=2)
    rates = [recipe.rate_at(step, 10) for step in range(150)]
    assert max(rates) == pytest.approx(1e-3)
    assert np.argmax(rates) in (19, 20)
    assert (np.diff(rates[:20]) > 0).all()
    assert (np.diff(rates[20:]) < 0).all()
    assert rates[-1] < 1e-6
