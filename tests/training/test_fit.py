"""fit: the same seed gives the same weights, an interruption changes nothing, and mistakes are named."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import aigc_lessons as al
from aigc_lessons.training import loop
from aigc_lessons.training.loop import NonFiniteLoss, _Sampler


@pytest.fixture(autouse=True)
def _laptop(laptop):
    """`weights=` loads only under smoke or when asked to."""


def images(n=40, seed=3):
    return (
        al.data.load("digits-8x8", size=8)[:n] if seed is None else al.data.load("digits-8x8", size=8)[seed : seed + n]
    )


def model(seed=0, dropout=0.3):
    torch.manual_seed(seed)
    return al.models.Classifier((1, 8, 8), 10, width=4, dropout=dropout)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_the_loss_falls_on_a_tiny_set():
    net = model(dropout=0.0)
    history = al.fit(net, images(), steps=150, batch_size=20, seed=0)
    assert history.steps == 150 == len(history.losses["loss"]) and history.seconds > 0 and not history.interrupted
    assert sum(history.losses["loss"][-10:]) < 0.2 * sum(history.losses["loss"][:10])
    assert not net.training


def test_the_same_seed_gives_the_same_weights_twice_and_another_seed_others():
    runs = []
    for seed in (5, 5, 6):
        net = model()
        al.fit(net, images(), steps=12, batch_size=16, seed=seed)
        runs.append(net)
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_the_callers_random_state_is_left_alone():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    al.fit(
        model(),
        images(),
        steps=3,
        batch_size=16,
        seed=5,
        measure=lambda m: {"r": torch.rand(()).item()},
        measure_every=1,
    )
    torch.manual_seed(11)
    assert torch.equal(before, torch.get_rng_state())
    expected = torch.rand(3)
    torch.manual_seed(11)
    net = al.models.Classifier((1, 8, 8), 10, width=4)
    after_model = torch.get_rng_state()
    al.fit(net, images(), steps=3, batch_size=16, seed=5)
    assert torch.equal(after_model, torch.get_rng_state())
    torch.manual_seed(11)
    assert torch.equal(expected, torch.rand(3))


def test_measuring_and_previews_do_not_change_the_training():
    plain, watched = model(), model()
    al.fit(plain, images(), steps=9, batch_size=16, seed=5)
    history = al.fit(
        watched,
        images(),
        steps=9,
        batch_size=16,
        seed=5,
        measure=lambda m: {"noise": torch.randn(()).item(), "mode": float(m.training)},
        measure_every=2,
    )
    assert same(plain, watched)
    assert len(history.measures["noise"]) == 4 and history.measures["mode"] == [0.0] * 4


def read_every(monkeypatch, steps):
    """Let `fit` read the losses only every so many steps and at the end, as it does on an accelerator."""
    real = loop._Run._record
    monkeypatch.setattr(
        loop._Run, "_record", lambda run: real(run) if len(run.pending) >= steps or not run.model.training else None
    )


class Interrupted(al.models.Classifier):
    """Asks to stop in the middle of a chosen step, as Ctrl-C does."""

    at, how, count = 7, "signal", 0

    def training_step(self, batch, optimizers):
        self.count += 1
        if self.count == self.at:
            if self.how == "raise":
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGINT)
        return super().training_step(batch, optimizers)


Interrupted.__name__ = "Classifier"


@pytest.mark.parametrize("pending", [1, 50])
@pytest.mark.parametrize("how", ["signal", "raise"])
@pytest.mark.parametrize("at", [1, 7, 13])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, at, how, pending, capsys, monkeypatch):
    read_every(monkeypatch, pending)
    whole = model()
    full = al.fit(whole, images(), steps=20, batch_size=16, seed=5)
    torch.manual_seed(0)
    stopped = Interrupted((1, 8, 8), 10, width=4, dropout=0.3)
    stopped.at, stopped.how = at, how
    file = tmp_path / "run.pt"
    first = al.fit(stopped, images(), steps=20, batch_size=16, seed=5, checkpoint=file)
    assert first.interrupted and first.steps == (at if how == "signal" else at - 1)
    assert len(first.losses.get("loss", [])) == first.steps
    assert "Stopped at step" in capsys.readouterr().out
    resumed = model(seed=99)  # its own first weights do not matter: the checkpoint's do
    second = al.fit(resumed, images(), steps=20, batch_size=16, seed=5, checkpoint=file)
    assert same(whole, resumed)
    assert second.losses["loss"] == full.losses["loss"] and second.steps == 20


def test_a_finished_run_is_not_trained_again_and_can_be_lengthened(tmp_path):
    long, net = model(), model()
    al.fit(long, images(), steps=11, batch_size=16, seed=5)
    file = tmp_path / "run.pt"
    al.fit(net, images(), steps=6, batch_size=16, seed=5, checkpoint=file)
    again = model(seed=1)
    assert al.fit(again, images(), steps=6, batch_size=16, seed=5, checkpoint=file).steps == 6
    assert same(net, again)
    al.fit(again, images(), steps=11, batch_size=16, seed=5, checkpoint=file)
    assert same(long, again)


def test_keyboard_interrupt_without_a_checkpoint_keeps_history_and_weights(capsys):
    torch.manual_seed(0)
    net = Interrupted((1, 8, 8), 10, width=4, dropout=0.3)
    handler = signal.getsignal(signal.SIGINT)
    history = al.fit(net, images(), steps=20, batch_size=16, seed=5)
    expected = model()
    al.fit(expected, images(), steps=7, batch_size=16, seed=5)
    assert history.interrupted and history.steps == 7 and same(net, expected)
    assert "checkpoint=" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is handler


def test_killed_while_a_checkpoint_is_written_the_previous_one_loads(tmp_path):
    file = tmp_path / "run.pt"
    script = textwrap.dedent(f"""
        import os, signal, sys, torch
        import aigc_lessons as al
        from aigc_lessons.training import loop
        loop.CHECKPOINT_SECONDS = -1                      # after every step
        torch.manual_seed(0)
        net = al.models.Classifier((1, 8, 8), 10, width=4, dropout=0.3)
        writes, real = 0, torch.save
        def half(state, file):
            global writes
            writes += 1
            real(state, file)
            if writes == 9:                               # the start, then 7 steps were saved; die within this one
                file.truncate(file.tell() // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        torch.save = half
        al.fit(net, al.data.load("digits-8x8", size=8)[3:43], steps=20, batch_size=16, seed=5, checkpoint={str(file)!r})
    """)
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert torch.load(file, weights_only=True)["step"] == 7
    whole, resumed = model(), model(seed=4)
    al.fit(whole, images(), steps=20, batch_size=16, seed=5)
    al.fit(resumed, images(), steps=20, batch_size=16, seed=5, checkpoint=file)
    assert same(whole, resumed)


def test_a_failed_write_leaves_no_partial_file(tmp_path, monkeypatch):
    file = tmp_path / "run.pt"
    al.fit(model(), images(), steps=2, batch_size=16, seed=5, checkpoint=file)
    before = file.read_bytes()

    def full_disk(state, handle):
        handle.write(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        al.fit(model(), images(), steps=4, batch_size=16, seed=5, checkpoint=file)
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


class Explodes(al.models.Classifier):
    """Three losses, of which the middle one is not finite in one step and all are afterwards."""

    value, bad = float("nan"), 5

    def training_step(self, batch, optimizers):
        self._count = getattr(self, "_count", 0) + 1
        loss = super().training_step(batch, optimizers)["loss"]
        wrong = torch.tensor(self.value)
        return {
            "loss": loss if self._count <= self.bad else wrong,
            "penalty": torch.tensor(0.5) if self._count < self.bad else wrong,
            "other": torch.tensor(float(self._count)),
        }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("pending, bad", [(1, 1), (1, 5), (50, 5), (50, 1), (50, 53)])
def test_a_loss_that_is_not_finite_stops_with_its_name_and_step(value, pending, bad, tmp_path, monkeypatch):
    """All losses are kept up to the step before, however late they were read."""
    net = Explodes((1, 8, 8), 10, width=2)
    net.value, net.bad = value, bad
    file = tmp_path / "run.pt"
    read_every(monkeypatch, pending)
    with pytest.raises(NonFiniteLoss, match=rf"penalty became {value} at step {bad}, .*learning rate") as caught:
        al.fit(net, images(), steps=120, batch_size=16, seed=5, checkpoint=file)
    history = caught.value.history
    assert history.steps == bad - 1 and {len(v) for v in history.losses.values()} <= {bad - 1}
    if bad > 1:
        assert history.losses["penalty"] == [0.5] * (bad - 1) and history.losses["other"] == list(range(1, bad))
        assert all(map(math.isfinite, history.losses["loss"])) and history.losses.keys() == {"loss", "penalty", "other"}
    assert net._count == {1: bad, 50: -(-bad // 50) * 50}[pending]  # the test reads as late as it says
    state = torch.load(file, weights_only=True)
    assert all(v.isfinite().all() for v in state["weights"].values()) and state["step"] < bad


class Follower(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(3, 2)
        self.generator_ema = AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(0.75))

    def optimizers(self):
        return {"g": torch.optim.SGD(self.generator.parameters(), lr=0.1)}

    def training_step(self, batch, optimizers):
        loss = self.generator(batch.images.mean((1, 2, 3))[:, None] * torch.ones(3)).square().mean()
        optimizers["g"].zero_grad()
        loss.backward()
        optimizers["g"].step()
        self.seen.append(self.generator.weight.detach().clone())
        return {"loss": loss.detach()}

    seen: list


def test_an_ema_module_follows_the_module_it_is_named_after():
    net = Follower()
    net.seen = []
    al.fit(net, images(), steps=6, batch_size=8, seed=1)
    average = net.seen[0]
    for w in net.seen[1:]:
        average = 0.75 * average + 0.25 * w
    assert torch.allclose(net.generator_ema.module.weight, average, atol=1e-6)
    assert not torch.allclose(net.generator.weight, average, atol=1e-6)


class Recorder(nn.Module):
    """Learns nothing; notes which images it saw."""

    paired = False

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen = []

    def optimizers(self):
        return {"w": torch.optim.SGD([self.weight], lr=0.1)}

    def training_step(self, batch, optimizers):
        self.seen.append(batch)
        return {"loss": self.weight.detach()}


def numbered(n, start=0):
    """n pictures that carry their own number."""
    values = torch.arange(start, start + n) / 1000
    return al.data.ImageSet(
        values[:, None, None, None].expand(n, 1, 8, 8).clone(), torch.arange(n) % 3, classes=("a", "b", "c")
    )


def test_every_image_comes_once_an_epoch_in_a_new_order():
    net = Recorder()
    al.fit(net, numbered(24), steps=9, batch_size=8, seed=2)
    epochs = [torch.cat([b.images[:, 0, 0, 0] for b in net.seen[3 * e : 3 * e + 3]]) for e in range(3)]
    for order in epochs:
        assert torch.equal(order.sort().values, torch.arange(24) / 1000)
    assert not torch.equal(epochs[0], epochs[1])
    batch = net.seen[0]
    assert torch.equal(batch.labels, (batch.images[:, 0, 0, 0] * 1000).round().long() % 3)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_what_does_not_fill_a_batch_has_its_turn_in_later_epochs():
    sampler, counts = _Sampler(10, 4, seed=0), torch.zeros(10)
    for step in range(2 * 200):
        counts[sampler(step)] += 1
    assert counts.min() > 120  # 160 on average, standard deviation 5.7


def test_two_domains_unpaired_and_paired():
    net = Recorder()
    al.fit(net, (numbered(24), numbered(30, 100)), steps=6, batch_size=6, seed=2)
    a, b = (torch.cat([batch[k].images[:, 0, 0, 0] for batch in net.seen]) for k in (0, 1))
    assert (a < 0.1).all() and (b >= 0.1).all()
    assert not torch.allclose(a + 0.1, b)
    net = Recorder()
    net.paired = True
    al.fit(net, (numbered(24), numbered(24, 100)), steps=6, batch_size=6, seed=2)
    a, b = (torch.cat([batch[k].images[:, 0, 0, 0] for batch in net.seen]) for k in (0, 1))
    assert torch.allclose(a + 0.1, b)
    with pytest.raises(ValueError, match="24 and 30"):
        al.fit(net, (numbered(24), numbered(30, 100)), steps=6, batch_size=6)


def test_minutes():
    began = time.monotonic()
    history = al.fit(Recorder(), numbered(24), minutes=0.01, batch_size=8)
    assert 0.6 <= time.monotonic() - began < 5 and history.steps > 10


def test_tensorboard_files_hold_the_losses(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = al.fit(
        model(),
        images(),
        steps=5,
        batch_size=16,
        seed=5,
        log_dir=str(tmp_path),
        measure=lambda m: {"two": 2.0},
        measure_every=5,
    )
    log = EventAccumulator(str(tmp_path)).Reload()
    assert [round(e.value, 5) for e in log.Scalars("loss")] == [round(v, 5) for v in history.losses["loss"]]
    assert [e.step for e in log.Scalars("two")] == [5]


def test_works_in_a_thread_that_is_not_the_main_one():
    done = []
    thread = threading.Thread(target=lambda: done.append(al.fit(model(), images(), steps=2, batch_size=16).steps))
    thread.start()
    thread.join()
    assert done == [2]


def test_plain_lines_where_there_is_no_front_end(monkeypatch, capsys):
    from aigc_lessons.training import progress

    monkeypatch.setattr(progress, "QUIET", 0)
    monkeypatch.setattr(progress, "EVERY_LINE", 0)
    al.fit(model(), images(), steps=3, batch_size=16)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("Classifier: step 1 of 3") and "loss" in lines[-1]


class Painter(Recorder):
    def sample(self, n, seed=0):
        return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_curves_and_a_grid_of_the_same_latents_in_a_notebook(monkeypatch):
    import IPython.display

    from aigc_lessons.training import progress

    pages = []

    class Handle:
        update = staticmethod(lambda page: pages.append(page.data))

    monkeypatch.setattr(IPython.display, "display", lambda page, display_id: (pages.append(page.data), Handle)[1])
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "QUIET", 0)
    monkeypatch.setattr(progress, "EVERY_PICTURE", 0)
    monkeypatch.setattr(progress, "SHARE", 1e9)
    al.fit(Painter(), numbered(24), steps=4, batch_size=8, seed=3)
    assert len(pages) == 5
    assert pages[-1].count("<img") == 2 and pages[-1].count("alt=") == 2 and "step 4 of 4" in pages[-1]
    grids = [page[page.rindex("base64,") :] for page in pages]
    assert grids[0] == grids[-1]


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize("given", [dict(), dict(steps=3, minutes=1)])
def test_both_or_neither_of_steps_and_minutes(given):
    with pytest.raises(ValueError, match="give one of the two"):
        al.fit(model(), images(), batch_size=16, **given)


@pytest.mark.parametrize("given", [dict(steps=0), dict(steps=-3), dict(minutes=0), dict(minutes=-1.0)])
def test_nothing_to_do(given):
    with pytest.raises(ValueError, match="above 0"):
        al.fit(model(), images(), batch_size=16, **given)


def test_a_batch_larger_than_the_data():
    with pytest.raises(ValueError, match=r"batch_size=64\) with 40 images. Accepted: 1 to 40"):
        al.fit(model(), images(40), steps=3)


def spoilt(how):
    ds = images()
    ds.images[2, 0, 0] = math.nan if how == "nan" else 3.0
    return ds


@pytest.mark.parametrize(
    "how, says", [("range", r"Accepted: \[-1, 1\]"), ("nan", "1 of 40 images, the first at index 2")]
)
def test_a_set_that_somebody_spoilt_is_refused(how, says):
    net = model()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError, match=f"fit got .*{says}"):
        al.fit(net, spoilt(how), steps=3, batch_size=16)
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_tensor_that_is_not_finite_is_refused_and_any_range_is_taken(bad):
    net, data = Recorder(), numbered(40).images * 1000
    al.fit(net, data, steps=1, batch_size=16)
    assert len(net.seen) == 1 and net.seen[0].images.max() > 3
    data[[2, 7], 0, 0] = bad
    for given in (data, (numbered(40), data), (data, numbered(40))):
        with pytest.raises(
            ValueError, match="fit got NaN or infinity in 2 of 40 items, the first at index 2. Accepted: finite values"
        ):
            al.fit(net, given, steps=3, batch_size=16)
    assert len(net.seen) == 1


@pytest.mark.parametrize(
    "data",
    [
        torch.zeros(12, 2, dtype=torch.bfloat16),
        torch.zeros(12, dtype=torch.bool),
        torch.zeros(12, 3).requires_grad_() * 1,
    ],
)
def test_tensors_of_any_type_and_such_that_carry_a_graph(data, tmp_path):
    net = Recorder()
    al.fit(net, data, steps=2, batch_size=4, checkpoint=tmp_path / "run.pt")
    assert all(b.images.dtype == data.dtype and not b.images.requires_grad for b in net.seen) and len(net.seen) == 2


def test_labels_that_do_not_match():
    ds = images()
    with pytest.raises(ValueError, match="40 images and 39 labels"):
        al.data.ImageSet(ds.images, ds.labels[:39], classes=ds.classes)
    with pytest.raises(TypeError, match="int64"):
        al.data.ImageSet(ds.images, ds.labels.float(), classes=ds.classes)
    with pytest.raises(ValueError, match="for 3 classes"):
        al.data.ImageSet(ds.images, ds.labels, classes=ds.classes[:3])
    with pytest.raises(ValueError, match="n_classes=len"):
        al.fit(al.models.Classifier((1, 8, 8), 3, width=4), ds, steps=3, batch_size=16)
    with pytest.raises(ValueError, match="no labels|has none"):
        al.fit(model(), ds.images, steps=3, batch_size=16)


def test_not_a_model():
    with pytest.raises(TypeError, match=r"without optimizers\(\)"):
        al.fit(nn.Linear(2, 2), images(), steps=3)


def test_a_checkpoint_of_another_model(tmp_path):
    file = tmp_path / "run.pt"
    al.fit(model(), images(), steps=2, batch_size=16, seed=5, checkpoint=file)
    before = file.read_bytes()
    wider = al.models.Classifier((1, 8, 8), 10, width=8)
    with pytest.raises(
        ValueError, match=r"differ first in features.0.weight: \(4, 1, 3, 3\) there, \(8, 1, 3, 3\) here"
    ):
        al.fit(wider, images(), steps=4, batch_size=16, seed=5, checkpoint=file)
    with pytest.raises(ValueError, match="of a Classifier; you gave a Recorder"):
        al.fit(Recorder(), images(), steps=4, batch_size=16, seed=5, checkpoint=file)
    assert file.read_bytes() == before


def test_a_checkpoint_of_another_run(tmp_path):
    file = tmp_path / "run.pt"
    al.fit(model(), images(), steps=2, batch_size=16, seed=5, checkpoint=file)
    for other in (dict(seed=6, batch_size=16), dict(seed=5, batch_size=8)):
        with pytest.raises(ValueError, match="was made with"):
            al.fit(model(), images(), steps=4, checkpoint=file, **other)
    with pytest.raises(ValueError, match="was made with data="):
        al.fit(model(), images(seed=4), steps=4, checkpoint=file, seed=5, batch_size=16)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint(tmp_path, content):
    file = tmp_path / "run.pt"
    al.fit(model(), images(), steps=2, batch_size=16, seed=5, checkpoint=file)
    file.write_bytes(file.read_bytes()[:-200] if content is None else content)
    before = file.read_bytes()
    with pytest.raises(ValueError, match="damaged"):
        al.fit(model(), images(), steps=4, batch_size=16, seed=5, checkpoint=file)
    assert file.read_bytes() == before


def test_measure_without_an_interval():
    with pytest.raises(ValueError, match="measure_every"):
        al.fit(model(), images(), steps=2, batch_size=16, measure=lambda m: {})


def test_checkpoints_are_written_while_training(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    steps = []
    real = loop.checkpoints.save
    monkeypatch.setattr(loop.checkpoints, "save", lambda path, state: (steps.append(state["step"]), real(path, state)))
    al.fit(model(), images(), steps=4, batch_size=16, checkpoint=tmp_path / "run.pt")
    assert steps == [0, 1, 2, 3, 4, 4]


# ------------------------------------------------------------------ a run goes on as it began, or not at all


def vae(**given):
    return al.models.VAE((1, 8, 8), **{"latent_dim": 2, "width": 2, **given})


def gan(kind, **given):
    shape = ((1, 8, 8), 10) if kind in ("CGAN", "ProjectionGAN") else ((1, 8, 8),)
    return getattr(al.models, kind)(*shape, **{"latent_dim": 2, "width": 2, **given})


def diffusion(**given):
    return al.models.Diffusion((1, 8, 8), **{"width": 4, "multipliers": (1,), **given})


def flow(**given):
    return al.models.Flow((1, 8, 8), 10, **{"width": 4, "multipliers": (1,), **given})


OTHERS = {  # how it was built, how it is built then, what the message says of the one and of the other
    "beta of a VAE": (vae, dict(beta=0.3), dict(beta=0.4), "beta=0.3", "beta=0.4"),
    "beta of a CVAE": (lambda **given: gan("CVAE", **given), dict(beta=0.3), dict(beta=0.4), "beta=0.3", "beta=0.4"),
    "lr of a VAE": (vae, dict(lr=3e-3), dict(lr=4e-3), "lr=0.003", "lr=0.004"),
    "lr of a GAN": (
        lambda **given: gan("DCGAN", **given),
        dict(lr=3e-3),
        dict(lr=4e-3),
        "generator.lr=0.003",
        "generator.lr=0.004",
    ),
    "betas of a GAN": (
        lambda **given: gan("DCGAN", **given),
        dict(betas=(0.5, 0.999)),
        dict(betas=(0.0, 0.9)),
        "discriminator.betas=(0.5, 0.999)",
        "discriminator.betas=(0.0, 0.9)",
    ),
    "dropout of a classifier": (
        model,
        dict(dropout=0.3),
        dict(dropout=0.4),
        "dropout: Dropout(p=0.3",
        "dropout: Dropout(p=0.4",
    ),
    "decay of its weights": (
        lambda **given: al.models.Classifier((1, 8, 8), 10, width=2, **given),
        dict(weight_decay=0.01),
        dict(weight_decay=0.02),
        "weight_decay=0.01",
        "weight_decay=0.02",
    ),
    "constraint of a WGAN": (
        lambda **given: gan("WGAN", **given),
        dict(constraint="clip"),
        dict(constraint="penalty"),
        "constraint=clip",
        "constraint=penalty",
    ),
    "penalty of a WGAN": (
        lambda **given: gan("WGAN", **given),
        dict(penalty_weight=10.0),
        dict(penalty_weight=5.0),
        "penalty_weight=10.0",
        "penalty_weight=5.0",
    ),
    "steps of a critic": (
        lambda **given: gan("WGAN", **given),
        dict(critic_steps=2),
        dict(critic_steps=3),
        "critic_steps=2",
        "critic_steps=3",
    ),
    "decay of an average": (
        lambda **given: gan("DCGAN", **given),
        dict(ema_decay=0.9),
        dict(ema_decay=0.8),
        "ema_decay=0.9",
        "ema_decay=0.8",
    ),
    "of a CGAN": (
        lambda **given: gan("CGAN", **given),
        dict(ema_decay=0.9),
        dict(ema_decay=0.8),
        "ema_decay=0.9",
        "ema_decay=0.8",
    ),
    "of a WGAN": (
        lambda **given: gan("WGAN", **given),
        dict(ema_decay=0.9),
        dict(ema_decay=0.8),
        "ema_decay=0.9",
        "ema_decay=0.8",
    ),
    "of a ProjectionGAN": (
        lambda **given: gan("ProjectionGAN", **given),
        dict(ema_decay=0.9),
        dict(ema_decay=0.8),
        "ema_decay=0.9",
        "ema_decay=0.8",
    ),
    "what a Diffusion says": (diffusion, dict(says="v"), dict(says="noise"), "says=v", "says=noise"),
    "decay of a Diffusion": (diffusion, dict(ema_decay=0.9), dict(ema_decay=0.8), "ema_decay=0.9", "ema_decay=0.8"),
    "lr of a Diffusion": (diffusion, dict(lr=3e-3), dict(lr=4e-3), "lr=0.003", "lr=0.004"),
    "classes that a Flow forgets": (flow, dict(drop=0.2), dict(drop=0.3), "drop=0.2", "drop=0.3"),
    "decay of a Flow": (flow, dict(ema_decay=0.9), dict(ema_decay=0.8), "ema_decay=0.9", "ema_decay=0.8"),
    "lr of a Flow": (flow, dict(lr=3e-3), dict(lr=4e-3), "lr=0.003", "lr=0.004"),
    "wrong labels": (
        lambda **given: gan("ProjectionGAN", **given),
        dict(mismatched=True),
        dict(mismatched=False),
        "mismatched=True",
        "mismatched=False",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_model_built_otherwise_does_not_go_on_with_a_run(what, tmp_path):
    build, then, now, was, given = OTHERS[what]
    file = tmp_path / "run.pt"
    al.fit(build(**then), images(), steps=1, batch_size=16, seed=5, checkpoint=file)
    before, other = file.read_bytes(), build(**now)
    weights = {k: v.clone() for k, v in other.state_dict().items() if isinstance(v, torch.Tensor)}
    with pytest.raises(ValueError) as refused:
        al.fit(other, images(), steps=2, batch_size=16, seed=5, checkpoint=file)
    made, _, asked = str(refused.value).partition("; you gave ")
    assert f"{file} was made with " in made and was in made and given not in made
    assert given in asked and was not in asked.removesuffix(was) and len(str(refused.value)) < len(str(file)) + 400
    assert file.read_bytes() == before and all(torch.equal(v, other.state_dict()[k].cpu()) for k, v in weights.items())
    # as it was built it goes on
    assert al.fit(build(**then), images(), steps=2, batch_size=16, seed=5, checkpoint=file).steps == 2


SCHEDULES = [
    (None, al.training.cosine(8), "schedule=None", "schedule=1.0 at step 0, "),
    (al.training.cosine(8), None, "schedule=1.0 at step 0, ", "schedule=None"),
    (al.training.cosine(8), al.training.cosine(12), "schedule=0.961939", "schedule=0.982962"),
    (al.training.cosine(8), al.training.cosine(8, warmup=3), "schedule=1.0 at step 0", "schedule=0.25 at step 0"),
    (
        lambda step: 1.0,
        lambda step: 0.5 if step >= 4096 else 1.0,
        "schedule=1.0 at step 4096",
        "schedule=0.5 at step 4096",
    ),
    ([1.0, 0.5, 0.25].__getitem__, [1.0, 0.5, 0.2].__getitem__, "schedule=0.25 at step 2", "schedule=0.2 at step 2"),
]


@pytest.mark.parametrize("then, now, was, given", SCHEDULES)
def test_another_schedule_does_not_go_on_with_a_run(then, now, was, given, tmp_path):
    file = tmp_path / "run.pt"
    al.fit(model(), images(), steps=1, batch_size=16, seed=5, schedule=then, checkpoint=file)
    before = file.read_bytes()
    with pytest.raises(ValueError) as refused:
        al.fit(model(), images(), steps=2, batch_size=16, seed=5, schedule=now, checkpoint=file)
    made, _, asked = str(refused.value).partition("; you gave ")
    assert (
        f"{file} was made with {was}" in made
        and asked.startswith(given)
        and "To continue that run give the same" in asked
    )
    assert file.read_bytes() == before


def test_the_same_schedule_made_anew_goes_on_and_for_longer(tmp_path):
    file, whole, parts = tmp_path / "run.pt", model(), None
    al.fit(whole, images(), steps=12, batch_size=16, seed=5, schedule=al.training.cosine(20, warmup=2))
    for steps in (3, 7, 12):
        parts = model(seed=steps - 3)  # only the first one's own weights matter
        history = al.fit(
            parts,
            images(),
            steps=steps,
            batch_size=16,
            seed=5,
            schedule=al.training.cosine(20, warmup=2),
            checkpoint=file,
        )
        assert history.steps == steps == len(history.losses["loss"])
    assert same(whole, parts)
