"""Shared fixtures. Tests run under the smoke profile unless one says otherwise, and never look outside temporary folders."""

import os

import pytest

os.environ.setdefault("AIGC_PROFILE", "smoke")


@pytest.fixture
def laptop(monkeypatch):
    """The laptop profile, for tests of what differs from smoke."""
    monkeypatch.setenv("AIGC_PROFILE", "laptop")
