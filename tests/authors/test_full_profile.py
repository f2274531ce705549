"""benchmarks/full_profile.sh trains a recipe, larger ones too, and leaves weights, pictures and a table; here under smoke."""

import os
import subprocess
import sys

import pytest
import safetensors.torch

import aigc_lessons as al
from aigc_lessons.authors import recipes
from aigc_lessons.settings import COURSE


def test_the_script_leaves_weights_pictures_and_a_table(tmp_path):
    environment = os.environ | {"AIGC_PROFILE": "smoke", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = ["bash", str(COURSE / "benchmarks" / "full_profile.sh"), str(tmp_path), "5", "flow-emoji-64"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    row = [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")[1:-1]]
    assert (row[0], row[3], row[5]) == ("`flow-emoji-64`", "2", "yes") and "copies" in row[6]
    tensors = safetensors.torch.load_file(tmp_path / "flow-emoji-64.safetensors")
    recipe = recipes.LARGER["flow-emoji-64"]
    network = recipe.model(**recipe.arguments).net_ema.state_dict()
    assert {k.removeprefix("net_ema."): v.shape for k, v in tensors.items()} == {k: v.shape for k, v in network.items()}
    assert (tmp_path / "flow-emoji-64.png").stat().st_size > 500


@pytest.mark.parametrize("name", recipes.LARGER)
def test_a_larger_recipe_is_larger_still_under_the_full_profile(name, monkeypatch):
    recipe = recipes.LARGER[name]
    usual = recipe.chosen()
    monkeypatch.setenv("AIGC_PROFILE", "full")
    assert name not in recipes.RECIPES and recipe.chosen()["width"] > 4 * usual["width"]
    assert al.settings(steps=recipe.steps).steps == recipe.steps[2]


def test_what_it_would_cost_is_counted_and_multiplied(tmp_path):
    environment = os.environ | {"AIGC_PROFILE": "full", "PYTHONPATH": str(COURSE)}
    script = str(COURSE / "benchmarks" / "full_profile.py")
    done = subprocess.run(
        [sys.executable, script, "--size", "flow-emoji-64"], env=environment, capture_output=True, text=True, check=True
    )
    assert "counted: 17.1 GFLOP a picture" in done.stdout
    assert "multiplied by 64 pictures and 20,000 steps: 21.9 PFLOP" in done.stdout
