"""Profile, device and seed."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

import aigc_lessons as al
from aigc_lessons import settings as _  # noqa: F401  (the name `settings` of the package is the function)


@pytest.mark.parametrize("name, steps, width", [("smoke", 20, 16), ("laptop", 1_200, 32), ("full", 20_000, 64)])
def test_the_column_of_the_profile(name, steps, width, monkeypatch):
    monkeypatch.setenv("AIGC_PROFILE", name)
    cfg = al.settings(steps=(20, 1_200, 20_000), width=(16, 32, 64))
    assert (cfg.profile, cfg.steps, cfg.width) == (name, steps, width)
    assert isinstance(cfg.device, torch.device)


def test_unset_means_laptop_without_an_accelerator_and_full_with_one(monkeypatch):
    from aigc_lessons.settings import profile

    monkeypatch.delenv("AIGC_PROFILE")
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: None)
    assert profile() == "laptop"
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: torch.device("mps"))
    assert profile() == "full"


@pytest.mark.parametrize("given", ["Laptop", "fast", "smoke,laptop"])
def test_an_unknown_profile(given, monkeypatch):
    monkeypatch.setenv("AIGC_PROFILE", given)
    with pytest.raises(ValueError, match=f"AIGC_PROFILE='{given}'.*smoke, laptop, full.*unset"):
        al.settings(steps=(1, 2, 3))


@pytest.mark.parametrize("value", [3, (1, 2), [1, 2, 3], (1, 2, 3, 4)])
def test_a_table_needs_three_values(value):
    with pytest.raises(ValueError, match=r"settings\(steps=.*tuple of 3"):
        al.settings(steps=value)


def test_seed_everything_seeds_python_numpy_and_torch():
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    assert al.seed_everything(7) is None
    first = draw()
    al.seed_everything(8)
    assert all(a != b for a, b in zip(first, draw()))
    al.seed_everything(7)
    assert draw() == first


def test_the_package_lists_what_it_has_and_names_what_it_lacks():
    assert {"fit", "data", "show", "exercises"} <= set(dir(al))
    with pytest.raises(AttributeError, match="has no 'transformers'. It has: settings"):
        al.transformers  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, aigc_lessons; print([m for m in ('torch', 'torchvision', 'matplotlib', 'skimage', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    code = "import sys, aigc_lessons as al; al.data, al.fit, al.models, al.show, al.metrics, al.exercises; print([m for m in ('matplotlib', 'skimage', 'sklearn', 'IPython', 'tensorboard') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
