"""RESULTS.md: every generator that ships, measured by one command (`make results`)."""

import contextlib
import platform
import sys
import time
from datetime import date
from importlib.metadata import version

import torch
from tqdm.auto import tqdm

from .. import data, metrics, shipped
from ..files import write_atomically
from ..settings import COURSE, device, seed_everything
from ..shipped import manifest
from ..training import fit
from .recipes import RECIPES

N = 2_000  # pictures a comparison, where the data has as many
COMPARED = ("digits", "shapes", "emoji")  # where flows stand beside GANs
GANS = ("DCGAN", "WGAN", "CGAN", "ProjectionGAN")
WAYS = {  # of sampling; others have one
    "Flow": (dict(steps=2), dict(steps=5), dict(steps=10), dict(steps=5, guidance_scale=1.5))
}
DRAWN, TIMED = 200, 10  # pictures, and steps of training, by which speeds are measured
COLUMNS = ("fid", "kid", "inception_score", "precision", "recall", "density", "coverage", "modes", "accuracy")


def makes_pictures(name):
    """Does this model draw from noise? Classifiers, restorers and translators do not."""
    return hasattr(RECIPES[name].model, "sample")


def judge_for(name):
    """The features for a data set: its judge's, or block means where it has none."""
    return name if name in metrics.judges() else "pixels"


def some(images, n, seed):
    """n of the images, chosen at random; all of them if there are no more."""
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:n]]


def sampled(name, n=N, seed=1):
    """(pictures, labels or None, samples a second) of a shipped generator; a conditional one is asked for each class in turn, one that
    reads captions for those of the first test pictures."""
    model, asked = shipped(name), {}
    classes = getattr(model, "n_classes", 0)
    labels = torch.arange(n) % classes if classes else None
    if hasattr(model, "vocabulary"):
        test = RECIPES[name].data()[1][:n]
        asked, labels = {"captions": test.captions}, test.labels
    model.sample(4)  # the first call is slower
    start = time.perf_counter()
    images = model.sample(n, seed=seed, **asked)
    rate = n / (time.perf_counter() - start)
    return images, labels, rate


@contextlib.contextmanager
def one_thread():
    """So that speeds can be compared with those of another machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def samples_a_second(model, options):
    """Measured: DRAWN pictures, after a first few, by the processor's own clock, which does not run while others compute."""
    with one_thread():
        model.sample(4, **options)
        start = time.process_time()
        model.sample(DRAWN, seed=1, **options)
        return DRAWN / (time.process_time() - start)


def seconds_a_step(name):
    """Measured: TIMED steps of the training that a recipe names, after a first few, by the processor's own clock."""
    recipe = RECIPES[name]
    train, model = recipe.augment(recipe.data()[0]), recipe.model(**recipe.arguments)
    once = lambda steps: fit(model, train, steps=steps, batch_size=recipe.batch_size, progress=False)
    seed_everything(0)
    with one_thread():
        once(3)
        start = time.process_time()
        once(TIMED)
        return (time.process_time() - start) / TIMED


def flows_beside_gans():
    """Rows for each data set: GANs and flows of 32x32 pixels, each flow in some ways of sampling; all of a data set against the same pictures."""
    rows = []
    for origin in COMPARED:
        kinds = GANS if origin != "emoji" else ("ProjectionGAN",)  # its DCGAN for emoji draws smileys alone
        for name in sorted(RECIPES):
            record, kind = manifest().get(name, {}), RECIPES[name].model.__name__
            of_here = record.get("data") == origin and record["arguments"].get("image_shape", [0])[-1] == 32
            if of_here and kind in (*kinds, *WAYS):
                rows.extend(_compared(name, origin, kind))
    return rows


def _compared(name, origin, kind):
    """Its rows: one for each way of sampling."""
    model, record, recipe = shipped(name), manifest()[name], RECIPES[name]
    real = some(recipe.data()[1].images, N, 0)
    step, rows = seconds_a_step(name), []
    for options in WAYS.get(kind, ({},)):
        labels = torch.arange(len(real)) % model.n_classes if getattr(model, "n_classes", 0) else None
        images = model.sample(len(real), seed=1, **options)
        report = metrics.evaluate(images, real, judge_for(origin), labels=labels)
        told = ", ".join(f"{k.replace('_scale', '')} {v:g}" for k, v in options.items())
        rows.append(
            [
                f"{origin}, {report.fid.n}",
                f"`{name}`" + (f", {told}" if told else ""),
                _shown(report.fid),
                _shown(report.accuracy),
                copies(name, images),
                f"{samples_a_second(model, options):,.0f}",
                f"{record['steps']:,} of {recipe.batch_size}",
                f"{1000 * step:.0f}",
                f"{step * record['steps']:,.0f}",
            ]
        )
    return rows


def both_sides(name):
    """(pictures it was trained on, as many that were held back, the share of the training set that the first are), or None.

    Shapes are drawn anew, as many as were trained on, 2,000 at most. Of other sets as many training pictures are taken, at random, as there are test pictures.
    """
    train, test = (ds.images for ds in RECIPES[name].data())
    if (metrics.nearest(test[:50], train)[1] < 1e-3).all():
        return None  # too few to hold any back: it was trained on the test pictures too
    if manifest()[name]["data"] == "shapes":
        test = data.load("shapes", size=train.shape[-1], n=N, seed=1_000).images
    n = min(N, len(train), len(test))
    return some(train, n, 0), some(test, n, 0), n / len(train)


def copies(name, images):
    """One cell: the copy test's rate of a generator's pictures, its p, and how many pictures a side."""
    if (sides := both_sides(name)) is None:
        return "–"
    train, held_out, share = sides
    rate, p = metrics.copy_test(images, train, held_out, 999, torch.Generator().manual_seed(0))
    return f"{rate:.3f} (p {p:.3f}, {len(train)} a side, {share:.0%} of the training set)"


def translations(name):
    """{what: (translated pictures, real pictures of the target, features)} of a model that translates, on its recipe's test set."""
    model, (a, b) = shipped(name), RECIPES[name].data()[1]
    if RECIPES[name].model.__name__ == "Pix2Pix":
        return {f"{a.name} to {b.name}": (model.translate(a.images), b.images, "shapes")}
    judge = judge_for(a.name.partition("-")[0]) if name.endswith("textures") else "pixels"  # none has seen day or night
    return {
        f"{a.name} to {b.name}": (model.translate(a.images, to="B"), b.images, judge),
        f"{b.name} to {a.name}": (model.translate(b.images, to="A"), a.images, judge),
    }


def _shown(measure):
    """Value and interval, or a dash."""
    return "–" if measure is None else f"{measure.value:.4g} ({measure.low:.4g} to {measure.high:.4g})"


def _cells(report):
    """One cell a measure."""
    return [str(report.fid.n), *(_shown(getattr(report, column)) for column in COLUMNS)]


def _table(head, rows):
    return "\n".join(["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows]])


def _about(name):
    """Parameters of one network of each, training seconds, and the beginning of the weights' hash."""
    record = manifest()[name]
    count = sum(p.numel() for p in shipped(name).parameters())
    return [f"{count:,}", f"{record['seconds']:.0f}", record["sha256"][:12]]


def _recorded(name, unit=""):
    """The manifest's measures in words."""
    return ", ".join(f"{k.replace('_', ' ')} {v:.2f}{unit}" for k, v in manifest()[name]["metrics"].items())


def page():
    """RESULTS.md as text."""
    names = sorted(RECIPES)
    measures = ["n", "FID", "KID", "Inception Score", "precision", "recall", "density", "coverage", "modes", "accuracy"]
    floor, generators, translators, menders, first_stages, judges = [], [], [], [], [], []
    for name in metrics.judges():
        measured = manifest()[f"classifier-{name}"]["metrics"]
        judges.append(
            [
                name,
                *(
                    f"{100 * measured[k]:.1f} %"
                    for k in ("test_accuracy", "sure_of_real", "sure_of_nonsense", "sure_of_mixtures")
                ),
            ]
        )
        train, test = (ds.images for ds in RECIPES[f"classifier-{name}"].data())
        n = min(N, len(train), len(test))
        floor.append([name, *_cells(metrics.evaluate(some(train, n, 0), some(test, n, 0), name))])
    for name in tqdm(names, desc="measuring"):
        if makes_pictures(name):
            origin, real = manifest()[name]["data"], some(RECIPES[name].data()[1].images, N, 0)
            size = real.shape[-1]
            images, labels, rate = sampled(name, len(real))
            features = judge_for(origin)
            report = metrics.evaluate(images, real, features, labels=labels)
            generators.append(
                [
                    f"`{name}`",
                    f"{origin} {size}x{size}",
                    features,
                    *_cells(report),
                    copies(name, images),
                    *_about(name),
                    f"{rate:,.0f}",
                ]
            )
        elif hasattr(RECIPES[name].model, "translate"):
            for what, (made, real, features) in translations(name).items():
                translators.append(
                    [f"`{name}`", what, features, *_cells(metrics.evaluate(made, real, features))[:-2], *_about(name)]
                )
        elif hasattr(RECIPES[name].model, "restore"):
            menders.append([f"`{name}`", _recorded(name, " dB"), *_about(name)])
        elif hasattr(RECIPES[name].model, "rebuild"):
            first_stages.append([f"`{name}`", _recorded(name), *_about(name)])
    about = ["parameters", "training, s", "sha256"]
    versions = ", ".join(
        f"{package} {version(package)}" for package in ("torch", "torch-fidelity", "numpy", "scikit-learn")
    )
    return f"""# What every shipped generator scores

Made by `make results` on {date.today()}, Python {platform.python_version()}, {versions}, device {device().type}, threads {torch.get_num_threads()}. Do not edit it: run the command again.

Lesson 51 explains each measure. In brackets: the 95 % interval, by bootstrap (FID, KID, Inception Score, modes), half-samples (precision, recall, density, coverage) or Wilson (accuracy);
it says how far a number scatters from sample to sample, not from one training to another. More is better, but for FID and KID.

**What may be compared with what.** Features are those of the course's own judges, classifiers of lesson 13, so **no FID or KID here is comparable with a
published one**, nor with another judge's. FID also depends on the number of pictures, n on each side. The real pictures are test pictures, which no model has
seen; of faces and smileys there are too few to hold any back. A model of 16x16 pixels is judged on pictures enlarged to 32x32, real ones too.

## For comparison: real pictures against other real pictures

Training pictures in the place of generated ones. A generator that shows only what is safe can have a higher precision than real pictures; so a number below can be
better than here without being better pictures.

{_table(["data", *measures], floor)}

## The judges

A judge is sure of a picture where it gives one class a probability of at least 0.9; modes are counted among those. Each has learnt to be sure of
nothing where there is nothing to see: on pixel noise, flat colour and blobs (2,000 pictures, others than it learnt on), and on mixtures of two
test pictures of different classes.

{_table(["judge", "right on test pictures", "sure of test pictures", "sure of nonsense", "sure of mixtures"], judges)}

## Generators

Modes: effective number of classes among those the judge is sure of. Accuracy: how often the judge reads the class that a conditional generator was asked for, by a label or a caption. Parameters:
of all networks of the model, averaged copies included. Training seconds: as the manifest recorded them on 2 cores, some of them while the machine was busy.
Samples a second: on the machine that made this page. `pixels`: faces have no judge, so means of 8x8 blocks take the place of features.

Copies (lesson 52): the share of samples whose nearest picture, among training pictures and as many held-out ones, is a training picture, with the p of
a permutation test. A model that has learnt nothing by heart scores about 0.5. Where only a part of the training set stands in the test, a model that only copies
scores about 0.5 and half of that part: 0.625 for 25 %. A dash: no picture was held back, so nothing can be tested.

{_table(["weights", "data", "features", *measures, "copies", *about, "samples/s"], generators)}

## Flows beside GANs

The same measures of generators of one data set and one size, with what they cost. Of a flow, steps are those of sampling (Heun's method, the last step Euler's, so that
the network is asked 2 steps - 1 times), and guidance, where it is named, asks it twice as often; the class is asked for in turn. *Measured* on one thread, in seconds of the processor's own clock: samples a second, on
{DRAWN} pictures, and milliseconds a step of training, on {TIMED} steps. *Multiplied*: training seconds are those milliseconds times the steps that the weights were trained for. So all are of one machine, unlike the seconds
in the table above.

{_table(["data, n", "weights, sampling", "FID", "accuracy", "copies", "samples/s", "training: steps of a batch", "ms a step, measured", "seconds, multiplied"], flows_beside_gans())}

## Translators

On their test sets, against the real pictures of the target. No judge has seen day or night: there, means of 8x8 blocks take the place of features.

{_table(["weights", "what", "features", *measures[:-2], *about], translators)}

## Restoration and inpainting

Measured against the true picture, so no features are needed: peak signal-to-noise ratio, as the manifest records it.

{_table(["weights", "measured", *about], menders)}

## First stages

Autoencoders whose latents or codes a second model makes (lesson 64), on their test pictures, as the manifest records it. Rebuilt FID: between pictures and
themselves rebuilt, a floor under the FID of what is drawn through them; it may be compared with a generator's only where both were measured on the same pictures.

{_table(["weights", "measured", *about], first_stages)}
"""


def main():
    path = COURSE / "RESULTS.md"
    write_atomically(path, page().encode())
    print(f"Written: {path}")


if __name__ == "__main__":
    sys.exit(main())
