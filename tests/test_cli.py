"""The command line: doctor tells and fails, check grades, train saves, lab starts."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from aigc_lessons import cli
from aigc_lessons.data import carried
from aigc_lessons.shipped import reading


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "aigc_lessons.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    shutil.copytree(reading.SHIPPED, folder)
    monkeypatch.setattr(reading, "SHIPPED", folder)
    return folder


def test_doctor_reports_everything_and_is_content(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in (
        "Python",
        "torch 2",
        "torchvision 0",
        "device",
        "profile",
        "smoke",
        "memory",
        "free disk",
        "digits: ready",
        "mnist:",
        "digits.npz: sha256",
        "emoji-tones.npz: sha256",
        "classifier-digits: sha256",
        "All is well",
    ):
        assert word in out, word
    assert "BAD" not in out


@pytest.mark.parametrize(
    "breaks, says",
    [
        (lambda folder: (folder / "classifier-digits.safetensors").write_bytes(b"x"), "damaged or altered"),
        (lambda folder: (folder / "classifier-digits.safetensors").unlink(), "is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest cannot be read"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest cannot be read"),
    ],
)
def test_doctor_finds_bad_weights(shipped, breaks, says, capsys):
    breaks(shipped)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert says in out and "git checkout" in out and "To fix: weights" in out


@pytest.mark.parametrize(
    "breaks, says",
    [
        (lambda folder: (folder / "emoji.npz").write_bytes(b"x"), "emoji.npz is damaged or altered"),
        (lambda folder: (folder / "emoji-tones.npz").unlink(), "emoji-tones.npz is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "digits.npz is damaged or altered"),
        (lambda folder: (folder / "manifest.json").write_text("[1"), "manifest.json, is damaged"),
        (lambda folder: shutil.rmtree(folder), "and is missing"),
    ],
)
def test_doctor_finds_bad_carried_files(tmp_path, monkeypatch, breaks, says, capsys):
    folder = tmp_path / "carried"
    shutil.copytree(carried.FOLDER, folder)
    monkeypatch.setattr(carried, "FOLDER", folder)
    monkeypatch.setattr(cli, "_pair", lambda: ("not tried", True))  # slow, and tested below
    breaks(folder)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert says in out and "git checkout -- aigc_lessons/data/carried" in out and "To fix: carried" in out


def test_doctor_finds_a_full_disk(monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 3 * 10**8))
    assert cli.main(["doctor"]) == 1
    assert "0.30 GB; the course needs 1 GB" in capsys.readouterr().out


def test_doctor_finds_a_broken_pair_and_still_speaks(tmp_path):
    fake = tmp_path / "torchvision"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    done = run("doctor", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert (
        "operator torchvision::nms does not exist" in done.stdout
        and "--force-reinstall torch torchvision" in done.stdout
    )
    assert "free disk" in done.stdout and "Traceback" not in done.stderr


def test_doctor_finds_an_unknown_profile():
    done = run("doctor", AIGC_PROFILE="fast")
    assert done.returncode == 1 and "Accepted: smoke, laptop, full" in done.stdout


def notebook(path, *cells):
    content = {
        "cells": [{"cell_type": "code", "source": c.splitlines(True)} for c in cells],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


GOOD = "def flip_horizontal(image):\n    return image.flip(-1)\n"


def test_check_a_notebook_or_a_file(tmp_path, capsys):
    good = notebook(tmp_path / "my 答案.ipynb", "%matplotlib inline\nimport torch", GOOD)
    assert cli.main(["check", good]) == 0
    assert "flip_horizontal: correct" in capsys.readouterr().out
    (tmp_path / "bad.py").write_text("def flip_horizontal(image):\n    return image.flip(-2)\n")
    assert cli.main(["check", str(tmp_path / "bad.py")]) == 1
    out = capsys.readouterr().out
    assert "flip_horizontal: wrong" in out and "0 of 2 points" in out
    assert "warp: not found in this file. It is worth 4 points." in out and out.endswith("\n0 of 8 points.\n")


def test_check_shows_the_learners_line_and_goes_on_after_a_broken_cell(tmp_path, capsys):
    path = notebook(tmp_path / "a.ipynb", "def broken(:\n", "def flip_horizontal(image):\n    return image.flop(-1)\n")
    assert cli.main(["check", path]) == 1
    out = capsys.readouterr().out
    assert "a.ipynb, cell 1 cannot be read: invalid syntax (line 1)." in out and "return image.flop(-1)" in out


def test_check_refuses(tmp_path, capsys):
    for path in (tmp_path / "none.ipynb", tmp_path):
        assert cli.main(["check", str(path)]) == 1
        assert "exercises/12_convolution.ipynb" in capsys.readouterr().err
    (tmp_path / "e.py").write_text("x = 1")
    assert cli.main(["check", str(tmp_path / "e.py")]) == 1
    assert "defines none of the exercises" in capsys.readouterr().err
    (tmp_path / "e.ipynb").write_text("{")
    assert cli.main(["check", str(tmp_path / "e.ipynb")]) == 1
    assert "not a whole notebook" in capsys.readouterr().err


def test_train_saves_only_when_asked(shipped, capsys):
    before = (shipped / "manifest.json").read_text()
    assert cli.main(["train", "classifier-digits"]) == 0
    assert (shipped / "manifest.json").read_text() == before
    assert cli.main(["train", "classifier-digits", "--save", "--seed", "3"]) == 0
    assert json.loads((shipped / "manifest.json").read_text())["classifier-digits"]["command"].endswith("--seed 3")
    assert "test_accuracy" in capsys.readouterr().out
    assert cli.main(["train", "nothing"]) == 1
    assert "Known: classifier-digits" in capsys.readouterr().err


@pytest.mark.parametrize("browser", [True, False])
def test_lab_opens_the_first_notebook_and_prints_the_address_where_there_is_no_browser(monkeypatch, capsys, browser):
    import webbrowser

    calls = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **k: calls.append(command) or subprocess.CompletedProcess(command, 0)
    )

    def get():
        if not browser:
            raise webbrowser.Error("none")

    monkeypatch.setattr(webbrowser, "get", get)
    assert cli.main(["lab", "--port", "9123"]) == 0
    command = calls[-1]
    assert command[1:3] == ["-m", "jupyterlab"] and "--ServerApp.port=9123" in command
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command
    assert ("--no-browser" in command) is not browser
    assert ("Open the address below" in capsys.readouterr().out) is not browser


def test_lab_without_jupyterlab_or_notebooks_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(subprocess, "run", lambda command, **k: subprocess.CompletedProcess(command, 1))
    assert cli.main(["lab"]) == 1
    assert "pip install -e" in capsys.readouterr().err
    monkeypatch.setattr(cli, "COURSE", tmp_path)
    assert cli.main(["lab"]) == 1
    assert "git clone" in capsys.readouterr().err
