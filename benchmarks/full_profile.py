"""One recipe under the full profile, for full_profile.sh: trains until it is done or the minutes are over, then writes what it made.

python benchmarks/full_profile.py OUT MINUTES RECIPE
AIGC_PROFILE=full python benchmarks/full_profile.py --size RECIPE    what a flow's training would cost, counted and multiplied
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

import aigc_lessons as al
from aigc_lessons.authors import recipes
from aigc_lessons.shipped.reading import sampled

RECIPES = recipes.RECIPES | recipes.LARGER
HEAD = "| recipe | device | arguments | steps | seconds | finished | measures |\n| --- | --- | --- | --- | --- | --- | --- |\n"


def pictures(model, test):
    """Some of what the model makes, for a person to look at."""
    first = test[0] if isinstance(test, tuple) else test
    if hasattr(model, "sample"):
        return model.sample(al.settings(shown=(4, 64, 64)).shown, seed=1)
    if hasattr(model, "translate"):
        return model.translate(first.images[: al.settings(shown=(4, 64, 64)).shown])
    return None


def size(name):
    """Prints what a flow's training costs under the profile in force: operations counted for one picture, the rest by multiplication."""
    recipe = RECIPES[name]
    model = recipe.model(**recipe.chosen())
    x, label = torch.zeros(1, *model.image_shape), torch.zeros(1, dtype=torch.int64) if model.n_classes else None
    with FlopCounterMode(display=False) as counter:
        model.net(x, torch.zeros(1), label).square().mean().backward()
    steps = al.settings(steps=recipe.steps).steps
    one, whole = counter.get_total_flops(), counter.get_total_flops() * recipe.batch_size * steps
    print(f"{name}: {sum(p.numel() for p in model.net.parameters()):,} parameters")
    print(f"counted: {one / 1e9:.1f} GFLOP a picture, forward and backward")
    print(f"multiplied by {recipe.batch_size} pictures and {steps:,} steps: {whole / 1e15:.3g} PFLOP")
    for rate in (20, 40, 80):
        print(f"at {rate} TFLOP/s, if a card reaches them: {whole / rate / 1e12 / 60:.1f} minutes")


def main(out, minutes, name):
    out = Path(out)
    recipe = RECIPES[name]
    stop = threading.Timer(60 * float(minutes), os.kill, [os.getpid(), signal.SIGINT])  # fit stops softly
    stop.daemon = True
    stop.start()
    model, history, scores = recipes.train(name, checkpoint=out / f"{name}.checkpoint.pt")
    stop.cancel()
    save_file(
        {
            k: v.half().contiguous().cpu() if v.is_floating_point() else v.cpu()
            for k, v in sampled(model, recipe.keep).items()
        },
        out / f"{name}.safetensors",
    )
    shown = pictures(model, recipe.data()[1])
    if shown is not None:
        al.show.grid(shown, alt=f"{name}: {len(shown)} pictures").save(out / f"{name}.png")
    where = al.settings().device
    card = torch.get_device_module(where).get_device_name() if where.type not in ("cpu", "mps") else where.type
    table = out / "rows.json"
    rows = json.loads(table.read_text()) if table.exists() else {}
    measures = ", ".join(f"{k} {v:.4g}" for k, v in scores.items())
    arguments = ", ".join(f"{k}={v}" for k, v in recipe.chosen().items())
    rows[name] = (
        f"| `{name}` | {card} | {arguments} | {history.steps} | {history.seconds:.0f} | {'no' if history.interrupted else 'yes'} | {measures} |"
    )
    table.write_text(json.dumps(rows, indent=1))
    (out / "table.md").write_text(HEAD + "\n".join(rows.values()) + "\n")


if __name__ == "__main__":
    size(sys.argv[2]) if sys.argv[1] == "--size" else main(*sys.argv[1:])
