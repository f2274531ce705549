"""When to stop: the rule, apart from any training loop."""


def early_stop(losses, patience):
    """The best epoch seen by the time training stops for lack of improvement.

    Training stops after `patience` epochs in a row without a new lowest validation loss; a tie is no improvement.
    What comes after the stop is never looked at.

    Args:
        losses: validation loss of each epoch, in order; not empty.
        patience: int, at least 1.
    Returns:
        index of the best epoch seen: the weights of that epoch are the ones to keep.
    Raises:
        ValueError: no losses, or patience below 1.
    Source: Goodfellow et al. 2016, Deep Learning, algorithm 7.1.
    """
    if len(losses) == 0 or patience < 1:
        raise ValueError(
            f"early_stop got {len(losses)} losses and patience {patience}. Give at least one loss and patience 1 or more."
        )
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best
