"""What generators check before they are built, in one place, so that they refuse alike."""


def halvings(who, image_shape, smallest):
    """How often H can be halved down to `smallest`. Raises ValueError for sizes and channels that `who` cannot make."""
    c, h, w = image_shape
    sizes = [smallest * 2**i for i in range(1, 5)]
    if h != w or h not in sizes:
        raise ValueError(f"{who}(image_shape={tuple(image_shape)}): it makes squares of side {', '.join(map(str, sizes))}. "
                         "Load the data at one of these sizes: al.data.load(name, size=32).")
    if c not in (1, 3):
        raise ValueError(f"{who}(image_shape={tuple(image_shape)}): accepted are 1 channel (grey) or 3 (colour), not {c}.")
    return sizes.index(h) + 1


def check_latent_dim(who, latent_dim):
    if latent_dim < 1:
        raise ValueError(f"{who}(latent_dim={latent_dim}): accepted is 1 or more; a picture is made from that many random numbers.")


def check_unconditional(who, labels):
    if labels is not None:
        raise ValueError(f"This {who} was not told any labels and cannot be asked for some. Call sample(n) without labels=.")
