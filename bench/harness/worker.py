"""One side of a case: a long-lived process that does a repetition when it is told to."""

import json
import os
import subprocess
import tempfile


class Failed(Exception):
    """A worker ended or answered something else than it should; the message says why."""


def stat_seconds():
    """CPU seconds that all processes of the machine have used so far."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


class Worker:
    def __init__(self, name, argv, threads, environment):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+")
        environment = {
            **os.environ,
            **environment,
            "RAYON_NUM_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
        }
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )
        try:
            self.ready = self.read("set-up")
            if not self.ready.get("ready"):
                raise Failed(f"{name}: set-up answered {self.ready}")
        except Failed:
            self.kill()
            raise

    def read(self, doing):
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.errors.seek(0)
            tail = self.errors.read().strip().splitlines()[-8:]
            raise Failed("\n".join([f"{self.name}: ended with {code} during {doing}", *tail]))
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise Failed(f"{self.name}: {line.strip()!r} is no answer") from error

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, word):
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.read(word)

    def go(self):
        """One repetition. `others`: CPU seconds that other processes used meanwhile, a second."""
        machine, own = stat_seconds(), self.cpu_seconds()
        self.send("go")
        answer = self.read("a repetition")
        used = stat_seconds() - machine - (self.cpu_seconds() - own)
        answer["others"] = max(0.0, used) / max(answer["seconds"], 0.05)
        return answer

    def quit(self):
        """Ends the worker; what it says at the end."""
        self.send("quit")
        answer = self.read("its end")
        self.process.wait()
        return answer

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
