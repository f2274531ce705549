"""What the measures refuse before they count."""


def check_finite(rows, who, what="features", start=0):
    """Raise unless every number of rows (N, D) is finite; the message names the first row that is not. Returns `rows`.

    Args:
        who: the measure, for the message: "fid". what: which rows: "generated features". start: number of the first row.
    Raises:
        ValueError: NaN or infinity.
    """
    finite = rows.isfinite()
    if not finite.all():
        bad = (~finite.flatten(1).all(1)).nonzero()[:, 0].tolist()
        raise ValueError(
            f"{who} got NaN or infinity in {len(bad)} of {len(rows)} rows of the {what}, the first at row {start + bad[0]}. "
            "Accepted: finite numbers. Look at the pictures of those rows, and at where they were made."
        )
    return rows
