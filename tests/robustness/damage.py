"""Ways to damage a file: every function takes random numbers and sound content, and gives back damaged content.

A damage of an extended XYZ file says what is wrong with the result: "file" (it cannot be read as what it claims to be),
"structure" (one frame makes no sense), "label" (a label is missing or makes no sense), or "" (perhaps nothing).
"""

import json

ODD_NUMBERS = ("nan", "inf", "-inf", "1e400", "--1", "1,5", "0x1F", "one", "1e", "1.2.3")
ODD_VALUES = (
    None, [], {}, "", "x", -1, 0, 1e308, float("nan"), float("inf"), True, [[1]], {"a": {}}, "\x1b[2J", "a\nb",
    "x" * 9999, [None], 10**40, "<script>alert(1)</script>", "../../etc/passwd", [1, [2, [3]]],
)  # fmt: skip
FOREIGN = {
    "empty": b"",
    "blank": b"\n \n\n",
    "binary": bytes(range(256)) * 20,
    "nul": bytes(5000),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "page": b"<!doctype html><html><body>404 Not Found</body></html>\n",
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "json": b'{"a": [1, 2, {"b": null}]}\n',
    "pickle": b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch PWNED\x85R.",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bytes(50),
    "zip": b"PK\x03\x04" + bytes(100),
    "text": b"Monday,\n\ntoday nothing happened.\n",
}


def pick(rng, things):
    """One of several things."""
    things = list(things)
    return things[int(rng.integers(len(things)))]


def flipped(rng, content, first=0, last=None):
    """A few bytes changed, somewhere between two places."""
    content, last = bytearray(content), len(content) if last is None else last
    for place in rng.integers(first, max(last, first + 1), int(rng.integers(1, 12))):
        if place < len(content):
            content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def truncated(rng, content):
    """The beginning of it."""
    return content[: int(rng.integers(0, max(len(content), 1)))]


def holed(rng, content):
    """A stretch of it is gone."""
    start = int(rng.integers(0, max(len(content), 1)))
    return content[:start] + content[start + int(rng.integers(1, 200)) :]


def zeroed(rng, content):
    """A stretch of it is NUL, as after a power cut."""
    start = int(rng.integers(0, max(len(content), 1)))
    n = min(int(rng.integers(1, 500)), len(content) - start)
    return content[:start] + bytes(n) + content[start + n :]


def any_bytes(rng, content):
    """(name, content): one of the damages that any kind of file may suffer."""
    name = pick(rng, ("flipped", "truncated", "holed", "zeroed", "doubled", "foreign"))
    if name == "foreign":
        foreign = pick(rng, FOREIGN)
        return f"replaced by {foreign}", FOREIGN[foreign]
    how = {"flipped": flipped, "truncated": truncated, "holed": holed, "zeroed": zeroed}
    return name, how[name](rng, content) if name in how else content + content


def odd_json(rng, value, depth=0):
    """(where, value): the same JSON with one value anywhere in it replaced, removed or added to."""
    where = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if depth and (not where or rng.random() < 0.35):
        new = pick(rng, ODD_VALUES)
        return f" = {str(new)[:20]!r}", new
    if not where:
        return " = []", []
    key = pick(rng, where)
    changed = dict(value) if isinstance(value, dict) else list(value)
    if rng.random() < 0.15:
        del changed[key]
        return f"/{key} removed", changed
    place, changed[key] = odd_json(rng, value[key], depth + 1)
    return f"/{key}{place}", changed


def dumped(value):
    """JSON as bytes; NaN and Infinity as Python writes them."""
    return (json.dumps(value) + "\n").encode("utf-8", "surrogatepass")


# --- extended XYZ ---


def frames_of(text):
    """[[count, header, atoms …]] of an extended XYZ file, lines without their ends."""
    lines, frames = text.splitlines(), []
    while lines:
        n = int(lines[0]) + 2
        frames.append(lines[:n])
        lines = lines[n:]
    return frames


def text_of(frames):
    return "".join(line + "\n" for frame in frames for line in frame)


def _one(rng, frames):
    """A frame of the file, and one of its atoms' lines."""
    frame = pick(rng, frames)
    return frame, int(rng.integers(2, len(frame)))


def count(rng, frames):
    frame, _ = _one(rng, frames)
    n = int(frame[0])
    values = ("999999999", 10**18, 10**30, -1, -n, 0, "3.5", "abc", "", "1e3", n + 1, n - 1, n * 1000, f"{n} {n}")
    frame[0] = str(pick(rng, values))
    return "file", f"count {n} → {frame[0]!r}"


def line_dropped(rng, frames):
    frame, k = _one(rng, frames)
    k = pick(rng, (0, 1, k))
    return "file", f"line dropped: {frame.pop(k)[:40]!r}"


def line_doubled(rng, frames):
    frame, k = _one(rng, frames)
    frame.insert(k, frame[k])
    return "file", f"atom's line doubled: {frame[k][:40]!r}"


def lines_swapped(rng, frames):
    frame, k = _one(rng, frames)
    frame[k], frame[1] = frame[1], frame[k]
    return "file", "header and an atom's line swapped"


def column_missing(rng, frames):
    frame, k = _one(rng, frames)
    if rng.random() < 0.5:
        frame[k] = " ".join(frame[k].split()[:-1])
        return "file", "last column of an atom missing"
    frame[2:] = [" ".join(line.split()[:-3]) for line in frame[2:]]
    return "file", "three columns of all atoms missing"


def position(rng, frames):
    frame, k = _one(rng, frames)
    words = frame[k].split()
    words[1 + int(rng.integers(3))] = value = pick(rng, (*ODD_NUMBERS, "1e300", "1e5", "-1e9", "1e15", "3e7"))
    frame[k] = " ".join(words)
    return "structure", f"a position → {value}"


def force(rng, frames):
    frame, k = _one(rng, frames)
    words = frame[k].split()
    words[4 + int(rng.integers(3))] = value = pick(rng, (*ODD_NUMBERS, "1e300"))
    frame[k] = " ".join(words)
    return "" if value == "1e300" else "label", f"a force → {value}"


def overlapping(rng, frames):
    frame, k = _one(rng, [frame for frame in frames if len(frame) > 3])
    other = 2 if k > 2 else 3
    words, same = frame[k].split(), frame[other].split()
    frame[k] = " ".join([words[0], *same[1:4], *words[4:]])
    return "structure", f"atoms {k - 2} and {other - 2} in one place"


def element(rng, frames):
    frame, k = _one(rng, frames)
    words = frame[k].split()
    words[0] = pick(rng, ("Xx", "Zz", "X", "Qq7", "999", "-6", "C12345", "é", "U", "Og"))
    frame[k] = " ".join(words)
    return "unknown" if words[0] in ("U", "Og") else "structure", f"an element → {words[0]}"


def properties(rng, frames):
    frame, _ = _one(rng, frames)
    before = next(word for word in frame[1].split() if word.startswith("Properties="))
    values = (
        "species:S:1:pos:R:0:forces:R:3", "species:S:1:pos:R:-1:forces:R:3", "species:S:1:pos:R:99999999999:forces:R:3",
        "species:Q:1:pos:R:3:forces:R:3", "species:S:1", "", ":::", "species:S:1:pos:R:3:pos:R:3:forces:R:3",
        "species:S:1:pos:R:x:forces:R:3", "pos:R:3:species:S:1:forces:R:3", "species:S:1:pos:R:2:forces:R:3", "species",
        "species:S:1:pos:I:3:forces:R:3", "species:S:1:pos:L:3:forces:R:3",
    )  # fmt: skip
    value = pick(rng, values)
    frame[1] = frame[1].replace(before, f"Properties={value}")
    return "structure" if value.startswith("species") and "pos" not in value else "file", f"Properties={value}"


def no_forces(rng, frames):
    frame, _ = _one(rng, frames)
    frame[1] = frame[1].replace(":forces:R:3", "")
    frame[2:] = [" ".join(line.split()[:4]) for line in frame[2:]]
    return "", "a frame without forces"


def lattice(rng, frames):
    frame, _ = _one(rng, frames)
    words = (
        "nan 0 0 0 9 0 0 0 9", "9 0 0 0 9 0 0 0", "0 0 0 0 0 0 0 0 0", "1e300 0 0 0 9 0 0 0 9", "a b c d e f g h i", "",
        "9 0 0 9 0 0 0 0 9", "inf 0 0 0 inf 0 0 0 inf", "9", "1e-9 0 0 0 1e-9 0 0 0 1e-9", "1e7 0 0 0 1e7 0 0 0 1e7",
    )  # fmt: skip
    value = pick(rng, words)
    frame[1] = (
        f'Lattice="{value}" ' + frame[1].split('"', 2)[2] if "Lattice" in frame[1] else f'Lattice="{value}" ' + frame[1]
    )
    frame[1] = frame[1].replace('pbc="F F F"', 'pbc="T T T"')
    return "structure", f"Lattice={value!r}"


def pbc(rng, frames):
    frame, _ = _one(rng, frames)
    value = pick(rng, ("T T", "X Y Z", "T T T T", "", "2 2 2", "T T T"))
    frame[1] = frame[1].replace('pbc="F F F"', f'pbc="{value}"')
    return "structure", f"pbc={value!r} without a cell"


def energy(rng, frames):
    frame, _ = _one(rng, frames)
    before = next(word for word in frame[1].split() if word.startswith("energy="))
    value = pick(rng, ("nan", "inf", "-inf", "word", None, '"1 2 3"', "True", '""', "1e400", "1e300", "{}", "[[1]]"))
    frame[1] = frame[1].replace(before, "" if value is None else f"energy={value}")
    return "" if value == "1e300" else "label", f"energy → {value}"


def header(rng, frames):
    frame, _ = _one(rng, frames)
    odd = (
        '"',
        "'",
        "=",
        "==",
        "a=",
        '=""',
        'a="',
        "{",
        "x" * 100_000,
        "\x00",
        "a=[1, [2]]",
        "é=ü",
        "\x1b[31m",
        "_JSON {}",
    )
    value = pick(rng, odd)
    frame[1] += " " + value
    return "", f"header + {value[:20]!r}"


EXTXYZ = (
    count, line_dropped, line_doubled, lines_swapped, column_missing, position, force, overlapping, element, properties,
    no_forces, lattice, pbc, energy, header,
)  # fmt: skip
ENCODINGS = ("utf-16", "bom", "latin-1", "crlf", "cr", "nul", "u2028", "utf-32")


def encoded(text, how):
    """(what is wrong, content): the text in another encoding or with other ends of lines."""
    with_comment = text.replace("level=", "note=é level=", 1)
    return {
        "utf-16": ("", text.encode("utf-16")),
        "utf-32": ("file", text.encode("utf-32")),
        "bom": ("", b"\xef\xbb\xbf" + text.encode()),
        "latin-1": ("", with_comment.encode("latin-1")),
        "crlf": ("", text.replace("\n", "\r\n").encode()),
        "cr": ("", text.replace("\n", "\r").encode()),
        "nul": ("", text.replace(" ", " \x00", 3).encode()),
        "u2028": ("", text.replace("level=", "note=\u2028 level=", 1).encode()),
    }[how]


def extxyz(rng, text):
    """(what is wrong, how it was done, content) of a damaged extended XYZ file."""
    kind = rng.random()
    if kind < 0.72:
        frames = frames_of(text)
        wrong, how = pick(rng, EXTXYZ)(rng, frames)
        return wrong, how, text_of(frames).encode("utf-8", "surrogatepass")
    if kind < 0.80:
        how = pick(rng, ENCODINGS)
        wrong, content = encoded(text, how)
        return wrong, how, content
    if kind < 0.88:
        content = truncated(rng, text.encode())
        return "" if _is_whole(content, text) else "file", f"truncated at byte {len(content)}", content
    if kind < 0.94:
        name = pick(rng, FOREIGN)
        return "file", f"replaced by {name}", FOREIGN[name]
    return "", "bytes flipped", flipped(rng, text.encode())


def _is_whole(content, text):
    """Whether a file that was cut off still ends with a frame."""
    ends, end = set(), 0
    for frame in frames_of(text):
        end += len(text_of([frame]).encode())
        ends |= {end, end - 1}  # the end of the last line may be missing
    return len(content) in ends
