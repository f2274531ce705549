"""How each set of shipped weights is made: `aigc-lessons train NAME --save` runs the recipe of that name."""
import platform
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .. import data, metrics, models, ops
from ..data.bundled import resize
from ..settings import profile, seed_everything, settings
from .loop import fit
from .schedules import cosine
from .weights import half_precision, save_weights, shipped


@dataclass(frozen=True)
class Recipe:
    """model: class in `models`; arguments: for it; data: () -> (train, test), for translation each a pair of domains; steps: a
    profile each; score: (model, test) -> {name: number}; batch_size, cosine: of `fit`."""
    model: type
    arguments: dict
    data: Callable
    steps: tuple
    score: Callable
    batch_size: int = 64
    cosine: bool = False


def _accuracy(model, test):
    return {"test_accuracy": metrics.accuracy(model.predict, test.images, test.labels).value,
            "feature_rms": model.embed(test.images).square().mean().sqrt().item()}


def _bound(model, test):
    log_px, kl = model.bound(test.images)
    return {"test_log_px": log_px.mean().item(), "test_kl": kl.mean().item()}


def _fid(features):
    """score: distance of 2,000 samples from the whole data, test pictures included, in the features of `features()`."""
    def score(model, test):
        extract, real = features()
        return {"fid": metrics.fid(extract(model.sample(2_000, seed=1)), extract(real.images))}
    return score


def _judge(name, size=32):
    """The judge's features of pictures of `size`, enlarged to the 32x32 that it knows, and the data at that size."""
    def features():
        judge = shipped(f"classifier-{name}")
        return lambda images: judge.embed(resize(images, 32)), data.load(name, size=size)
    return features


def _coarse_pixels():
    """For faces there is no classifier."""
    return metrics.coarse_pixels, data.load("faces", size=32)


def _halves(name, size=32):
    return lambda: tuple(data.load(name, size=size, split=s) for s in ("train", "test"))


def _mirrored_faces():
    """Too few to hold any back: 100 faces and their mirror images, and the 100 as test."""
    faces = data.load("faces", size=32)
    return data.ImageSet(torch.cat([faces.images, faces.images.flip(-1)]), name=faces.name, licence=faces.licence), faces


def _told(name):
    """score: share of 1,000 samples, the classes in turn, that the judge reads as what was asked for; of shapes kind and colour apart too."""
    def score(model, test):
        labels = torch.arange(1_000) % model.n_classes
        read = shipped(f"classifier-{name}").predict(model.sample(1_000, seed=1, labels=labels)).argmax(1)
        shares = {"accuracy": read == labels}
        if name == "shapes":
            shares |= {"kind_accuracy": read // 6 == labels // 6, "colour_accuracy": read % 6 == labels % 6}
        return {k: v.float().mean().item() for k, v in shares.items()}
    return score


def _photo_patches():
    """Patches of the training photos that may overlap; tiles of the test photos."""
    return data.load("photos", size=64, split="train", n=1_000), data.load("photos", size=64, split="test")


def _small_photos():
    """The same at half size, where a pixel holds more detail."""
    return data.load("photos", size=48, split="train", n=1_000, shrink=2), data.load("photos", size=48, split="test", shrink=2)


def _half_the_faces():
    """80 faces and their mirror images to learn from, 20 to test on."""
    train, test = data.load("faces", size=32).split(test=0.2, seed=0)
    return data.ImageSet(torch.cat([train.images, train.images.flip(-1)]), name=train.name, licence=train.licence), test


def _denoised(model, test):
    noise = torch.randn(test.images.shape, generator=torch.Generator().manual_seed(0))
    return {f"psnr_at_{sigma}": metrics.psnr_each(model.restore(ops.add_noise(test.images, sigma, noise)), test.images).mean().item()
            for sigma in (15, 25, 50)}


def _enlarged(model, test):
    return {"psnr": metrics.psnr_each(model.restore(ops.downscale(test.images)), test.images).mean().item()}


def _filled(model, test):
    mask = data.draw_masks("strokes", len(test), test.images.shape[-1], hole=0.3, seed=0)
    return {"psnr_in_hole": metrics.psnr_each(model.restore(test.images, mask), test.images, 1 - mask).mean().item()}


def _edges():
    """Outlines and the shapes they are of: 4,000 pairs to learn from, 500 others to test on."""
    return tuple(data.shape_domains("outline", "plain", n=n, seed=seed) for n, seed in ((4_000, 0), (500, 1)))


def _day_and_night():
    """Unpaired to learn from; the test scenes are pairs, so that the error can be measured."""
    return data.shape_domains("day", "night", n=3_000, seed=0, paired=False), data.shape_domains("day", "night", n=500, seed=1)


def _from_edges(model, test):
    edges, shapes = test
    drawn = model.translate(edges.images)
    read = shipped("classifier-shapes").predict(drawn).argmax(1)
    return {"l1": (drawn - shapes.images).abs().mean().item(), "kind_accuracy": (read // 6 == shapes.labels // 6).float().mean().item()}


def _day_night_error(model, test):
    day, night = test
    return {"l1_to_night": (model.translate(day.images, to="B") - night.images).abs().mean().item(),
            "l1_to_day": (model.translate(night.images, to="A") - day.images).abs().mean().item()}


def _three_textures(split, n):
    sets = [data.texture_domains(t, t, n=n, split=split)[0] for t in data.bundled.TEXTURES]
    return data.ImageSet(torch.cat([ds.images for ds in sets]), torch.arange(3).repeat_interleave(n), classes=data.bundled.TEXTURES,
                         name="textures", licence=sets[0].licence)


def _grass_and_brick():
    return tuple(data.texture_domains("grass", "brick", n=n, split=split) for n, split in ((2_000, "train"), (500, "test")))


def _read_as_target(model, test):
    judge = shipped("classifier-textures")
    grass, brick = (ds.images for ds in test)
    read = lambda images, name: (judge.predict(images).argmax(1) == data.bundled.TEXTURES.index(name)).float().mean().item()  # noqa: E731
    return {"read_as_brick": read(model.translate(grass, to="B"), "brick"), "read_as_grass": read(model.translate(brick, to="A"), "grass")}


GREY, COLOUR = dict(image_shape=(1, 32, 32)), dict(image_shape=(3, 32, 32))

RECIPES = {
    "classifier-digits": Recipe(models.Classifier, dict(image_shape=(1, 32, 32), n_classes=10, width=16, dropout=0.5, weight_decay=0.1),
                                _halves("digits"), (20, 1_500, 1_500), _accuracy),
    "classifier-shapes": Recipe(models.Classifier, dict(**COLOUR, n_classes=18, width=16), _halves("shapes"), (20, 1_500, 1_500), _accuracy),
    "vae-digits": Recipe(models.VAE, dict(**GREY, latent_dim=16), _halves("digits"), (20, 4_000, 4_000), _bound),
    "vae-shapes": Recipe(models.VAE, dict(**COLOUR, latent_dim=16), _halves("shapes"), (20, 6_000, 6_000), _bound),
    "vae-faces": Recipe(models.VAE, dict(**GREY, latent_dim=16, beta=1.0), _mirrored_faces, (20, 3_000, 3_000), _bound),
    "dcgan-digits": Recipe(models.DCGAN, GREY, _halves("digits"), (20, 5_000, 5_000), _fid(_judge("digits"))),
    # At 32x32 a DCGAN collapsed on shapes at two learning rates; at 16x16 it trains well (see lesson 24).
    "dcgan-shapes": Recipe(models.DCGAN, dict(image_shape=(3, 16, 16), lr=1e-3), _halves("shapes", 16), (20, 5_000, 5_000), _fid(_judge("shapes", 16))),
    "wgan-shapes": Recipe(models.WGAN, dict(image_shape=(3, 16, 16), constraint="spectral", critic_steps=1, lr=1e-3), _halves("shapes", 16),
                          (20, 5_000, 5_000), _fid(_judge("shapes", 16))),
    "dcgan-faces": Recipe(models.DCGAN, GREY, _mirrored_faces, (20, 4_000, 4_000), _fid(_coarse_pixels)),
    "cgan-shapes": Recipe(models.CGAN, dict(**COLOUR, n_classes=18, width=24), _halves("shapes"), (20, 5_000, 5_000), _told("shapes")),
    "projection-shapes": Recipe(models.ProjectionGAN, dict(**COLOUR, n_classes=18, width=32, ema_decay=0.999, lr=2e-3), _halves("shapes"),
                                (20, 12_000, 12_000), _told("shapes"), 32),
    "cvae-shapes": Recipe(models.CVAE, dict(**COLOUR, n_classes=18, width=24), _halves("shapes"), (20, 5_000, 5_000), _told("shapes")),
    "cgan-digits": Recipe(models.CGAN, dict(**GREY, n_classes=10, width=16), _halves("digits"), (20, 3_000, 3_000), _told("digits")),
    # With mismatched pairs digits are read as asked for every time, and are less like the data: both are kept (see lesson 31).
    "projection-digits": Recipe(models.ProjectionGAN, dict(**GREY, n_classes=10, width=16, lr=1e-3, mismatched=False), _halves("digits"),
                                (20, 3_000, 3_000), _told("digits")),
    "projection-mismatched-digits": Recipe(models.ProjectionGAN, dict(**GREY, n_classes=10, width=16, lr=1e-3), _halves("digits"),
                                           (20, 3_000, 3_000), _told("digits")),
    "cvae-digits": Recipe(models.CVAE, dict(**GREY, n_classes=10, width=16), _halves("digits"), (20, 3_000, 3_000), _told("digits")),
    "denoiser-photos": Recipe(models.Denoiser, dict(channels=3, width=24), _small_photos, (20, 30_000, 30_000), _denoised, 8, cosine=True),
    "super-resolver-photos": Recipe(models.SuperResolver, dict(channels=3, width=24), _small_photos, (20, 6_000, 6_000), _enlarged, 8, cosine=True),
    "inpainter-photos": Recipe(models.Inpainter, dict(channels=3, width=16), _photo_patches, (20, 2_000, 2_000), _filled, 16),
    "inpainter-partial-photos": Recipe(models.Inpainter, dict(channels=3, width=16, partial=True), _photo_patches, (20, 2_000, 2_000), _filled, 16),
    "inpainter-adversarial-photos": Recipe(models.Inpainter, dict(channels=3, width=16, adversarial_weight=0.02), _photo_patches,
                                           (20, 2_000, 2_000), _filled, 16),
    "inpainter-faces": Recipe(models.Inpainter, dict(channels=1, width=12), _half_the_faces, (20, 2_000, 2_000), _filled, 16),
    "pix2pix-shapes": Recipe(models.Pix2Pix, dict(width=12, l1_weight=10.0), _edges, (20, 1_500, 1_500), _from_edges, 32),
    "pix2pix-l1-shapes": Recipe(models.Pix2Pix, dict(width=12, adversarial=False), _edges, (20, 1_500, 1_500), _from_edges, 32),
    "pix2pix-adversarial-shapes": Recipe(models.Pix2Pix, dict(width=12, l1_weight=0.0), _edges, (20, 1_500, 1_500), _from_edges, 32),
    "classifier-textures": Recipe(models.Classifier, dict(**GREY, n_classes=3, width=16), lambda: (_three_textures("train", 2_000), _three_textures("test", 500)),
                                  (20, 600, 600), _accuracy),
    "cyclegan-textures": Recipe(models.CycleGAN, dict(channels=1, width=16), _grass_and_brick, (20, 1_000, 1_000), _read_as_target, 16),
    "cyclegan-shapes": Recipe(models.CycleGAN, dict(channels=3, width=16), _day_and_night, (20, 1_500, 1_500), _day_night_error, 16),
}


def score(name, model):
    """The measures that the manifest records for `name`, taken anew."""
    return RECIPES[name].score(model, RECIPES[name].data()[1])


def train(name, seed=0, save=False, checkpoint=None):
    """Make the weights `name`. Returns (model, history, metrics). With `save`, they replace the shipped ones."""
    recipe = RECIPES[name]
    seed_everything(seed)
    train_set, test_set = recipe.data()
    model = recipe.model(**recipe.arguments)
    steps = settings(steps=recipe.steps).steps
    history = fit(model, train_set, steps=steps, seed=seed, batch_size=recipe.batch_size,
                  schedule=cosine(steps) if recipe.cosine else None, checkpoint=checkpoint)
    half_precision(model)
    scores = {k: round(v, 5) for k, v in recipe.score(model, test_set).items()}
    if save and not history.interrupted:
        sets = train_set if isinstance(train_set, tuple) else (train_set,)
        names = " and ".join(dict.fromkeys(ds.name for ds in sets))
        save_weights(model, name, {
            "model": recipe.model.__name__, "arguments": recipe.arguments, "data": names,
            "command": f"aigc-lessons train {name} --save" + (f" --seed {seed}" if seed else ""), "profile": profile(), "seed": seed,
            "steps": history.steps, "seconds": round(history.seconds, 1), "torch": torch.__version__, "python": platform.python_version(),
            "licence": f"MIT; trained on {names}: {sets[0].licence}", "metrics": scores})
    return model, history, scores
