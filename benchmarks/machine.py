"""What a benchmark ran on, and how busy that was."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path


def machine() -> str:
    """Cores, processor, system, Python, and the load average now."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    load = os.getloadavg()[0]
    now = datetime.datetime.now(datetime.UTC)
    return (
        f"{now:%Y-%m-%d}, {os.cpu_count()} cores, {names[0] if names else platform.machine()}, {platform.system()}, "
        f"Python {platform.python_version()}, load average {load:.1f} at the end"
    )


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
