"""Writes measured tables into README.md between markers, with the machine, commit, date and command that gave them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from pathlib import Path

__all__ = ["README", "ROOT", "provenance", "publish"]

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "benchmarks" / "README.md"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit measured, with a + if the code differs from it."""
    run = subprocess.run(["git", "describe", "--always", "--abbrev=12", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip() or "not a checkout"


def provenance(command: str) -> str:
    """One paragraph that tells how the numbers below it came about."""
    machine = f"{processor()}, {os.cpu_count()} logical cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d')}, commit `{commit()}`, {machine}.\nCommand: `{command}`"


def publish(section: str, text: str, readme: Path = README) -> None:
    """Replace what is between the section's markers; they must be there already."""
    begin, end = f"<!-- begin {section} -->", f"<!-- end {section} -->"
    old = readme.read_text()
    new, found = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text.strip()}\n{end}", old, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{readme} has {found} sections marked {begin} ... {end}, expected one")
    readme.write_text(new)
