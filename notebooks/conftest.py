"""So that plain `pytest --nbval notebooks`, also with `-n 2`, does the right thing from any folder."""

import os
from pathlib import Path

import pytest


def pytest_configure(config):
    os.environ.setdefault("AIGC_PROFILE", "smoke")  # the kernels inherit it
    option = config.option
    if not getattr(option, "nbval_sanitize_with", None):
        option.nbval_sanitize_with = str(Path(__file__).with_name("nbval.cfg"))
    if not getattr(option, "nbval_kernel_name", None):
        option.nbval_current_env = True  # this Python, whatever kernels are registered


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a notebook's cells on one worker: dealt out to several, they fail."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)
