"""Attack the library with generated inputs: `python tests/robustness/attack.py` (all), `… weights frames/17` (some).

Every input belongs to a kind and has a number, from which alone it is made: a case can be run again by its name.  One
process imports everything once; each case runs in a child of its own (fork), in a folder of its own, which may use 20 s
of a core and 2 GB.  What the child did is judged: no traceback, no crash, no hang, no wrong acceptance, nothing lost.
"""

import argparse
import fnmatch
import json
import os
import re
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy and torch come: a process with threads should not be forked

import numpy as np

CPU_SECONDS, WALL_SECONDS, BLOCKED_SECONDS = 20, 150, 20
MEMORY = 2_000_000_000  # bytes, all together
KEPT = 40_000  # characters of output


@dataclass
class Case:
    """One attack.

    ``call`` are the arguments of `tpainn`, or a function; ``refuse``: the input is wrong for certain, so that success
    is a failure; ``accept``: it is sound, so that an error is one; one of ``names`` must be in the message.  ``writes``
    and ``keeps`` (patterns) may be there after success, and after failure; ``changes`` were there before, and may be
    changed.  ``sound`` is asked after success, and says what is wrong, or None.
    """

    what: str
    call: object
    refuse: bool = False
    names: tuple = ()
    writes: tuple = ()
    keeps: tuple = ()
    changes: tuple = ()
    sound: object = None
    accept: bool = False


def command():
    """What `tpainn` runs, as pyproject.toml has it."""
    import tomllib
    from importlib import import_module

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["tpainn"].partition(":")
    return getattr(import_module(module), name)


def tpainn(*arguments):
    """Run `tpainn` in this process; its exit code, or the exception that came out of it."""
    sys.argv = ["tpainn", *map(str, arguments)]
    try:
        command()()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    return 0


# --- in the child ---


def run(case):
    """(outcome, text): exit code, "returned", or an exception, and what was printed."""
    if not callable(case.call):
        try:
            return tpainn(*case.call), ""
        except BaseException:  # noqa: BLE001  whatever it is: it is a finding
            return "traceback", traceback.format_exc()
    try:
        case.call()
    except BaseException as error:  # noqa: BLE001
        return error, traceback.format_exc()
    return "returned", ""


def snapshot(folder):
    """{name: content of a file, target of a link, or its kind} of all there is in a folder."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content = "→ " + os.readlink(path)
        elif stat.S_ISREG(mode):
            content = path.read_bytes() if path.stat().st_size < 1e8 else path.stat().st_size
        else:
            content = f"mode {stat.S_IFMT(mode)}"
        found[str(path.relative_to(folder))] = content
    return found


def judge(case, outcome, text, printed, before, after):
    """What is wrong with what a case did: a list of sentences."""
    failed = outcome not in (0, "returned")
    problems = _about_function(outcome) if callable(case.call) else _about_command(case, outcome, text, printed)
    if case.refuse and not failed:
        problems.append("accepted, though it is wrong for certain")
    if case.accept and failed:
        problems.append(f"refused, though it is sound: {' '.join(lines_of(printed))[-300:]}")
    if not failed and case.sound:
        complaint = case.sound()
        problems += [f"unsound result: {complaint}"] if complaint else []
    in_part = "; the others are in" in printed  # some frames are left out, and the exit code says so
    return problems + _about_files(case, failed and not in_part, before, after)


def _about_files(case, failed, before, after):
    may = case.keeps if failed else (*case.writes, *case.keeps)
    may_change = case.changes if failed else (*case.changes, *case.writes)
    lost = [n for n, content in before.items() if after.get(n) != content and not _fits(n, may_change)]
    new = [n for n in after if n not in before and not _fits(n, may)]
    problems = [f"{name!r} was {'changed' if name in after else 'removed'}" for name in lost]
    problems += [f"left {name!r}" for name in new]
    return problems + [f"left {n!r} empty" for n in after if n not in before and after[n] == b"" and n not in new]


def _fits(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


BAR = re.compile(r"\d+%\||frames/s|steps/s|runs/s|\[\d\d:\d\d")


def lines_of(printed):
    """What a person reads: without progress bars."""
    lines = (line.rstrip() for line in re.split(r"[\r\n]+", printed))
    return [line for line in lines if line and not BAR.search(line)]


def _about_command(case, outcome, text, printed):
    lines, problems = lines_of(printed), []
    if "Traceback (most recent call last)" in printed + text:
        problems.append("traceback: " + (text or printed).strip().splitlines()[-1][:300])
    elif outcome not in (0, 1, 2):
        problems.append(f"exit code {outcome}")
    elif outcome == 1:
        problems += _about_message(case, lines)
    elif outcome == 2 and not names_it(case, "\n".join(lines)):
        names = " or ".join(name[:40] for name in case.names)
        problems.append(f"the message does not name {names}: {' '.join(lines)[-300:]!r}")
    if outcome == 0 and re.search(r"(?<![\w./-])-?(nan|inf)(?![\w./-])", "\n".join(lines)):
        problems.append("prints numbers that are not finite: " + " ".join(lines)[-200:])
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\n".join(lines)):
        problems.append(f"prints control characters: {' '.join(lines)[-200:]!r}")
    return problems + [f"prints a warning: {line[:200]}" for line in lines if re.search(r"\w+Warning: ", line)]


def _about_message(case, lines):
    if not lines:
        return ["exit code 1 without a word"]
    if lines[-1].startswith("MDRun("):
        return []
    starts = [k for k, line in enumerate(lines) if line.startswith("tpainn")]
    if not starts or starts[-1] != len(lines) - 1:
        return [f"the message is not one line: {' ⏎ '.join(lines)[-400:]}"]
    names = " or ".join(name[:40] for name in case.names)
    unnamed = f"the message does not name {names}: {lines[-1][:300]!r}"
    problems = [] if names_it(case, lines[-1]) else [unnamed]
    return problems + ([f"the message has {len(lines[-1])} characters"] if len(lines[-1]) > 1100 else [])


def names_it(case, message):
    """Whether one of the names is in the message, however a terminal has wrapped it."""
    message = re.sub(r"\\udc[0-9a-f]{2}", "", message)  # how a byte that is no letter is printed
    plain = re.sub(r"[\s│╭╮╰╯─_-]+|[^ -~]", "", message).lower()
    return not case.names or any(re.sub(r"[\s_-]+|[^ -~]", "", name).lower() in plain for name in case.names)


FOREIGN_WORDS = re.compile(
    r"object (is not|has no|of type|cannot)|has no attribute|unsupported operand|not supported between|broadcast|ufunc|"
    r"invalid literal|could not convert|must be real number|argument of type|indices must be|expected scalar type|"
    r"subscriptable|not iterable|not callable|incompatible (function|constructor) arguments|zero-size array|"
    r"setting an array element|only \S+ arrays|not interpretable|positional argument|unexpected keyword|unhashable|"
    r"index .*out of (range|bounds)|can't multiply|cannot convert float|cannot be interpreted|Expected .* but got|"
    r"expected str, bytes or os.PathLike|did not match C\+\+ signature|must be 1-dimensional|need at least one array|"
    r"SeedSequence|expected non-negative integer|embedded null|takes \d+ arguments|must be str, not|division by zero"
)


def _about_function(outcome):
    """An error must be a sentence of ours; see `is_ours`."""
    if outcome == "returned":
        return []
    name = type(outcome).__name__
    if not isinstance(outcome, (ValueError, TypeError, OSError, ImportError)):
        return [f"{name}: {str(outcome)[:200]} (ValueError, TypeError or OSError expected){_place(outcome)}"]
    return [] if is_ours(outcome) else [f"not a sentence of ours: {name}: {str(outcome)[:200]}{_place(outcome)}"]


def _place(error):
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/tpainn_lite/" in f.filename]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def is_ours(error):
    """Whether a message was written for people: a `raise` of ours, or at least a sentence that is not Python's own."""
    message = str(error)
    if len(message.split()) < 4:
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    if "/tpainn_lite/" in last.filename and (last.line or "").strip().startswith("raise"):
        return True
    return not FOREIGN_WORDS.search(message)


def child(name, base, folder, report):
    """Make the case, run it, judge it; never returns."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    maker, number = case_of(name)
    problems, case, printed, outcome = [], None, "", None
    try:
        with open(report.with_suffix(".out"), "w+b") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            sys.stdout, sys.stderr = _stream(1), _stream(2)
            os.chdir(folder)
            case = maker(number, np.random.default_rng([*name.split("/")[0].encode(), number]), base)
            before = snapshot(folder)
            report.with_suffix(".what").write_text(case.what)
            _limit()
            outcome, text = run(case)
            sys.stdout.flush(), sys.stderr.flush()
            output.seek(0)
            printed = output.read(KEPT * 100).decode("utf-8", "replace")
        _, ceiling = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
        problems = judge(case, outcome, text, printed, before, snapshot(folder))
        printed = (printed + text)[-KEPT:]
    except BaseException:  # noqa: BLE001
        problems.append("the harness itself failed: " + traceback.format_exc()[-600:])
    call = case and (case.call if not callable(case.call) else "function")
    found = {"name": name, "what": case and case.what, "call": call, "outcome": str(outcome)[:300]}
    report.write_text(json.dumps(found | {"problems": problems, "printed": printed}))
    os._exit(0)


def _stream(fd):
    return open(fd, "w", encoding="utf-8", closefd=False, buffering=1, errors="replace")


def _limit():
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, ceiling = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, ceiling))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = CPU_SECONDS + int(used.ru_utime + used.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))


# --- in the parent ---


class Child:
    """A case that is running."""

    def __init__(self, name, base, work):
        self.name, self.started = name, time.perf_counter()
        self.folder, self.report = work / name.replace("/", "-"), work / f"{name.replace('/', '-')}.json"
        self.folder.mkdir()
        self.seen, self.killed, self.status, self.usage = (time.perf_counter(), -1.0), None, None, None
        self.pid = os.fork()
        if self.pid == 0:
            child(name, base, self.folder, self.report)

    def is_done(self):
        """Whether it has ended; one that hangs is ended here."""
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self.status, self.usage = status, usage
            return True
        now, cpu = time.perf_counter(), self._cpu()
        if cpu > self.seen[1] + 0.01:
            self.seen = now, cpu
        if now - self.seen[0] > BLOCKED_SECONDS:
            self._kill(f"hung: waited for more than {BLOCKED_SECONDS} s")
        if now - self.started > WALL_SECONDS:
            self._kill(f"hung: more than {WALL_SECONDS} s")
        return False

    def _cpu(self):
        """Seconds of work, of it and of what it began, that /proc knows."""
        total = 0.0
        for pid in _family(self.pid):
            with warnings.catch_warnings():
                try:
                    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                    total += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
                except (OSError, IndexError):
                    pass
        return total

    def _kill(self, why):
        self.killed = self.killed or why
        for pid in _family(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def result(self):
        """What it found, and how it ended."""
        if self.report.exists():
            found = json.loads(self.report.read_text())
        else:
            what = self.report.with_suffix(".what")
            found = {
                "name": self.name,
                "what": what.read_text() if what.exists() else "?",
                "problems": [],
                "outcome": None,
            }
            out = self.report.with_suffix(".out")
            found["printed"] = out.read_bytes()[-KEPT:].decode("utf-8", "replace") if out.exists() else ""
            number = os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0
            end = f"busy for more than {CPU_SECONDS} s" if number == signal.SIGXCPU else f"crashed ({_signal(number)})"
            found["problems"].append(self.killed or end)
        left = _left_of(self.pid)
        if left:
            found["problems"].append(f"left {len(left)} processes behind")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        if self.usage.ru_maxrss * 1024 > MEMORY:
            found["problems"].append(f"used {self.usage.ru_maxrss / 1024**2:.1f} GB")
        return found | {
            "seconds": round(time.perf_counter() - self.started, 2),
            "megabytes": self.usage.ru_maxrss // 1024,
        }


def _signal(number):
    return signal.Signals(number).name if number else "ended without a report"


def _family(pid):
    """A process and all that it began and that still runs."""
    import psutil

    try:
        return [pid, *(one.pid for one in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return [pid]


def _left_of(pid, seconds=5):
    """Processes of a session that still run after so many seconds."""
    limit = time.perf_counter() + seconds
    while (found := _session(pid)) and time.perf_counter() < limit:
        time.sleep(0.05)
    return found


def _session(pid):
    """Processes that still run in the session that a child began."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(words[3]) == pid and words[0] != "Z":
            found.append(int(path.parent.name))
    return found


def kinds():
    """{kind: (number of cases, share of the sample, maker)}; a maker takes number, random numbers and base folder."""
    import file_cases
    import function_cases
    import option_cases

    return {**file_cases.KINDS, **option_cases.KINDS, **function_cases.KINDS}


def case_of(name):
    kind, _, number = name.partition("/")
    return kinds()[kind][2], int(number)


def names_of(wanted, sample):
    """Cases by name: those of these kinds or numbers, or all; of the sample only."""
    found = []
    for kind, (count, share, _) in kinds().items():
        numbers = np.unique(np.linspace(0, count - 1, share).astype(int)) if sample else range(count)
        found += [f"{kind}/{number}" for number in numbers]
    everything = {f"{kind}/{k}" for kind, (count, _, _) in kinds().items() for k in range(count)}
    chosen = [name for name in found if not wanted or name in wanted or name.split("/")[0] in wanted]
    return chosen + [name for name in wanted if name in everything and name not in chosen]


def attack(names, base, jobs, report=lambda found: None):
    """Run the cases; what was found, in their order."""
    waiting, running, done = list(reversed(names)), [], {}
    work = Path(tempfile.mkdtemp(prefix="attack-"))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Child(waiting.pop(), base, work))
            for one in [one for one in running if one.is_done()]:
                running.remove(one)
                done[one.name] = one.result()
                report(done[one.name])
                shutil.rmtree(one.folder, ignore_errors=True)
            time.sleep(0.005)
    finally:
        for one in running:
            one._kill("ended")
        shutil.rmtree(work, ignore_errors=True)
    return [done[name] for name in names]


def table(found):
    """Cases by kind, as text."""
    rows = [f"{'kind':12s} {'cases':>6s} {'accepted':>9s} {'refused':>8s} {'failures':>9s} {'seconds':>8s}"]
    for kind in dict.fromkeys(one["name"].split("/")[0] for one in found):
        of_kind = [one for one in found if one["name"].startswith(kind + "/")]
        accepted = sum(one["outcome"] in ("0", "returned") for one in of_kind)
        failures = sum(bool(one["problems"]) for one in of_kind)
        seconds = sum(one["seconds"] for one in of_kind)
        rows.append(
            f"{kind:12s} {len(of_kind):6d} {accepted:9d} {len(of_kind) - accepted:8d} {failures:9d} {seconds:8.0f}"
        )
    total, failures = len(found), sum(bool(one["problems"]) for one in found)
    return "\n".join([*rows, f"{'all':12s} {total:6d} {'':9s} {'':8s} {failures:9d}"])


def describe(found):
    """A failure in three lines."""
    call = found.get("call")
    shown = "tpainn " + " ".join(map(str, call)) if isinstance(call, list) else call
    return f"{found['name']}: {found['what']}\n    {shown}\n    " + "\n    ".join(found["problems"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", nargs="*", help="kinds (weights) or cases (weights/17); all unless given")
    parser.add_argument("--sample", action="store_true", help="the fixed sample of two hundred")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write what was found here too")
    parser.add_argument("-v", action="store_true", help="show what each case printed")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    import torch_geometric.data  # noqa: F401  here, since its import in a child would wait for threads that a fork loses
    from bases import make_bases

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is temporary is removed
    names = names_of(options.wanted, options.sample)
    base = Path(tempfile.mkdtemp(prefix="attack-base-"))
    try:
        make_bases(base, {name.split("/")[0] for name in names})

        def report(found):
            if found["problems"] or options.v:
                print(describe(found), *([found["printed"]] if options.v else []), sep="\n", flush=True)

        found = attack(names, base, options.jobs, report)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(found))
    print(table(found))
    sys.exit(any(one["problems"] for one in found))


if __name__ == "__main__":
    sys.modules["attack"] = sys.modules["__main__"]
    main()
