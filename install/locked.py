"""What of requirements.lock an installation takes, for pip.

`locked.py tools LOCK` prints what a wheel is built with, `locked.py needs WHEEL [EXTRA…]` what that
wheel needs to run, by the lock that it carries (`tools` takes a wheel too). `--no-hashes`: names
and versions only. Needs nothing but a Python.
"""

from __future__ import annotations

import operator
import re
import sys
import zipfile

TOOLS = {
    "editables",
    "hatchling",
    "packaging",
    "pathspec",
    "pluggy",
    "setuptools",
    "tomli",
    "trove-classifiers",
}
COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


def entries(lock: str) -> list[tuple[str, set[str], str]]:
    """Each entry of a lock: its name, the names of those that need it, and its lines."""
    found = []
    for text in re.findall(r"^(?=[^\s#]).*\n(?:[ \t]+.*\n?)*", lock, re.MULTILINE):
        comments = re.findall(r"^[ \t]+#[ \t]+(?:via[ \t]+)?(\S+)", text, re.MULTILINE)
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        found.append((plain(text), {plain(each) for each in comments}, "\n".join(lines)))
    return found


def needed(lock: str, metadata: str, extras: list[str]) -> list[str]:
    """The entries that a package with this metadata needs to run, and what those need. Raises
    `LookupError` for an extra that it has not."""
    known = re.findall(r"^Provides-Extra: (\S+)", metadata, re.MULTILINE)
    if unknown := set(extras) - set(known):
        raise LookupError(f"there is no extra '{min(unknown)}', but: {', '.join(known)}")
    wanted = set()
    for line in re.findall(r"^Requires-Dist: (.*)", metadata, re.MULTILINE):
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        if (extra is None or extra.group(1) in extras) and is_for(line, sys.version_info[:2]):
            wanted.add(plain(line))
    before: set[str] = set()
    while before != wanted:
        before = set(wanted)
        wanted |= {name for name, parents, _ in entries(lock) if parents & before}
    return [text for name, _, text in entries(lock) if name in wanted]


def is_for(line: str, python: tuple[int, int]) -> bool:
    """Whether a requirement's marker lets it be for this version of Python."""
    limits = re.findall(r"python_version ([<>=!]+) ['\"](\d+)\.(\d+)", line)
    return all(COMPARE[sign](python, (int(major), int(minor))) for sign, major, minor in limits)


def plain(name: str) -> str:
    """The name that a line begins with, as it is compared."""
    found = re.match(r"[\w.-]+", name)
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def main(arguments: list[str]) -> str:
    """What is printed. Raises `LookupError` for an unknown extra."""
    hashes = "--no-hashes" not in arguments
    what, path, *extras = [each for each in arguments if each != "--no-hashes"]
    lock = metadata = ""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if name.endswith("/share/scribed/requirements.lock"):
                    lock = wheel.read(name).decode()
                if name.endswith(".dist-info/METADATA"):
                    metadata = wheel.read(name).decode()
    else:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 -- nothing else of pathlib
            lock = file.read()
    if what == "tools":
        found = [text for name, _, text in entries(lock) if name in TOOLS]
    else:
        found = needed(lock, metadata, extras)
    if not found:
        raise LookupError(f"{path} has no locked packages of scribed")
    return "\n".join(text if hashes else text.partition(" \\\n")[0] for text in found)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))  # noqa: T201 -- for pip
    except (LookupError, OSError, zipfile.BadZipFile) as exc:
        sys.exit(f"locked.py: {exc}")
