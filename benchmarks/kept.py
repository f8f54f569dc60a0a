"""What benchmarks keep in build/ from one run to the next, and what made it: settings that change are noticed."""

import json

from tpainn_lite.structures.files import write_text
from tpainn_lite.structures.identity import check_same, identity


def kept(path, read, make, **made_from):
    """What a file holds; made first if it is not there.

    Parameters
    ----------
    path : Path
    read : callable (Path)
        Reads the file.
    make : callable (Path)
        Makes and writes it.
    **made_from
        All that decides on its content; kept in a file of the same name that ends in ``.identity.json``.

    Raises
    ------
    IdentityError
        The file was made with something else; the message says what.
    """
    record, asked = path.with_name(f"{path.name}.identity.json"), identity(**made_from)
    if path.exists():
        known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
        check_same(known, asked, str(path), "remove it, and it is made anew")
    else:
        write_text(record, json.dumps(asked, indent=1) + "\n")
        make(path)
    return read(path)
