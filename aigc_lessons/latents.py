"""Latents and codes (lesson 64): the scale that a flow in the latent needs, and the nearest entry of a codebook, its loss and its use."""

import torch


def latent_scale(latents):
    """The number that latents are multiplied by so that a flow, whose noise has a standard deviation of 1, finds them as large as noise.

    Args: latents: any shape, at least two numbers: those of all training pictures together. They are not shifted.
    Returns: scalar, 1 / std over all numbers, as torch.std gives it.
    Raises ValueError: latents that are all the same have no scale.
    Source: Rombach et al. 2022, High-Resolution Image Synthesis with Latent Diffusion Models, section D.1 (their 0.18215 is this number of
        one autoencoder and fits no other).
    """
    std = latents.float().std() if latents.numel() > 1 else 0
    if not std > 0:
        raise ValueError(
            "latent_scale got latents that are all the same, or fewer than two. Accepted: the latents of many pictures. An encoder "
            "that answers every picture alike has not been trained."
        )
    return 1 / std


def quantize(z, codebook):
    """Replace each vector by the nearest entry of a codebook, by squared distance; of equally near ones by the first.

    Args: z: (N, D). codebook: (K, D).
    Returns: (codes, z_q): (N,) int64, which entry; and (N, D), those entries. For gradients z_q is z itself (straight-through): they
        arrive at z as if nothing had been replaced, and none of them at the codebook.
    Source: van den Oord et al. 2017, Neural Discrete Representation Learning, eq. 1 and 2, section 3.2.
    """
    # by differences: the expanded square, |z|^2 - 2 z e + |e|^2, loses the small distances that decide
    distances = torch.cdist(z.detach(), codebook.detach(), compute_mode="donot_use_mm_for_euclid_dist")
    codes = distances.argmin(1)
    return codes, z + (codebook[codes] - z).detach()


def vq_loss(z, z_q, beta):
    """What moves the codebook to the vectors, plus beta times what keeps the vectors near the codebook.

        mean (sg(z) - z_q)^2 + beta mean (z - sg(z_q))^2, where sg lets no gradient through

    Args: z: (N, D), of the encoder. z_q: (N, D), the entries codebook[codes], through which gradients reach the codebook: not the
        second result of `quantize`, whose gradients go to z. beta: number, at least 0.
    Returns: scalar.
    Source: van den Oord et al. 2017, eq. 3, second and third term, as means.
    """
    return (z.detach() - z_q).square().mean() + beta * (z - z_q.detach()).square().mean()


def codebook_perplexity(codes, k):
    """How many entries of a codebook are in use, counted as if all were used alike: exp of the entropy of their shares.

    Args: codes: any shape, int64 from 0 to k - 1. k: entries of the codebook. Returns: scalar from 1 to k.
    Source: van den Oord et al. 2017, in its published code; Cover and Thomas 2006, Elements of Information Theory, section 2.1.
    """
    codes = codes.flatten()
    counts = torch.zeros(k, device=codes.device).scatter_add_(0, codes, torch.ones(len(codes), device=codes.device))
    return torch.special.entr(counts / len(codes)).sum().exp()
