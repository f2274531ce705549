"""Shared fixtures. Tests run under the smoke profile unless one says otherwise, and never look outside temporary folders."""

import os

import pytest

os.environ.setdefault("AIGC_PROFILE", "smoke")


@pytest.fixture
def laptop(monkeypatch):
    """The laptop profile, for tests of what differs from smoke."""
    monkeypatch.setenv("AIGC_PROFILE", "laptop")


def pytest_terminal_summary(terminalreporter):
    """Tests leave ("teeth", (exercise, what, rejected or accepted, of how many)) in their properties."""
    rows = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for key, value in getattr(report, "user_properties", ()):
                if key == "teeth" and report.when == "call":
                    exercise, what, hits, total = value
                    rows.setdefault(exercise, {})[what] = f"{hits}/{total}"
    if rows:
        terminalreporter.section("exercises: answers told apart")
        columns = ("known mistakes rejected", "mechanical ones rejected", "alternatives accepted")
        terminalreporter.write_line(f"{'':18}" + "".join(f"{c:>27}" for c in columns))
        for exercise, row in sorted(rows.items()):
            terminalreporter.write_line(f"{exercise:18}" + "".join(f"{row.get(c, '-'):>27}" for c in columns))
