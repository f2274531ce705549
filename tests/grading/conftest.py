"""Where the sandbox must run, and the table of the bank.

Without bubblewrap its tests are skipped; AIGC_SANDBOX=require turns the skip into a failure.
"""

import os

import pytest

from aigc_lessons.grading import sandbox


@pytest.fixture(scope="session")
def bubblewrap():
    why = sandbox.unavailable()
    if why and os.environ.get("AIGC_SANDBOX") == "require":
        pytest.fail(f"AIGC_SANDBOX=require, but {why}", pytrace=False)
    if why:
        pytest.skip(why)


TABLES = {
    "bank": "grading: hostile, odd and right submissions",
    "abuse": "grading: what a submission can do to the judge and the class",
}


def pytest_terminal_summary(terminalreporter):
    """The tests of banks leave (one of TABLES, (kinds by group, totals)) in their properties; those of side doors and honest work, lines."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for key, value in getattr(report, "user_properties", ()):
                if key in TABLES and report.when == "call":
                    groups, totals = value
                    terminalreporter.section(TABLES[key])
                    terminalreporter.write_line(f"{'':36}{'kinds':>8}{'as it must be':>16}")
                    for group, kinds, good in groups:
                        terminalreporter.write_line(f"{group:36}{kinds:>8}{good:>16}")
                    for what, count in totals:
                        terminalreporter.write_line(f"{what:52}{count:>8}")
                if key == "doors" and report.when == "call":
                    terminalreporter.section("grading: side doors")
                    for what, count in value:
                        terminalreporter.write_line(f"{what:52}{count:>8}")
                if key == "honest" and report.when == "call":
                    terminalreporter.section("grading: right work, points from check, grade and Gradescope")
                    terminalreporter.write_line(f"{'':72}{'check':>8}{'grade':>8}{'scope':>8}{'of':>6}")
                    for what, *points, of in value:
                        terminalreporter.write_line(f"{what:72}" + "".join(f"{n:>8}" for n in points) + f"{of:>6}")
                    full = sum(set(points) == {of} for _, *points, of in value)
                    terminalreporter.write_line(f"{len(value)} kinds, {full} with all points from all three")
