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


def check_counts(who, **counts):
    """Raises ValueError unless each of the counts is 1 or more."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{who}({name}={value}): accepted is 1 or more.")


def check_fits(model, images):
    """Raises ValueError unless the images have the shape that `model` was built for."""
    if tuple(images.shape[1:]) != model.image_shape:
        who = type(model).__name__
        raise ValueError(f"This {who} takes images of shape {model.image_shape} and got {tuple(images.shape[1:])}. "
                         f"Load the data at that size, or build the {who} with image_shape=ds.images.shape[1:].")


def check_unconditional(who, labels):
    if labels is not None:
        raise ValueError(f"This {who} was not told any labels and cannot be asked for some. Call sample(n) without labels=.")
