"""From one kind of picture to another: lessons 43 and 44."""

from ... import data, metrics, models, shipped
from .recipe import Recipe


def _day_and_night():
    """Unpaired to learn from; the test scenes are pairs, so that the error can be measured."""
    return data.shape_domains("day", "night", n=3_000, seed=0, paired=False), data.shape_domains(
        "day", "night", n=500, seed=1
    )


def _day_night_error(model, test):
    day, night = test
    return {
        "l1_to_night": (model.translate(day.images, to="B") - night.images).abs().mean().item(),
        "l1_to_day": (model.translate(night.images, to="A") - day.images).abs().mean().item(),
    }


def _grass_and_brick():
    return tuple(
        data.texture_domains("grass", "brick", n=n, split=split) for n, split in ((2_000, "train"), (500, "test"))
    )


def _read_as_target(model, test):
    judge = shipped("classifier-textures")
    grass, brick = (ds.images for ds in test)
    read = lambda images, name: (
        (judge.predict(images).argmax(1) == data.bundled.TEXTURES.index(name)).float().mean().item()
    )
    return {
        "read_as_brick": read(model.translate(grass, to="B"), "brick"),
        "read_as_grass": read(model.translate(brick, to="A"), "grass"),
    }


def _line_art():
    return data.emoji_domains(64, "train", mirrored=True), data.emoji_domains(64, "test")


def _colours(model, test):
    """Over the coloured part of the held-out emoji, whose true colours are on the palette of the training pictures."""
    lines, true = (ds.images for ds in test)
    drawn, where = model.translate(lines), metrics.coloured(true, lines)
    common = metrics.emoji_palette()
    maps = {
        "colour_error": (drawn - true).abs().mean(1, keepdim=True),
        "saturation": metrics.saturation(drawn),
        "off_palette": metrics.off_palette(drawn, common),
    }
    return {name: metrics.region_mean(values, where).value for name, values in maps.items()}


def _colouring(keep=(), **arguments):
    return Recipe(
        models.Pix2Pix,
        dict(in_channels=1, width=16, dropout=0.5, **arguments),
        _line_art,
        (20, 6_000, 20_000),
        _colours,
        8,
        cosine=True,
        full=dict(width=48),
        keep=keep,
    )


def _cyclegan(domains, score, channels, steps):
    return Recipe(
        models.CycleGAN, dict(channels=channels, width=16), domains, (20, steps, 10_000), score, 16, full=dict(width=32)
    )


RECIPES = {
    "pix2pix-emoji": _colouring(l1_weight=10.0, halvings=2, keep=("discriminator",)),
    "pix2pix-l1-emoji": _colouring(adversarial=False),
    "cyclegan-textures": _cyclegan(_grass_and_brick, _read_as_target, 1, 1_000),
    "cyclegan-shapes": _cyclegan(_day_and_night, _day_night_error, 3, 1_500),
}
