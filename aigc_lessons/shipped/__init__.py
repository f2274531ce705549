"""Shipped weights: `al.shipped("dcgan-digits")` is the model of that name, built and loaded, in eval mode."""

import sys
from types import ModuleType

from .reading import architecture, build, load_weights, manifest, read_weights, record
from .writing import half_precision, save_record, save_weights

__all__ = [
    "architecture",
    "build",
    "half_precision",
    "load_weights",
    "manifest",
    "read_weights",
    "record",
    "save_record",
    "save_weights",
]


class _Shipped(ModuleType):
    def __call__(self, name):
        return build(name)


# The room and what one asks of it have one name. Python puts this module in the package as `aigc_lessons.shipped` whenever
# a file imports from it, over any function of that name; so the module itself can be called, whatever was imported first.
sys.modules[__name__].__class__ = _Shipped
