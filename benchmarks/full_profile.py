"""One recipe under the full profile, for full_profile.sh: trains until it is done or the minutes are over, then writes what it made."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import torch
from safetensors.torch import save_file

import aigc_lessons as al
from aigc_lessons.authors import recipes
from aigc_lessons.shipped.reading import sampled

HEAD = "| recipe | device | arguments | steps | seconds | finished | measures |\n| --- | --- | --- | --- | --- | --- | --- |\n"


def pictures(model, test):
    """Some of what the model makes, for a person to look at."""
    first = test[0] if isinstance(test, tuple) else test
    if hasattr(model, "sample"):
        return model.sample(64, seed=1)
    if hasattr(model, "translate"):
        return model.translate(first.images[:64])
    return None


def main(out, minutes, name):
    out = Path(out)
    recipe = recipes.RECIPES[name]
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
        al.show.grid(shown, alt=f"{name}: 64 pictures").save(out / f"{name}.png")
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
    main(*sys.argv[1:])
