"""What networks trained against each other share: their noise, one network's step, and the average that makes the samples."""

from itertools import chain

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel


def latents(n, dim, generator=None, device=None):
    """(n, dim) numbers from N(0, 1), drawn on `device`. With a `generator` of the CPU one seed gives the same numbers everywhere:
    they are drawn there and moved."""
    if generator is None:
        return torch.randn(n, dim, device=device)
    return torch.randn(n, dim, generator=generator).to(device)


def update(loss, optimizer, longest=None):
    """One step of `optimizer` down `loss`: gradients for its own parameters, and for no others.

    longest: the norm that all gradients together may have; longer ones are shortened to it.
    """
    learning = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    optimizer.zero_grad()
    loss.backward(inputs=learning)
    if longest is not None:
        clip_grad_norm_(learning, longest)
    optimizer.step()


class Average(AveragedModel):
    """A copy of a network that follows it: after each step average = decay * average + (1 - decay) * network, buffers too.

    In its n-th update the decay is at most (1 + n) / (10 + n), so that the untrained network is forgotten within the first steps.
    Unlike its parent it never reads a number back from the device.

    Sources: Polyak and Juditsky 1992; the warm-up is that of TensorFlow's ExponentialMovingAverage(num_updates=).
    """

    def __init__(self, network, decay):
        super().__init__(network, use_buffers=True)
        self.decay = decay
        self.requires_grad_(False)

    @torch.no_grad()
    def update_parameters(self, model):
        n = self.n_averaged
        share = 1 - ((1 + n) / (10 + n)).clamp(max=self.decay)
        for mine, theirs in zip(_tensors(self.module), _tensors(model)):
            if mine.is_floating_point():
                mine.lerp_(theirs, share)
            else:
                mine.copy_(theirs)
        n += 1


def _tensors(network):
    return chain(network.parameters(), network.buffers())


def averaged(network, decay):
    """The `Average` of a network. As the attribute `x_ema` of a model it is updated by `fit` after each step of `x`.

    Raises ValueError unless 0 <= decay < 1.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"ema_decay={decay}: accepted is a number from 0 (no average) to below 1, such as 0.995.")
    return Average(network, decay)
