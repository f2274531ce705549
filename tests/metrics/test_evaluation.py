"""evaluate: agrees with torch-fidelity, walks round its pitfalls, and says what is wrong with what it was given."""

import hashlib
import itertools
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from torch import nn
from torch_fidelity.defaults import DEFAULTS
from torch_fidelity.deprecations import DEPRECATIONS
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_prc import prc_features_to_metric

import aigc_lessons as al
from aigc_lessons import metrics
from aigc_lessons.data.pixels import resize, to_bytes
from aigc_lessons.metrics import evaluation, frechet, kernel

FID, KID, IS = "frechet_inception_distance", "kernel_inception_distance_mean", "inception_score_mean"


@pytest.fixture(autouse=True)
def offline_and_on_the_processor(monkeypatch):
    """No network; and the processor, whose numbers are compared, where there is an accelerator too."""

    def refuse(*args):
        raise AssertionError(f"something asked for the network: {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(evaluation, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(evaluation, "has_cuda", lambda: False)


@pytest.fixture(scope="module")
def digits():
    return al.data.load("digits")


def noise(n, shape=(1, 32, 32), seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# The same numbers as torch-fidelity's, from the same features


@pytest.mark.parametrize(
    "name, n, m", [("digits", 600, 600), ("shapes", 600, 600), ("digits", 150, 400), ("shapes", 500, 90)]
)
def test_our_functions_agree_with_torch_fidelity(name, n, m):
    judge = metrics.Judge(name)
    generated = to_bytes(al.shipped(f"projection-{name}").sample(n, seed=1))
    real = to_bytes(al.data.load(name).images[-m:])
    values, (fake, logits), (true, real_logits) = evaluation.fidelity(judge.read_bytes, generated, real, judge.scale)
    assert (
        fake.shape == (n, 64)
        and true.shape == (m, 64)
        and logits.shape == (n, judge.n_classes)
        and real_logits.shape == (m, judge.n_classes)
    )
    assert metrics.fid(fake, true) == pytest.approx(values[FID], rel=1e-4)
    # torch-fidelity takes as many of the larger set as the smaller has, several times, and sums in single precision
    count, size = kernel.subsets(n, m)
    draw = np.random.RandomState(DEFAULTS["rng_seed"])
    drawn = [[draw.choice(k, size, replace=False) for k in (n, m)] for _ in range(count)]
    kids = [metrics.kernel_distance(fake[i] / judge.scale, true[j] / judge.scale).item() for i, j in drawn]
    assert sum(kids) / count == pytest.approx(values[KID], rel=1e-3)
    assert metrics.inception_score(logits.double().softmax(1)).item() == pytest.approx(values[IS], rel=1e-6)
    precision, recall = metrics.precision_recall(true, fake, evaluation.NEIGHBOUR)
    theirs = prc_features_to_metric(
        fake, true, prc_neighborhood=evaluation.NEIGHBOUR, prc_batch_size=1_000, save_cpu_ram=True, verbose=False
    )
    # one sample, and 32 bits
    assert abs(precision - theirs["precision"]) <= 1.01 / n and abs(recall - theirs["recall"]) <= 1.01 / m
    # nothing is at an end
    assert 0.02 < precision < 1 and 0.02 < recall < 1 and values[FID] > 1 and 2 < values[IS] < judge.n_classes


def test_fidelity_returns_the_features_in_the_pictures_order(digits):
    judge = metrics.Judge("digits")
    # more than a batch, and not whole batches
    generated, real = to_bytes(digits.images[:130]), to_bytes(digits.images[130:200])
    _, (fake, fake_logits), (true, true_logits) = evaluation.fidelity(judge.read_bytes, generated, real)
    for got, pixels in (((fake, fake_logits), generated), ((true, true_logits), real)):
        torch.testing.assert_close(got, judge.read_bytes(pixels), rtol=1e-4, atol=1e-3)
        assert all(t.dtype == torch.float32 and t.device.type == "cpu" and not t.requires_grad for t in got)


def test_the_report_holds_torch_fidelitys_values_with_our_intervals(digits):
    generated, real = digits.images[:90], digits.images[300:440]
    judge = metrics.Judge("digits")
    values, (fake, logits), (true, _) = evaluation.fidelity(
        judge.read_bytes, to_bytes(generated), to_bytes(real), judge.scale
    )
    report = metrics.evaluate(generated, real, repeats=40)
    kid = lambda a, b: metrics.kernel_distance(a / judge.scale, b / judge.scale)
    interval = lambda *args, **bounds: metrics.bootstrap_interval(*args, repeats=40, **bounds)
    for got, want in (
        (report.fid, interval(metrics.fid, fake, true, value=values[FID], least=0)),
        (report.kid, interval(kid, fake, true, value=values[KID])),
        (
            report.inception_score,
            interval(metrics.inception_score, logits.double().softmax(1), value=values[IS], least=1, most=10),
        ),
        (report.modes, interval(lambda z: metrics.effective_modes(metrics.mode_counts(z)), logits, least=0, most=10)),
    ):
        assert got.n == 90 and got.value == want.value and got.low < got.high
        assert (got.low, got.high) == pytest.approx((want.low, want.high), rel=1e-6)
    assert (report.precision.value, report.recall.value) == metrics.precision_recall(true, fake, 3)
    assert (report.density.value, report.coverage.value) == metrics.density_coverage(true, fake, 5)
    assert report.accuracy is None


# The judge


@pytest.mark.parametrize("name", metrics.judges())
def test_the_judge_is_the_shipped_classifier(name):
    judge, classifier = metrics.Judge(name), al.shipped(f"classifier-{name}")
    images = al.data.load(name).images[:40]
    features, logits = judge(images)
    assert not judge.training and features.shape == (40, 64) and logits.shape == (40, judge.n_classes)
    torch.testing.assert_close(
        (features, logits), (classifier.embed(images), classifier.predict(images)), rtol=1e-4, atol=1e-4
    )
    pixels = to_bytes(images)
    torch.testing.assert_close(judge.read_bytes(pixels), judge(pixels.float() / 127.5 - 1))


@pytest.mark.parametrize("size", [16, 48])
def test_pictures_of_another_size_are_resized_for_the_judge(size):
    judge, shapes = metrics.Judge("shapes"), al.data.load("shapes", size=size, n=120)
    generated, real = shapes.images[:50], shapes.images[50:]
    assert real.shape[2:] == (size, size) != judge.image_shape[1:]
    fake, true = (judge(resize(to_bytes(x).float() / 127.5 - 1, 32))[0] for x in (generated, real))
    assert metrics.evaluate(generated, real, "shapes").fid.value == pytest.approx(metrics.fid(fake, true), rel=1e-3)


# torch-fidelity's pitfalls


class Asked(Exception):
    """Carries what torch-fidelity was asked."""


@pytest.fixture
def asked(monkeypatch):
    def calculate_metrics(**kwargs):
        raise Asked(kwargs)

    monkeypatch.setattr(torch_fidelity, "calculate_metrics", calculate_metrics)


@pytest.mark.parametrize("cuda", [False, True])
def test_what_torch_fidelity_is_asked(asked, monkeypatch, cuda):
    monkeypatch.setattr(evaluation, "has_cuda", lambda: cuda)
    generated, real = noise(9), noise(6, seed=1)
    with pytest.raises(Asked) as caught:
        metrics.evaluate(generated, real)
    given = caught.value.args[0]
    assert set(given) <= set(DEFAULTS), "torch-fidelity accepts unknown arguments in silence"
    assert not set(given) & set(DEPRECATIONS)
    assert (
        given["cuda"] is cuda
        and given["cache"] is False
        and given["save_cpu_ram"] is True
        and given["verbose"] is False
    )
    assert "input1_cache_name" not in given and "input2_cache_name" not in given
    assert given["isc"] and given["fid"] and given["kid"] and "prc" not in given
    assert given["isc_splits"] == 1 and given["kid_subset_size"] == 6 and given["kid_subsets"] == 20
    for name, pictures in (("input1", generated), ("input2", real)):
        items = given[name]
        assert len(items) == len(pictures) and all(
            type(item) is torch.Tensor and item.dtype == torch.uint8 for item in items
        )
        assert torch.equal(torch.stack(list(items)), to_bytes(pictures))


def test_generated_comes_first_and_real_second(digits):
    """Copies of five real pictures: each lies among the real ones, and hardly a real one among them. Swapped, the other way round."""
    real = digits.images[:100]
    copies = real[:5].repeat(8, 1, 1, 1)
    report, swapped = metrics.evaluate(copies, real), metrics.evaluate(real, copies)
    assert report.precision.value == 1 and report.recall.value <= 0.1 and report.inception_score.value <= 5
    assert swapped.recall.value == 1 and swapped.precision.value <= 0.1 and swapped.inception_score.value > 5
    assert (report.precision.n, report.recall.n, swapped.precision.n, swapped.recall.n) == (40, 100, 100, 40)


def test_nothing_is_cached(monkeypatch, tmp_path, digits):
    for variable in ("HOME", "USERPROFILE", "TORCH_HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    generated = digits.images[:40]
    reports = [metrics.evaluate(generated, real) for real in (digits.images[40:100], digits.images[100:160], noise(60))]
    assert len({r.fid.value for r in reports}) == 3 and reports[2].fid.value > 3 * max(r.fid.value for r in reports[:2])
    assert list(tmp_path.rglob("*")) == []


def test_features_come_in_whatever_order_they_are_asked(monkeypatch, digits):
    """torch-fidelity asks for the names in a set's order, which changes from one Python process to the next."""
    create, seen = torch_fidelity.metrics.create_feature_extractor, set()
    values = []
    for order in itertools.permutations(range(3)):

        def ordered(name, names, order=order, **kwargs):
            names = [sorted(names)[i] for i in order]
            seen.add(tuple(names))
            return create(name, names, **kwargs)

        monkeypatch.setattr(torch_fidelity.metrics, "create_feature_extractor", ordered)
        judge = metrics.Judge("digits")
        values.append(
            evaluation.fidelity(
                judge.read_bytes, to_bytes(digits.images[:40]), to_bytes(digits.images[40:70]), judge.scale
            )[0]
        )
    assert len(seen) == 6 and all(v == values[0] for v in values)


def test_evaluating_again_uses_the_second_judge(digits):
    generated, real = digits.images[:30], digits.images[30:80]
    first, other = metrics.evaluate(generated, real), metrics.evaluate(generated, real, "textures")
    assert metrics.evaluate(generated, real) == first != other
    assert (first.features, other.features) == ("digits", "textures") and first.fid.value != other.fid.value


@pytest.mark.parametrize("n, m", [(6, 6), (6, 23), (31, 7)])
def test_few_pictures_and_sizes_that_differ_give_numbers(digits, n, m):
    report = metrics.evaluate(digits.images[:n], digits.images[50 : 50 + m])
    for name, measure in report.measures.items():
        assert np.isfinite([measure.value, measure.low, measure.high]).all(), name
        assert measure.low <= measure.value <= measure.high, name
    assert 1 <= report.inception_score.value <= min(n, 10) and report.fid.low >= 0 and report.inception_score.low >= 1
    assert report.fid.n == min(n, m) and report.precision.n == n and report.recall.n == m


# Real Inception, offline: its network with weights drawn at random


class Unloaded(FeatureExtractorInceptionV3):
    """The network before its weights are loaded."""

    def load_state_dict(self, state, **kwargs):
        pass


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights by He's rule, with which signals neither vanish nor explode."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({}, path)
    network = Unloaded("inception", ["2048"], feature_extractor_weights_path=str(path))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)
    yield path
    path.unlink()  # 96 MB


@pytest.fixture
def known(weights, monkeypatch):
    """The same file, and a course that takes its hash for the published one."""
    monkeypatch.setattr(evaluation, "INCEPTION_SHA256", hashlib.sha256(weights.read_bytes()).hexdigest()[:8])
    return weights


def test_inception_offline_with_grey_pictures(known, monkeypatch):
    pictures = al.data.load("digits", size=16).images
    generated, real = pictures[:7], pictures[7:13]
    returned, fidelity = [], evaluation.fidelity
    monkeypatch.setattr(evaluation, "fidelity", lambda *args: returned.append(fidelity(*args)) or returned[-1])
    draws = []  # each takes 4 s for 2,048 features, and is for the interval only
    monkeypatch.setattr(frechet, "moments", lambda features: features.shape)
    monkeypatch.setattr(frechet, "frechet_distance", lambda *shapes: draws.append(shapes) or 0.0)
    report = metrics.evaluate(generated, real, "inception", weights=known)
    values, (fake, logits), (true, _) = returned[0]

    network = FeatureExtractorInceptionV3(
        "by hand", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(known)
    )
    by_hand, by_hand_logits = network(to_bytes(pictures[5:9]).repeat(1, 3, 1, 1))  # the same picture three times
    torch.testing.assert_close(torch.cat([fake[5:], true[:2]]), by_hand, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(logits[5:], by_hand_logits[:2], rtol=1e-3, atol=1e-5)
    assert fake.shape == (7, 2048) and by_hand.std(0).max() > 1e-2, "the network sees a difference"

    # of few pictures trace (cov1 cov2)^(1/2) is the sum of the singular values of A B', the centred features over sqrt(n - 1)
    a, b = ((x - x.mean(0)).double() / (len(x) - 1) ** 0.5 for x in (fake, true))
    want = (
        (fake.mean(0) - true.mean(0)).square().sum()
        + a.square().sum()
        + b.square().sum()
        - 2 * torch.linalg.svdvals(a @ b.T).sum()
    )
    assert report.fid.value == pytest.approx(want.item(), rel=1e-3)
    assert report.inception_score.value == pytest.approx(
        metrics.inception_score(logits.double().softmax(1)).item(), rel=1e-6
    )
    assert report.kid.value == values[KID] and (report.precision.n, report.recall.n) == (7, 6)
    assert (
        draws == 20 * [(7, 2048, 6, 2048)]
        and report.features == "inception"
        and report.modes is None
        and report.accuracy is None
    )
    assert report.size == (16, 16) and report.resized == "resized to 299x299 (bilinear as in TensorFlow 1)"
    assert "InceptionV3: comparable with published values if" in report.note and report.note in str(report)


def test_inception_takes_only_the_published_file(weights, tmp_path, monkeypatch):
    found = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("a file of another hash was unpickled"))
    published = r"Accepted: the published file weights-inception-2015-12-05-6726825d.pth.* never downloads it"
    given = dict(generated=noise(7), real=noise(6), features="inception")
    with pytest.raises(
        ValueError,
        match=f"weights.pth.* is another file, or damaged: its sha256 begins with {found}, not 6726825d. {published}",
    ):
        metrics.evaluate(**given, weights=weights)
    with pytest.raises(FileNotFoundError, match=f"nowhere.pth.*: there is no such file. {published}"):
        metrics.evaluate(**given, weights=str(tmp_path / "nowhere.pth"))
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        metrics.evaluate(**given, weights=tmp_path)  # a folder
    with pytest.raises(ValueError, match=rf"features='inception' needs weights=PATH. {published}"):
        metrics.evaluate(**given)


def test_inception_knows_no_labels_of_ours(known):
    with pytest.raises(
        ValueError,
        match=r"features='inception'\) knows no classes of yours. Give labels= with a judge's features only: digits",
    ):
        metrics.evaluate(noise(7), noise(6), "inception", weights=known, labels=torch.zeros(7, dtype=torch.int64))


# Pixels, where there is no judge


def test_pixels_are_means_of_blocks(digits):
    generated, real = digits.images[:150], digits.images[200:300]
    report = metrics.evaluate(generated, real, "pixels")
    blocks = lambda x: torch.stack(
        [x[:, 0, i : i + 8, j : j + 8].mean((1, 2)) for i in range(0, 32, 8) for j in range(0, 32, 8)], 1
    )
    fake, true = (blocks(to_bytes(x).float() / 127.5 - 1) for x in (generated, real))
    assert fake.shape == (150, 16) and report.fid.value == pytest.approx(metrics.fid(fake, true), rel=1e-4)
    assert (report.precision.value, report.recall.value) == pytest.approx(
        metrics.precision_recall(true, fake, 3), abs=1.01 / 100
    )
    assert (
        list(report.measures) == ["fid", "kid", "precision", "recall", "density", "coverage"]
        and report.inception_score is report.modes is None
    )
    assert "8x8 blocks" in report.note and "not with published values" in report.note
    assert metrics.coarse_pixels(noise(3, (2, 16, 24))).shape == (3, 12)


# The report


def test_the_report_shows_every_measure_with_its_interval(digits):
    labels = digits.labels[:60].clone()
    labels[:3] = (labels[:3] + 1) % 10
    report = metrics.evaluate(digits.images[:60], digits.images[60:200], labels=labels)
    shown = {}
    for name, *numbers in re.findall(
        r"^([a-z][a-z ]+?) +(-?[\d.]+) +(-?[\d.]+) to (-?[\d.]+)$", str(report), re.MULTILINE
    ):
        shown[name.replace(" ", "_")] = [float(x) for x in numbers]
    assert (
        set(shown)
        == set(report.measures)
        == {"fid", "kid", "precision", "recall", "density", "coverage", "inception_score", "modes", "accuracy"}
    )
    for name, m in report.measures.items():
        assert shown[name] == pytest.approx([m.value, m.low, m.high], abs=5.1e-5) and m.low <= m.value <= m.high, name
        assert m.low < m.high and getattr(report, name) is m
    assert "95 % interval" in str(report) and "(n = 60)" in str(report) and repr(report) == str(report)
    assert (
        "the course's judge for digits" in report.note
        and "not with published values" in report.note
        and report.note in str(report)
    )


def test_accuracy_is_the_judges_reading_of_the_labels(digits):
    logits = metrics.Judge("digits")(digits.images[:60])[1]
    labels = logits.argmax(1)
    labels[:7] = (labels[:7] + 3) % 10
    report = metrics.evaluate(digits.images[:60], digits.images[60:90], labels=labels)
    assert report.accuracy == metrics.wilson_interval(53, 60)


def test_intervals_keep_to_what_a_measure_can_be(digits):
    """Drawing anew loses modes, so the interval about a score near the number of classes would reach past it; about FID 0, below it."""
    logits = metrics.Judge("digits")(digits.images)[1]
    surest = logits.softmax(1).topk(6, dim=0).indices.flatten()  # six of each class
    generated = digits.images[surest]
    report = metrics.evaluate(generated, generated)
    assert report.inception_score.high == 10 and report.modes.high == 10 and 9 < report.inception_score.value < 10
    assert abs(report.fid.value) < 1e-2 < report.fid.high and report.fid.low == min(0, report.fid.value)
    assert report.kid.low < 0  # an unbiased estimate may be


def test_fewer_repeats_change_the_intervals_and_no_value(digits):
    many, few = (metrics.evaluate(digits.images[:50], digits.images[50:110], repeats=r) for r in (None, 5))
    assert {k: m.value for k, m in many.measures.items()} == {k: m.value for k, m in few.measures.items()}
    assert few.fid.high - few.fid.low != many.fid.high - many.fid.low and few.precision != many.precision


def test_it_does_not_see_what_eight_bits_do_not_hold(digits):
    generated, real = digits.images[:40], digits.images[40:90]
    stored = to_bytes(generated).float() / 127.5 - 1
    shaken = stored + (noise(40) * 0.9 / 255).clamp(-1 - stored, 1 - stored)
    assert not torch.equal(shaken, stored) and metrics.evaluate(shaken, real) == metrics.evaluate(stored, real)


def test_better_pictures_score_better(digits):
    real, held_out = digits.images[:300], digits.images[300:600]
    blurred = resize(resize(held_out, 8), 32)
    good, fair, bad = (metrics.evaluate(x, real, repeats=2) for x in (held_out, blurred, noise(300)))
    assert good.fid.value < fair.fid.value < bad.fid.value and good.kid.value < fair.kid.value < bad.kid.value
    # Precision is left out: all noise looks alike to a judge that knows nothing, and may lie in one real picture's ball.
    assert good.recall.value > bad.recall.value + 0.5 and good.coverage.value > bad.coverage.value + 0.5


# What it says it did


def test_the_report_says_size_and_resizing():
    shapes = al.data.load("shapes", size=16, n=40)
    small = metrics.evaluate(shapes.images[:20], shapes.images[20:], "shapes")
    assert small.size == (16, 16) and small.resized == "resized to 32x32 (bicubic)" and small.made_alike is None
    assert "Compared at 16x16 pixels, resized to 32x32 (bicubic), by features of the course's judge for shapes" in str(
        small
    )
    same = metrics.evaluate(noise(9), noise(9, seed=1))
    assert same.size == (32, 32) and same.resized is None and "Compared at 32x32 pixels, by features" in str(same)
    wide = metrics.evaluate(noise(9, (1, 16, 24)), noise(9, (1, 16, 24), 1), "pixels")
    assert (
        wide.size == (16, 24) and wide.resized is None and "Compared at 16x24 pixels, by pixels averaged" in wide.note
    )


def test_grey_pictures_that_were_saved_in_colour_are_compared_as_grey(digits):
    generated, real = digits.images[:40], digits.images[40:90]
    # a JPEG is grey but for rounding
    in_colour = lambda x: (x + torch.tensor([0.0, 1e-3, -1e-3]).view(3, 1, 1)).clamp(-1, 1)
    plain = metrics.evaluate(generated, real)
    for made, true, says in (
        (in_colour(generated), real, "generated pictures, grey in three channels, made one channel"),
        (generated, in_colour(real), "real pictures of three equal channels made grey"),
        (in_colour(generated), in_colour(real), "all pictures, grey in three channels, made one channel"),
    ):
        with pytest.warns(UserWarning, match=f"evaluate: {says}, so that both sets can be compared"):
            report = metrics.evaluate(made, true)
        assert report.made_alike == says and says in str(report)
        assert (
            report.fid.value == pytest.approx(plain.fid.value, rel=1e-3)
            and report.coverage.value == plain.coverage.value
        )


def test_real_pictures_follow_the_channels_of_the_generated():
    shapes = al.data.load("shapes", n=60).images
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    grey = (shapes * weights).sum(1, keepdim=True)
    with pytest.warns(UserWarning, match="real pictures in colour made grey"):
        made_grey = metrics.evaluate(grey[:30], shapes[30:], "pixels")
    assert made_grey.fid.value == pytest.approx(metrics.evaluate(grey[:30], grey[30:], "pixels").fid.value, rel=1e-6)
    with pytest.warns(UserWarning, match="real pictures, grey, repeated to three channels"):
        repeated = metrics.evaluate(shapes[:30], grey[30:], "pixels")
    assert repeated.fid.value == metrics.evaluate(shapes[:30], grey[30:].repeat(1, 3, 1, 1), "pixels").fid.value


@pytest.mark.parametrize(
    "call",
    [
        lambda x: metrics.evaluate(x, noise(9), repeats=1),
        lambda x: metrics.evaluate(noise(9), x, repeats=1),
        lambda x: metrics.accuracy(lambda images: torch.zeros(len(images), 3), x, torch.zeros(9, dtype=torch.int64)),
        lambda x: metrics.confident_share(lambda images: torch.zeros(len(images), 3), x),
        lambda x: metrics.pairwise_distance(x),
    ],
)
def test_pictures_in_0_to_1_are_warned_about(call, recwarn):
    call(noise(9))
    assert not recwarn
    with pytest.warns(
        UserWarning, match=r"nothing below 0: they look like pictures in \[0, 1\].* 2 \* images - 1"
    ) as caught:
        call((noise(9) + 1) / 2)
    assert [w.filename for w in caught] == [__file__], "once, and it points at whoever called"


def test_features_that_are_not_finite_are_named(monkeypatch, digits):
    judge = metrics.Judge("digits")
    broken = judge.classifier.head.bias.new_tensor(float("nan"))

    def network(pixels):
        features, logits = judge.read_bytes(pixels)
        return torch.where((pixels == pixels.new_tensor(255)).all((1, 2, 3))[:, None], broken, features), logits

    monkeypatch.setattr(evaluation, "_eyes", lambda *given: (network, judge.scale, 10, None))
    pictures = digits.images[:80].clone()
    pictures[67] = 1.0
    for given, whose in (((pictures, digits.images[80:160]), "generated"), ((digits.images[80:190], pictures), "real")):
        with pytest.raises(
            ValueError,
            match=f"evaluate got NaN or infinity .* of the features of the {whose} pictures, the first at row 67",
        ):
            metrics.evaluate(*given)


# Judges and pictures of nothing


def test_confident_share_counts_who_is_believed():
    p = torch.tensor([[0.95, 0.03, 0.02], [0.5, 0.3, 0.2], [0.02, 0.02, 0.96], [0.1, 0.89, 0.01]])
    assert metrics.confident_share(lambda images: p.log(), noise(4)) == metrics.wilson_interval(2, 4)
    assert metrics.confident_share(lambda images: p.log(), noise(4), sure=0.8) == metrics.wilson_interval(3, 4)
    with pytest.raises(ValueError, match="confident_share got images from .* Accepted"):
        metrics.confident_share(lambda images: p, 3 * noise(4))


# Bad input


def with_bad(value, where=(3, 5), n=9):
    images = noise(n)
    for i in where:
        images[i, 0, 2, 1] = value
    return images


@pytest.mark.parametrize(
    "change, error, says",
    [
        (
            dict(generated=noise(5)),
            ValueError,
            r"evaluate \(generated\) got 5 images. Accepted: at least 6 .* 5th neighbour",
        ),
        (dict(real=noise(1)), ValueError, r"evaluate \(real\) got 1 images. Accepted: at least 6"),
        (dict(real=noise(0)), ValueError, r"evaluate \(real\) got 0 images. Accepted: at least 6"),
        (
            dict(generated=noise(9, (1, 16, 16))),
            ValueError,
            r"images of \(16, 16\) pixels and real ones of \(32, 32\). Accepted: one size",
        ),
        (
            dict(generated=noise(9) * 1.5),
            ValueError,
            r"evaluate \(generated\) got images from -1.\d+ to 1.\d+. Accepted: \[-1, 1\]",
        ),
        (
            dict(real=(noise(9) + 1) * 127.5),
            ValueError,
            r"evaluate \(real\) got images from .* to 255. Accepted: \[-1, 1\]",
        ),
        (
            dict(generated=with_bad(float("nan"))),
            ValueError,
            r"evaluate \(generated\) got NaN or infinity in 2 of 9 images, the first at index 3",
        ),
        (
            dict(real=with_bad(float("inf"), (8,))),
            ValueError,
            r"evaluate \(real\) got NaN or infinity in 1 of 9 images, the first at index 8",
        ),
        (
            dict(generated=to_bytes(noise(9))),
            TypeError,
            r"evaluate \(generated\) got images of type torch.uint8. Accepted: float32 in \[-1, 1\]",
        ),
        (
            dict(real=noise(9)[0]),
            ValueError,
            r"evaluate \(real\) got images of shape \(1, 32, 32\). Accepted: \(N, C, H, W\)",
        ),
        (
            dict(generated=noise(9).numpy()),
            TypeError,
            r"evaluate \(generated\) got ndarray, not a tensor. Give images as a float32 tensor",
        ),
        (
            dict(features="faces"),
            ValueError,
            r"features='faces'\): accepted are 'digits', 'emoji', 'shapes', 'textures' .*'inception' with weights=.* 'pixels'",
        ),
        (dict(features=None), ValueError, r"features=None\): accepted are 'digits'"),
        (
            dict(features="shapes"),
            ValueError,
            r"The judge for shapes looks at pictures with 3 channels and got 1. Choose another: 'digits'",
        ),
        (
            dict(generated=noise(9, (3, 8, 8)), real=noise(9, (3, 8, 8))),
            ValueError,
            "The judge for digits looks at pictures with 1 channels and got 3",
        ),
        (
            dict(labels=torch.arange(9) + 2),
            ValueError,
            r"got labels .* from 2 to 10 for 9 images. Accepted: .* judge for digits knows: 0 to 9",
        ),
        (dict(labels=torch.arange(9) - 1), ValueError, r"got labels .* from -1 to 7 for 9 images. Accepted: .* 0 to 9"),
        (
            dict(labels=torch.arange(8)),
            ValueError,
            r"got labels of shape \(8,\) .* for 9 images. Accepted: a whole number for each image",
        ),
        (dict(labels=torch.arange(9)[:, None]), ValueError, r"got labels of shape \(9, 1\)"),
        (dict(labels=torch.arange(9.0)), ValueError, r"torch.float32 from 0.0 to 8.0"),
        (dict(labels=[]), ValueError, r"got labels of shape \(0,\)"),
        (dict(repeats=-1), ValueError, r"repeats=-1\): accepted is 1 or more"),
        (dict(features="pixels", labels=torch.arange(9)), ValueError, r"features='pixels'\) knows no classes of yours"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else None,
)
def test_evaluate_says_what_was_given_and_what_is_accepted(change, error, says):
    with pytest.raises(error, match=says):
        metrics.evaluate(**(dict(generated=noise(9), real=noise(9, seed=1)) | change))


def test_a_data_set_without_a_judge_is_named():
    with pytest.raises(
        ValueError,
        match="no judge for 'faces'. There are judges for digits, emoji, shapes, textures; .* features='inception'",
    ):
        metrics.Judge("faces")


# Time and memory


TWO_THOUSAND = """
import json, re, time
from pathlib import Path
import aigc_lessons as al
images = al.data.load("shapes", n=4_000).images
start = time.process_time()
report = al.metrics.evaluate(images[:2_000], images[2_000:], features="shapes")
seconds = time.process_time() - start
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([seconds, int(peak[1]) * 1024, report.fid.n]))
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of a process's own memory is read from Linux's /proc"
)
def test_two_thousand_pictures_against_two_thousand():
    # Not resource.getrusage: its peak starts at that of the process which started this one.
    # One thread and its processor time, so that a machine busy with other things passes too: on two idle cores it takes no longer than that.
    one = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([sys.executable, "-c", TWO_THOUSAND], capture_output=True, text=True, timeout=300, env=one)
    assert run.returncode == 0, run.stderr
    seconds, peak, n = json.loads(run.stdout.splitlines()[-1])
    assert n == 2_000 and seconds <= 20 and peak < 2e9


FIFTY_THOUSAND = """
import json, re, time
from pathlib import Path
import torch
from aigc_lessons import metrics
from aigc_lessons.metrics import evaluation
def network(pixels):
    features = pixels.flatten(1).float() / 127.5 - 1
    return features, 5 * features[:, :10]
evaluation._eyes = lambda *given: (network, 1.0, 10, None)
g = torch.Generator().manual_seed(0)
generated, real = (torch.rand(50_000, 1, 8, 8, generator=g) * 2 - 1 for _ in range(2))
start = time.process_time()
report = metrics.evaluate(generated, real, repeats=20)
seconds = time.process_time() - start
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([seconds, int(peak[1]) * 1024, [m.n for m in report.measures.values()]]))
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of a process's own memory is read from Linux's /proc"
)
def test_fifty_thousand_features_fit_in_4_gb():
    one = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([sys.executable, "-c", FIFTY_THOUSAND], capture_output=True, text=True, timeout=300, env=one)
    assert run.returncode == 0, run.stderr
    seconds, peak, n = json.loads(run.stdout.splitlines()[-1])
    among = evaluation.AMONG
    assert n == [50_000, 50_000, among, among, among, among, 50_000, 50_000]
    assert seconds <= 40 and peak < 2e9  # a matrix of all pairs in 64 bits alone has 20 GB, one in 8 bits 2.5


def test_what_no_features_can_look_at():
    for shape, says in (
        ((9, 2, 16, 16), "2 channels"),
        ((9, 1, 7, 16), r"\(7, 16\) pixels"),
        ((9, 1, 0, 0), r"\(0, 0\) pixels"),
    ):
        for features in ("pixels", "digits", "inception"):
            with pytest.raises(ValueError, match=says):
                metrics.evaluate(torch.zeros(shape), torch.zeros(shape), features=features, weights="nowhere.pth")


def test_the_callers_random_numbers_are_left_alone():
    x = al.data.load("digits", size=32).images[:12]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    metrics.evaluate(x[:6], x[6:], features="pixels", repeats=2)
    assert torch.equal(torch.get_rng_state(), before)
