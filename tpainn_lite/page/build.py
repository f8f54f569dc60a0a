"""Compile `engine.c` to `engine.wasm`, the same bytes on every machine.

    pip install ziglang==0.16.0
    python -m tpainn_lite.page.build [another_place.wasm]

The compiler is Clang, which pip brings inside the package ziglang; its version is fixed, because another one makes
other bytes.
"""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

SOURCE, ENGINE = (Path(__file__).with_name(name) for name in ("engine.c", "engine.wasm"))
ZIG = "0.16.0"
OPTIONS = (
    "-target", "wasm32-freestanding", "-O3", "-msimd128", "-mbulk-memory", "-mnontrapping-fptoint", "-nostdlib",
    "-fvisibility=hidden", "-s", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers",
    "-Wl,--no-entry", "-Wl,--export-dynamic",
)  # fmt: skip


def missing() -> str | None:
    """What keeps this machine from building the engine, and what to do about it; or None."""
    try:
        version = metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        version = "missing"
    return None if version == ZIG else f"ziglang is {version}; pip install ziglang=={ZIG}"


def build(target: Path = ENGINE) -> None:
    """Write the engine.

    Raises
    ------
    RuntimeError
        The compiler is missing, of another version, or refuses the source; with what it said.
    """
    if problem := missing():
        raise RuntimeError(problem)
    command = [sys.executable, "-m", "ziglang", "cc", *OPTIONS, "-o", str(target.resolve()), SOURCE.name]
    done = subprocess.run(command, cwd=SOURCE.parent, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the engine was not built:\n{done.stderr[-2000:]}")
    target.chmod(0o644)


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:2]))
