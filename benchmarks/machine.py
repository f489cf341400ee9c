"""What a measurement was made on: the machine and the libraries."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 2**30:.1f} GiB"


def _blas(config: Any) -> str:
    blas = config["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}"


def describe(command: str, threads: int) -> dict[str, str]:
    """Return the machine and the libraries of this Python, in words."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": _memory_gib(),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.machine()}",
        "threads for each peer": str(threads),
        "Python": platform.python_version(),
        "numpy": f"{np.__version__} ({_blas(np.show_config(mode='dicts'))})",
        "scipy": f"{scipy.__version__} ({_blas(scipy.show_config(mode='dicts'))})",
    }
