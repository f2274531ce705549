"""AIGC Lessons: build, steer and measure image generators. Use it as `import aigc_lessons as al`.

Names are fetched when first used, so that importing the package costs nothing, and so that `aigc-lessons doctor`
can still speak on a machine whose torch is broken.
"""

from importlib import import_module

from .settings import seed_everything, settings

__version__ = "0.1.0"
__all__ = [
    "settings",
    "seed_everything",
    "fit",
    "lesson",
    "blocks",
    "data",
    "diffusion",
    "editing",
    "exercises",
    "fields",
    "flows",
    "latents",
    "losses",
    "metrics",
    "models",
    "ops",
    "sequences",
    "shipped",
    "show",
    "training",
]


def __getattr__(name):
    if name == "fit":
        return import_module(".training", __name__).fit
    if name == "lesson":
        return import_module(".show.texts", __name__).lesson
    if name in __all__:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"aigc_lessons has no {name!r}. It has: {', '.join(__all__)}")


def __dir__():
    return __all__
