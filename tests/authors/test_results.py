"""RESULTS.md describes the weights that ship, and the command that makes it works."""

import re

import pytest

from aigc_lessons import metrics, shipped
from aigc_lessons.authors import results
from aigc_lessons.settings import COURSE


def rows(text):
    """{weights: the beginnings of hashes on its lines} of a results page."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"\| `([\w-]+)` \|", line):
            found.setdefault(match[1], []).append(re.search(r"\b[0-9a-f]{12}\b", line)[0])
    return found


def test_the_page_is_of_the_weights_that_ship():
    """Fails when weights were made anew and the page was not: run `make results`."""
    shown = rows((COURSE / "RESULTS.md").read_text(encoding="utf-8"))
    assert set(shown) == {name for name in shipped.manifest() if not name.startswith("classifier-")}
    for name, hashes in shown.items():
        assert all(shipped.manifest()[name]["sha256"].startswith(h) for h in hashes), name
    assert all(len(hashes) == (2 if name.startswith("cyclegan") else 1) for name, hashes in shown.items())


@pytest.fixture
def small(monkeypatch):
    names = (
        "classifier-digits",
        "classifier-emoji",
        "classifier-shapes",
        "classifier-textures",
        "projection-digits",
        "vae-faces",
        "dcgan-shapes",
        "pix2pix-emoji",
        "denoiser-photos",
        "vq-digits",
    )
    monkeypatch.setattr(results, "RECIPES", {name: results.RECIPES[name] for name in names})
    monkeypatch.setattr(results, "N", 80)
    monkeypatch.setattr(results, "DRAWN", 8)
    monkeypatch.setattr(results, "TIMED", 1)


def test_the_command_measures_what_each_kind_of_model_makes(small):
    text = results.page()
    shown = rows(text)
    assert set(shown) == {
        "projection-digits",
        "vae-faces",
        "dcgan-shapes",
        "pix2pix-emoji",
        "denoiser-photos",
        "vq-digits",
    }
    line = {name: next(line for line in text.splitlines() if line.startswith(f"| `{name}`")) for name in shown}
    cells = [c.strip() for c in line["projection-digits"].split("|")[1:-1]]
    assert cells[:4] == ["`projection-digits`", "digits 32x32", "digits", "80"]
    accuracy = float(cells[12].split()[0])
    assert accuracy > 0.8 and re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", cells[12])
    assert "| pixels |" in line["vae-faces"] and "16x16" in line["dcgan-shapes"] and line["vae-faces"].count("–") == 4
    assert re.fullmatch(r"0\.\d{3} \(p [01]\.\d{3}, 80 a side, 2% of the training set\)", cells[13])
    assert "dB" in line["denoiser-photos"] and "emoji-lines to emoji" in line["pix2pix-emoji"]
    assert (
        "no FID or KID here is comparable" in text
        and "torch-fidelity" in text
        and "Training pictures in the place of generated ones" in text
        and "| emoji |" in text
        and "| digits, 80 | `projection-digits` |" in text
    )


def test_flows_stand_beside_gans_with_what_they_cost(monkeypatch):
    names = ("projection-digits", "flow-digits", "vae-digits", "dcgan-shapes", "dcgan-smileys")
    monkeypatch.setattr(results, "RECIPES", {name: results.RECIPES[name] for name in names})
    monkeypatch.setattr(results, "N", 40)
    monkeypatch.setattr(results, "DRAWN", 4)
    monkeypatch.setattr(results, "TIMED", 1)
    monkeypatch.setattr(results, "WAYS", {"Flow": (dict(steps=2), dict(steps=1, guidance_scale=2.0))})
    monkeypatch.setattr(results, "seconds_a_step", lambda name: 0.5)
    by_name = {row[1]: row for row in results.flows_beside_gans()}
    flow_rows = ["`flow-digits`, steps 2", "`flow-digits`, steps 1, guidance 2"]
    assert list(by_name) == [*flow_rows, "`projection-digits`"]
    trained = shipped.manifest()["flow-digits"]["steps"]
    for row in map(by_name.get, flow_rows):
        assert row[0] == "digits, 40" and re.fullmatch(
            r"[01]\.\d{3} \(p [01]\.\d{3}, 40 a side, 1% of the training set\)", row[4]
        )
        assert row[6:] == [f"{trained:,} of 32", "500", f"{trained / 2:,.0f}"] and float(row[5].replace(",", "")) > 0
    assert 0.5 < float(by_name["`projection-digits`"][3].split()[0]) <= 1


def test_a_step_is_timed_on_one_thread(monkeypatch):
    import torch

    monkeypatch.setattr(results, "TIMED", 2)
    before, seen = torch.get_num_threads(), []
    whole = results.fit
    monkeypatch.setattr(results, "fit", lambda *a, **k: seen.append(torch.get_num_threads()) or whole(*a, **k))
    assert 0 < results.seconds_a_step("vae-digits") < 5
    assert seen == [1, 1] and torch.get_num_threads() == before


def test_the_copy_test_compares_training_pictures_with_others_of_their_kind():
    for name, n, part in (("projection-digits", 1_000, 0.25), ("dcgan-shapes", 2_000, None)):
        train, held_out, share = results.both_sides(name)
        learnt = results.RECIPES[name].data()[0].images
        assert len(train) == len(held_out) == n and train.shape == held_out.shape
        assert share == (part or n / len(learnt)) and metrics.nearest(train, learnt)[1].max() < 1e-4
        assert metrics.nearest(held_out, learnt)[1].min() > 1e-3
    assert results.both_sides("dcgan-smileys") is None and results.copies("vae-faces", None) == "–"


def test_some_are_different_pictures_of_the_set():
    import torch

    images = torch.arange(50.0)
    chosen = results.some(images, 20, seed=3)
    assert len(chosen.unique()) == 20 and set(chosen.tolist()) <= set(images.tolist())
    assert torch.equal(results.some(images, 20, seed=3), chosen) and not torch.equal(
        results.some(images, 20, seed=4), chosen
    )
    assert torch.equal(results.some(images, 99, seed=0).sort().values, images)
