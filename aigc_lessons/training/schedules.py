"""Learning-rate schedules: functions of the step, for `fit(schedule=)`."""

import math


def cosine(steps, warmup=0):
    """Half a cosine: from 1 at the first step to 0 after the last of `steps`, after a linear rise over the first `warmup`.

    It takes the noise of large steps out of the end of a run.

    Args: steps: of the whole run; from there on the factor is 0. warmup: steps of the rise, from 1 / (warmup + 1).
    Returns: function of the step (0 for the first) -> factor in [0, 1].
    Raises ValueError unless 0 <= warmup < steps.
    Source: Loshchilov and Hutter 2017, SGDR, eq. 5; Goyal et al. 2017, section 2.2, for the rise.
    """
    if not 0 <= warmup < steps:
        raise ValueError(
            f"cosine({steps}, warmup={warmup}): accepted are steps above 0, and a warmup of 0 or more that is shorter."
        )

    def factor(step):
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - warmup) / (steps - warmup)))

    return factor
