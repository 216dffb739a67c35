"""mypy, strict, and a ratchet that only shrinks: `python -m tests.support.ratchet` (part of `make check`).

`tests/typing_ratchet.txt` has the files that are not clean yet, each with its number of errors: `COUNT PATH`. More
errors than that fail, in a file that is not listed a single one does; and so do fewer, until the list says so. It is
never written here.
"""

import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
LIST = "tests/typing_ratchet.txt"
ERROR = re.compile(r"(?P<path>[^:]+):\d+: error: ")


def main() -> int:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode > 1 or done.stderr:
        print(done.stdout + done.stderr)
        return 2
    lines = [(match["path"], line) for line in done.stdout.splitlines() if (match := ERROR.match(line))]
    complaints = compared(collections.Counter(path for path, _ in lines), allowed())
    grown = {path for path, sentence in complaints.items() if "more" in sentence}
    print(*(line for path, line in lines if path in grown), *complaints.values(), sep="\n", end="")
    print("" if complaints else f"mypy: {len(lines)} errors, all listed in {LIST}")
    return 1 if complaints else 0


def allowed() -> dict[str, int]:
    """The list: path -> how many errors it may have."""
    rows = [line.split() for line in (ROOT / LIST).read_text().splitlines() if not line.startswith("#")]
    return {path: int(count) for count, path in rows}


def compared(found: dict[str, int], listed: dict[str, int]) -> dict[str, str]:
    """path -> what is wrong with its row, for files whose errors are not as many as listed."""
    complaints = {}
    for path in sorted(found.keys() | listed.keys()):
        now, before = found.get(path, 0), listed.get(path, 0)
        if now > before:
            complaints[path] = f"{path} has {now - before} more errors than {LIST} allows ({before}): fix them."
        elif now < before:
            row = f"write {now}" if now else "remove its line"
            complaints[path] = f"{path} has {now} errors, and {LIST} says {before}: {row}, so that it stays so."
    return complaints


if __name__ == "__main__":
    sys.exit(main())
