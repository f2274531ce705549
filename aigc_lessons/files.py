"""Writing files so that a stop, whenever it comes, leaves them whole."""

import os
from pathlib import Path


def write_atomically(path, data):
    """Write bytes so that at every moment `path` holds either the old content or the new, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            file.write(data) if isinstance(data, bytes) else data(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
