"""What is measured. Each case has workers, and one id for every peer it is compared with."""

import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peer", "worker.py")


def sources():
    """A stamp of everything that models and inputs are made from."""
    digest = hashlib.sha256()
    root = Path(PEER).resolve().parent.parent
    for name in ("src/shape.rs", "src/prepare.rs", "src/inputs.rs", "peer/make_qwen.py"):
        digest.update((root / name).read_bytes())
    digest.update((root.parent / "recipes/d1/laptop.toml").read_bytes())
    return digest.hexdigest()[:12]


@dataclass
class Side:
    name: str
    argv: list
    may_fail: bool = False


@dataclass
class Context:
    """Where the programs and models are, and how much is asked for."""

    binary: str
    python: str
    models: str
    threads: int
    quick: bool
    environment: dict

    @cached_property
    def commands(self):
        """Subcommands of our side."""
        text = subprocess.run([self.binary, "--help"], capture_output=True, text=True).stdout
        return {line.split()[0] for line in text.splitlines() if line.startswith("  ")}

    def directory(self, name):
        """Where a model is or will be."""
        return os.path.join(self.models, f"{name}-{sources()}")

    def model(self, name):
        """The directory of a model, made on first use."""
        path = self.directory(name)
        if not os.path.exists(os.path.join(path, ".complete")):
            if name == "0.5b":
                maker = [self.python, PEER.replace("worker.py", "make_qwen.py"), path]
            else:
                maker = [self.binary, "prepare", name, path]
            if os.path.exists(path):
                subprocess.run(["rm", "-r", path], check=True)
            subprocess.run(maker, check=True)
            open(os.path.join(path, ".complete"), "w").close()
        return path


@dataclass
class Case:
    name: str
    """Subcommand of both sides."""
    command: str
    model: str
    """id -> names of peers, the fastest of which counts. A peer's name is its precision, with
    `-compile` for torch.compile."""
    peers: dict
    """Precision of our side."""
    precision: str = "bf16"
    options: list = field(default_factory=list)
    unit: str = "s"
    """What `units` of the protocol are, a second."""
    rate: str = "tokens_per_second"
    """Of set-up answers that must agree, relative to the larger of them and 1."""
    tolerance: float = 0.0
    agree: tuple = ("loss", "log_probs", "parameters")
    """Counts of a repetition that must be equal."""
    same_work: tuple = ("units",)
    warm_ups: int = 2
    """Rounds at least, at most, and seconds in between; of a full and of a quick run."""
    effort: tuple = ((5, 15, 20.0), (3, 5, 5.0))
    memory: bool = False

    def sides(self, context):
        if self.command == "bandwidth":
            yield Side("ours", [context.binary, "bandwidth", "--threads", str(context.threads)])
            return
        model = context.model(self.model)
        threads = ["--threads", str(context.threads)]
        if self.command in context.commands:
            argv = [context.binary, self.command, model, *threads, "--precision", self.precision]
            yield Side("ours", argv + self.options)
        for name in dict.fromkeys(name for names in self.peers.values() for name in names):
            precision, _, compiled = name.partition("-")
            argv = [context.python, PEER, self.command, model, *threads]
            argv += ["--precision", precision, *self.options]
            yield Side(name, argv + ["--compile"] * bool(compiled), may_fail=bool(compiled))

    def remarks(self, rounds):
        """What else the last round says."""
        first = rounds[-1]
        if "completion" not in first.get("ours", {}):
            return []
        agreeing = [
            sum(a == b for a, b in zip(first["ours"]["completion"], answer["completion"]))
            / len(answer["completion"])
            for name, answer in first.items()
            if name != "ours"
        ]
        return [f"tokens of the first row equal on both sides: {share:.0%}" for share in agreeing]


# Log-probabilities of random models reach -12; bf16 rounds factors to 8 bits.
TOLERANCE = {"f32": 1e-4, "bf16": 1e-2}


def training(model, precision):
    name = f"train-{model}-{precision}"
    return Case(
        name,
        "train",
        model,
        {name: [precision], f"{name}-compile": [f"{precision}-compile"]},
        precision,
        tolerance=TOLERANCE[precision],
        # Batches of d1 differ in width: torch.compile meets each of the four before the clock runs.
        warm_ups=6 if model == "d1" else 2,
    )


def diffusion(name, model, rows, gen_length, block_length, steps):
    counts = {"rows": rows, "gen-length": gen_length, "block-length": block_length, "steps": steps}
    return Case(
        name,
        "diffusion",
        model,
        {name: ["f32", "bf16"]},
        options=[word for key, value in counts.items() for word in (f"--{key}", str(value))],
        tolerance=TOLERANCE["bf16"],
        same_work=("units", "forward_tokens"),
        warm_ups=2,
    )


def decoding(model, samples, precisions, effort):
    name = f"decode-{model}-n{samples}"
    options = ["--samples", samples, "--prompt-length", 128, "--gen-length", 64]
    return Case(
        name,
        "decode",
        model,
        {name: precisions},
        options=[str(word) for word in options],
        tolerance=TOLERANCE["bf16"],
        agree=("log_probs", "parameters"),
        warm_ups=2,
        effort=effort,
    )


def memory(case_id, command, model, precision, options=()):
    return Case(
        case_id, command, model, {case_id: [precision]}, precision, list(options), memory=True
    )


SHORT = ((3, 9, 15.0), (2, 3, 4.0))
LONG = ((2, 5, 20.0), (1, 1, 0.0))

CASES = [
    *(training(model, p) for model in ("d1", "5m", "60m") for p in ("f32", "bf16")),
    Case(
        "diffu-grpo-step",
        "grpo",
        "d1",
        {"diffu-grpo-step": ["f32", "bf16"]},
        rate="completions_per_second",
        tolerance=TOLERANCE["bf16"],
        same_work=("units", "forward_tokens", "updates"),
        warm_ups=2,
    ),
    diffusion("diffusion-exact-d1", "d1", 96, 40, 4, 20),
    diffusion("diffusion-exact-5m", "5m-diffusion", 16, 128, 32, 64),
    Case(
        "memory-bandwidth",
        "bandwidth",
        "",
        {"memory-bandwidth": []},
        rate="bytes_per_second",
        same_work=(),
        effort=((9, 9, 0.0), (5, 5, 0.0)),
    ),
    *(decoding("5m", n, ["f32", "bf16"], SHORT) for n in (1, 8, 64)),
    *(decoding("0.5b", n, ["bf16"], LONG) for n in (1, 8, 64)),
    Case(
        "load-0.5b",
        "load",
        "0.5b",
        {"load-0.5b": ["bf16"]},
        rate="loads_per_second",
        agree=(),
        warm_ups=1,
        effort=((5, 9, 30.0), (3, 3, 0.0)),
    ),
    *(
        memory(f"memory-train-{model}-{p}", "train", model, p)
        for model in ("5m", "60m")
        for p in ("f32", "bf16")
    ),
    memory(
        "memory-decode-0.5b-n8",
        "decode",
        "0.5b",
        "bf16",
        ["--samples", "8", "--prompt-length", "128", "--gen-length", "64"],
    ),
]
