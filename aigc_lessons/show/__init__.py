"""What lessons show and ask. Each picture carries alternative text, and is small enough to be stored in a notebook.

Names are fetched when first used: the first curve loads matplotlib, the first explorer ipywidgets, not before.
"""

from importlib import import_module

_HOMES = {
    "Picture": "picture",
    "grid": "grids",
    "film_strip": "grids",
    "before_after": "grids",
    "curve": "plots",
    "bars": "plots",
    "heatmap": "plots",
    "figure": "plots",
    "explorer": "explore",
    "mask_editor": "editor",
    "ask": "questions",
    "diagram": "diagrams",
    "canvas": "drawing",
}
__all__ = list(_HOMES)


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"aigc_lessons.show has no {name!r}. It has: {', '.join(__all__)}")


def __dir__():
    return __all__
