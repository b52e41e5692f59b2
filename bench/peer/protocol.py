"""The protocol between the benchmark and its workers; the same as in src/worker.rs."""

import json
import sys
import time


def status_bytes(key):
    """`VmRSS` or `VmHWM` of this process."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in /proc/self/status")


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(ready, once):
    """Serves repetitions of `once`, which returns what it counted."""
    say({"ready": True, **ready})
    for line in sys.stdin:
        word = line.strip()
        if word == "go":
            begun = time.perf_counter()
            counted = once()
            say({"seconds": time.perf_counter() - begun, **counted})
        elif word == "quit":
            break
        else:
            raise ValueError(f"unknown line {word!r}; expected go or quit")
    say({"peak_rss_bytes": status_bytes("VmHWM")})
