"""fit: what the training of every model shares, so that a model's file holds only the model."""

import hashlib
import math
import signal
import threading
import time
from collections import namedtuple
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch.optim.swa_utils import AveragedModel

from ..data import ImageSet, check_images
from ..models.checks import evaluating
from ..settings import autocast, device, profile, roomy
from ..shipped import architecture, load_weights
from . import checkpoint as checkpoints
from .progress import Progress

Batch = namedtuple("Batch", "images labels captions n_classes", defaults=(None,))
Items = namedtuple("Items", "images labels captions")  # what fit needs of a set; a plain tensor becomes one
CHECKPOINT_SECONDS = 30  # a crash loses at most this much


class NonFiniteLoss(FloatingPointError):
    """A loss became NaN or infinite. `history` holds what was recorded up to then."""


@dataclass
class History:
    """What happened in a run.

    Attributes:
        losses: {name: list of float}, one a step. measures: {name: list of float}, one every `measure_every` steps.
        steps, seconds: int and float; of the whole run, resumed parts included.
        interrupted: True if the learner stopped it. weights: the name of the shipped weights, if these were loaded instead.
    """

    losses: dict = field(default_factory=dict)
    measures: dict = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    weights: str | None = None

    def __repr__(self):
        if self.weights:
            return f"History(loaded the shipped weights {self.weights!r}; nothing was trained)"
        last = ", ".join(f"{k} {v[-1]:.4g}" for k, v in self.losses.items() if v)
        return f"History({self.steps} steps in {self.seconds:.1f} s{', interrupted' if self.interrupted else ''}; last: {last or 'nothing'})"


class _Sampler:
    """Which items make the batch of step k: shuffled epochs without the short rest. Knows only seed and k, so that
    resuming needs no state; each epoch's order is drawn on the CPU, so that every device sees the same batches."""

    def __init__(self, n, batch_size, seed):
        self.n, self.batch_size, self.seed, self.epoch = n, batch_size, seed, None

    def __call__(self, step):
        epoch, i = divmod(step, self.n // self.batch_size)
        if epoch != self.epoch:
            g = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            self.order, self.epoch = torch.randperm(self.n, generator=g), epoch
        return self.order[i * self.batch_size : (i + 1) * self.batch_size]


class _Source:
    """One set, cut into batches on the device. It is moved there once if there is room; else batch by batch."""

    def __init__(self, items, batch_size, seed, where):
        self.where, self.captions = where, items.captions
        self.sampler = _Sampler(len(items.images), batch_size, seed)
        self.resident = roomy(items.images.nbytes, where)
        self.images = items.images.to(where) if self.resident else items.images
        self.labels = None if items.labels is None else items.labels.to(where)
        self.n_classes = None if items.labels is None else int(items.labels.max()) + 1
        self.epoch = None

    def __call__(self, step):
        chosen = self.sampler(step)  # on the CPU
        if self.sampler.epoch != self.epoch:  # one copy an epoch, not one a step
            self.epoch, self.order = self.sampler.epoch, self.sampler.order.to(self.where)
        begin = chosen.storage_offset()
        index = self.order[begin : begin + len(chosen)]
        images = self.images[index] if self.resident else self.images[chosen].to(self.where)
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        captions = None if self.captions is None else [self.captions[i] for i in chosen.numpy()]
        return Batch(images, None if self.labels is None else self.labels[index], captions, self.n_classes)


def _train_mode(model):
    """Train mode, but for what is frozen: parts without a weight that learns, and parts that were in eval mode in a model that was not.

    A model that comes out of `fit` is in eval mode as a whole, which says nothing of its parts.
    """
    if not model.training:
        model.train()
    for part in model.modules():
        weights = list(part.parameters())
        if weights and not any(w.requires_grad for w in weights):
            part.eval()


def _seed_step(seed, step):
    """Seed torch's random numbers for one step, on every device, from the run's seed, the process and the step."""
    spread = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if spread else 0
    digest = hashlib.sha256(f"{seed} {rank} {step}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@contextmanager
def _stop_softly():
    """Ctrl-C (and a notebook's stop button) sets a flag, so that the step under way ends whole; a second one stops at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number, frame):
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)


def _random_state(where):
    state = {"cpu": torch.get_rng_state()}
    if where.type != "cpu":
        state["device"] = torch.get_device_module(where).get_rng_state()
    return state


def _set_random_state(state, where):
    torch.set_rng_state(state["cpu"])
    if "device" in state and where.type != "cpu":
        torch.get_device_module(where).set_rng_state(state["device"])


@contextmanager
def _own_randomness(where):
    """Whatever is drawn inside leaves the caller's random state as it was."""
    before = _random_state(where)
    try:
        yield
    finally:
        _set_random_state(before, where)


def _items(data):
    """What fit needs of an ImageSet or a tensor. Raises unless it holds finite numbers."""
    if isinstance(data, ImageSet):
        check_images(data.images, "fit")  # its promise; somebody may have written into it
        return data
    if not isinstance(data, torch.Tensor) or data.ndim < 1:
        raise TypeError(
            f"fit got {type(data).__name__}. Accepted: an ImageSet, a tensor (N, ...), or a tuple of two of these."
        )
    if (
        data.is_floating_point()
        and not (fine := data.isfinite().flatten(1).all(1) if data.ndim > 1 else data.isfinite()).all()
    ):
        bad = (~fine).nonzero()[:, 0].tolist()
        raise ValueError(
            f"fit got NaN or infinity in {len(bad)} of {len(data)} items, the first at index {bad[0]}. "
            "Accepted: finite values. Look at where they were made."
        )
    return Items(data.detach(), None, None)


def _check(model, data, steps, minutes, batch_size, weights):
    for member in ("optimizers", "training_step"):
        if not callable(getattr(model, member, None)):
            raise TypeError(
                f"fit got a {type(model).__name__} without {member}(). A model has optimizers() and training_step(batch, optimizers)."
            )
    sets = [_items(d) for d in (data if isinstance(data, tuple) else (data,))]
    for ds in sets:
        n = len(ds.images)
        if n == 0:
            raise ValueError(
                f"fit got an empty set ({tuple(ds.images.shape)}). Give at least one image"
                + (" of each domain." if len(sets) > 1 else ".")
            )
        if not 1 <= batch_size <= n:
            raise ValueError(
                f"fit(batch_size={batch_size}) with {n} images. Accepted: 1 to {n}. Give a smaller batch_size or more images."
            )
    loads_only = weights and steps is None and minutes is None
    if not loads_only and (steps is None) == (minutes is None):
        raise ValueError(
            f"fit(steps={steps}, minutes={minutes}): give one of the two, steps= for a fixed number or minutes= for a fixed time."
        )
    for name, value in (("steps", steps), ("minutes", minutes)):
        if value is not None and not value > 0:
            raise ValueError(f"fit({name}={value}): accepted is a number above 0.")
    return sets


def fit(
    model,
    data,
    *,
    steps=None,
    minutes=None,
    batch_size=64,
    seed=0,
    weights=None,
    checkpoint=None,
    measure=None,
    measure_every=None,
    log_dir=None,
    preview=None,
    progress=True,
    schedule=None,
):
    """Train a model. The model is changed in place and left in eval mode, on the device of `al.settings().device`.

    Args:
        model: an nn.Module with optimizers() and training_step(batch, optimizers) -> {name: detached scalar}.
            A batch has .images (B, ...), .labels (B,) or None, .captions, and .n_classes, 1 + the greatest label of the whole
            set. A module `x_ema` of type AveragedModel follows `x` after each step. If the model has begin(images), it is called
            before the first step of a new run with all the images (of both domains).
        data: ImageSet, or any tensor (N, ...) of finite numbers: pictures, latents, points, tokens; or a tuple of two. Two are
            drawn from independently, unless the model has `paired = True`: then item by item. The batch is then a tuple of two.
        steps, minutes: when to stop; give one.
        batch_size: images a step, at most len(data). What does not fill a batch at an epoch's end waits for the next epoch.
        seed: of the order of the images and of the noise in training_step. The caller's random state is left as it was.
        weights: name of shipped weights. They are loaded instead of training under the smoke profile, or when neither steps
            nor minutes is given.
        checkpoint: file that holds the run. If it exists the run goes on from there, and on the CPU ends bit for bit where
            it would have ended without the interruption. A run of another model, data, seed, batch size, learning rate or schedule
            is refused; only steps, minutes and what is shown may change.
        measure: function of the model (in eval mode, without gradients) -> {name: number}, called every measure_every steps.
        log_dir: folder for TensorBoard.
        preview: function of the model -> images to show while it trains. Default: 16 of model.sample with a fixed seed, if it has that.
        progress: show runs of more than 2 s; False for runs that are repeated many times.
        schedule: function of the step (0 for the first) -> number that every learning rate is multiplied by, such as
            al.training.cosine(1_000).
    Returns:
        History. On KeyboardInterrupt too: the weights and the history so far are kept.
    Raises:
        ValueError, TypeError: arguments that do not go together. NonFiniteLoss: names the loss and the step.
    """
    sets = _check(model, data, steps, minutes, batch_size, weights)
    if measure is not None and (measure_every is None or measure_every < 1):
        raise ValueError(
            f"fit(measure=..., measure_every={measure_every}): say every how many steps to measure, 1 or more."
        )
    where = device()
    if weights and (profile() == "smoke" or (steps is None and minutes is None)):
        load_weights(model, weights)
        model.to(where).eval()
        return History(weights=weights)
    model.to(where, memory_format=torch.channels_last)
    with _own_randomness(where), _stop_softly() as stop:
        run = _Run(model, sets, where, seed, batch_size, schedule, checkpoint, measure, log_dir, preview, progress)
        return run.train(stop, steps, minutes, measure_every)


class _Run:
    """One run of `fit`: what it has recorded, and what happens around each step."""

    def __init__(self, model, sets, where, seed, batch_size, schedule, checkpoint, measure, log_dir, preview, progress):
        self.model, self.where, self.seed, self.schedule = model, where, seed, schedule
        self.checkpoint, self.measure, self.preview = checkpoint, measure, preview
        self.optimizers = model.optimizers()
        self.averages = {name: child for name, child in model.named_children() if isinstance(child, AveragedModel)}
        paired = getattr(model, "paired", False)
        if paired and len({len(ds.images) for ds in sets}) > 1:
            raise ValueError(
                f"fit got {len(sets[0].images)} and {len(sets[1].images)} images for a model that learns from pairs. "
                "Give as many of the one as of the other."
            )
        self.sources = [_Source(ds, batch_size, seed + (0 if paired else k), where) for k, ds in enumerate(sets)]
        self.identity = {
            "arguments": checkpoints.arguments(model),
            "seed": seed,
            "batch_size": batch_size,
            "data": checkpoints.fingerprint(sets),
            "schedule": checkpoints.schedule_values(schedule),
            **checkpoints.optimizer_values(self.optimizers),
        }
        self.rates = [[group["lr"] for group in o.param_groups] for o in self.optimizers.values()]
        self.history, self.pending = History(), []
        state = checkpoints.load(checkpoint, model, self.identity) if checkpoint else None
        self.resumed = state is not None
        if self.resumed:
            self._restore(state)
        elif hasattr(model, "begin"):
            model.begin(*(ds.images for ds in sets))
        _train_mode(model)
        self.writer = None
        if log_dir:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(log_dir)
        shows = preview is not None or hasattr(model, "sample")
        self.screen = Progress(type(model).__name__, self._pictures if shows else None, progress)

    def train(self, stop, steps, minutes, measure_every):
        """Step until `stop` is set, `steps` are done or `minutes` have passed. Returns the History."""
        history = self.history
        began, saved = time.monotonic() - history.seconds, time.monotonic()
        whole = True  # False while a step is under way
        if not self.resumed:
            self._save()  # so that even the first step can be repeated exactly
        try:
            while not stop.is_set() and (history.steps < steps if steps else time.monotonic() - began < minutes * 60):
                whole = False
                losses = self._step()
                history.steps += 1
                whole = True
                history.seconds = time.monotonic() - began
                self.pending.append(losses)
                if self.where.type == "cpu" or len(self.pending) == 50:  # reading a loss makes an accelerator wait
                    self._record()
                if self.measure and history.steps % measure_every == 0:
                    self._measure()
                self.screen.update(lambda: self._status(steps, minutes), history.losses)
                if self.checkpoint and time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._record()
                    self._save()
                    saved = time.monotonic()
            history.interrupted = stop.is_set()
        except KeyboardInterrupt:
            history.interrupted = True
        finally:
            self.model.eval()
            if self.writer:
                self.writer.close()
        self._record()
        if whole:  # a step cut in two is not worth keeping
            self._save()
        self.screen.close(self._status(steps, minutes), history.losses)
        if history.interrupted:
            how = (
                f"The same call continues from {self.checkpoint}."
                if self.checkpoint
                else "Give checkpoint=FILE to be able to continue."
            )
            print(f"Stopped at step {history.steps}. The model keeps its weights. {how}", flush=True)
        return history

    def _set_rates(self, step):
        """The learning rates of a step, from the step alone: a resumed run has no state of its schedule to lose."""
        factor = self.schedule(step) if self.schedule else 1
        for optimizer, rates in zip(self.optimizers.values(), self.rates):
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = factor * rate

    def _step(self):
        step = self.history.steps
        self._set_rates(step)
        batch = [source(step) for source in self.sources]
        _seed_step(self.seed, step)
        with autocast():
            losses = self.model.training_step(batch[0] if len(batch) == 1 else tuple(batch), self.optimizers)
        for name, average in self.averages.items():
            average.update_parameters(getattr(self.model, name.removesuffix("_ema")))
        return losses

    def _record(self):
        """Move the pending losses into the history, and stop at the first that is not finite."""
        if not self.pending:
            return
        first, names = self.history.steps - len(self.pending) + 1, list(self.pending[0])
        rows = torch.stack([torch.stack([losses[name].float() for name in names]) for losses in self.pending]).tolist()
        self.pending.clear()
        for step, row in enumerate(rows, first):
            for name, value in zip(names, row):
                if not math.isfinite(value):
                    kept = (
                        f"{self.checkpoint} holds an earlier, finite state."
                        if self.checkpoint
                        else "The model's weights may be damaged."
                    )
                    error = NonFiniteLoss(
                        f"{name} became {value} at step {step}, and training stopped. {kept} Look for a logarithm or a "
                        "division that reaches zero, or give the optimizer a smaller learning rate."
                    )
                    self.history.steps = step - 1
                    error.history = self.history
                    raise error
            for name, value in zip(names, row):
                self.history.losses.setdefault(name, []).append(value)
                if self.writer:
                    self.writer.add_scalar(name, value, step)

    def _measure(self):
        with self._aside():
            for name, value in self.measure(self.model).items():
                self.history.measures.setdefault(name, []).append(float(value))
                if self.writer:
                    self.writer.add_scalar(name, float(value), self.history.steps)

    def _pictures(self):
        with self._aside():
            return self.preview(self.model) if self.preview else self.model.sample(16, seed=self.seed)

    @contextmanager
    def _aside(self):
        """Look at the model without leaving a trace in the training: no gradients, no dropout. Each step seeds its own noise."""
        with torch.no_grad(), evaluating(self.model):
            yield

    def _status(self, steps, minutes):
        history = self.history
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in history.losses.items() if values)
        goal = f" of {steps}" if steps else f", {minutes} min asked for"
        return f"step {history.steps}{goal}, {history.seconds:.0f} s; {last}"

    def _save(self):
        if self.checkpoint:
            checkpoints.save(
                self.checkpoint,
                {
                    "architecture": architecture(self.model),
                    "run": self.identity,
                    "step": self.history.steps,
                    "seconds": self.history.seconds,
                    "losses": self.history.losses,
                    "measures": self.history.measures,
                    "weights": self.model.state_dict(),
                    "optimizers": {k: o.state_dict() for k, o in self.optimizers.items()},
                },
            )

    def _restore(self, state):
        self.model.load_state_dict(state["weights"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.history = History(state["losses"], state["measures"], state["step"], state["seconds"])
