"""Profile, device and seed. The only module that reads the environment or names a kind of device.

Environment variables:
    AIGC_PROFILE   smoke (tests: seconds), laptop (CPU: minutes) or full (GPU). Unset: full with an accelerator, else laptop.
    AIGC_DATA      folder that holds downloaded data sets. Unset: `datasets/` of this checkout.
"""

import os
import random
from pathlib import Path
from types import SimpleNamespace

PROFILES = ("smoke", "laptop", "full")
COURSE = Path(__file__).resolve().parents[1]  # the checkout: notebooks/, datasets/, exercises/ lie here


def device():
    """The torch.device that this machine trains on: its accelerator (CUDA, MPS, XPU ...) or the CPU."""
    import torch

    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def has_cuda():
    """Is device() one that torch calls CUDA? For libraries that ask for it by name."""
    return device().type == "cuda"


def roomy(nbytes, where):
    """Does a set of so many bytes fit on the torch.device `where`, beside a model? At most half of what is free there."""
    import torch

    if where.type == "cpu":
        return True
    ask = getattr(torch.get_device_module(where), "mem_get_info", None)
    return nbytes < (ask(where)[0] / 2 if ask else 1e9)  # MPS does not tell


def autocast():
    """A context that computes in bfloat16 where this machine has the instructions for it, and changes nothing elsewhere.

    Without a cache: torch keeps the cast copy of a weight until the context ends, and within one step of training a weight
    changes. With the cache a generator would learn from the discriminator of before.
    """
    import contextlib

    import torch

    here = device()
    if here.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        cpu = getattr(torch.cpu, "get_capabilities", dict)()
        fast = here.type == "cpu" and bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))
    return torch.autocast(here.type, torch.bfloat16, cache_enabled=False) if fast else contextlib.nullcontext()


def profile():
    """The name of the profile in force: 'smoke', 'laptop' or 'full'.

    Raises ValueError if AIGC_PROFILE is set to anything else.
    """
    given = os.environ.get("AIGC_PROFILE", "").strip()
    if not given:
        return "laptop" if device().type == "cpu" else "full"
    if given not in PROFILES:
        raise ValueError(
            f"AIGC_PROFILE={given!r} is not a profile. Accepted: {', '.join(PROFILES)}. "
            "Set one of them, or unset AIGC_PROFILE to let the course choose for this machine."
        )
    return given


def settings(**table):
    """Pick the column of a (smoke, laptop, full) table for the profile in force.

    Args:
        table: each keyword is a tuple of three values, for smoke, laptop and full.
    Returns:
        a namespace with `profile`, `device` and one attribute a keyword.
    Raises:
        ValueError: a value is not a tuple of three, or AIGC_PROFILE is unknown.

    >>> cfg = settings(steps=(20, 1_200, 20_000))
    """
    for name, values in table.items():
        if not isinstance(values, tuple) or len(values) != len(PROFILES):
            raise ValueError(
                f"settings({name}={values!r}): give a tuple of {len(PROFILES)} values, "
                f"one each for {', '.join(PROFILES)}."
            )
    chosen = profile()
    column = PROFILES.index(chosen)
    return SimpleNamespace(profile=chosen, device=device(), **{name: values[column] for name, values in table.items()})


def data_folder():
    """The folder in which downloaded data sets are looked for and put."""
    return Path(os.environ.get("AIGC_DATA") or COURSE / "datasets").expanduser()


def seed_everything(seed):
    """Seed Python, NumPy and torch (every device). Returns None."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
