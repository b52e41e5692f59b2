"""Parallel and cached diffusion decoding against our exact mode, with accuracy, on the models of a
`reproduce d1` run: no peer, both sides are `afterthought eval`."""

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from worker import Failed, stat_seconds

# LLaDA's default of one token a step, the baseline of Fast-dLLM.
EXACT = "--block-length 4 --steps 40"

# Settings by task, chosen on validation problems.
FAST = {
    "sudoku": {
        "threshold": "--block-length 20 --threshold 0.9",
        "prefix-threshold": "--block-length 8 --threshold 0.9 --cache prefix --cache-refresh 2",
        "dual-threshold": "--block-length 40 --threshold 0.9 --cache dual",
    },
    "countdown": {
        "threshold": "--block-length 4 --threshold 0.8",
        "prefix-threshold": "--block-length 4 --threshold 0.8 --cache prefix --cache-refresh 4",
        "dual-threshold": "--block-length 4 --threshold 0.8 --cache dual --cache-refresh 4 "
        "--cache-ahead 4",
    },
}

# The policy that this recipe trains from the run's base, decoded as its rollouts were.
LEARNT = "diffusion-learnt-cache-countdown"
RECIPE = Path(__file__).parents[2] / "recipes" / "d1" / "cached.toml"
AS_LEARNT = ["block_length", "threshold", "cache", "cache_refresh", "cache_ahead"]

# Test problems.
PROBLEMS = {"sudoku": 1000, "countdown": 2000}


def identities():
    named = [f"diffusion-{mode}-{task}" for task, modes in FAST.items() for mode in modes]
    return [*named, LEARNT]


def evaluate(binary, model, task, options, threads):
    """One evaluation: what it prints, and how much CPU others used meanwhile."""
    argv = [binary, "eval", "--model", model, "--task", task, "--split", "test"]
    argv += ["--limit", str(PROBLEMS[task]), "--gen-length", "40", *options.split()]
    argv += ["--json", "--quiet"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    before, children = stat_seconds(), os.times()
    answer = subprocess.run(argv, capture_output=True, text=True, env=environment)
    if answer.returncode:
        raise Failed(f"{' '.join(argv)}: {answer.stderr.strip()}")
    after = os.times()
    own = after.children_user + after.children_system
    own -= children.children_user + children.children_system
    document = json.loads(answer.stdout)
    seconds = max(document["seconds"], 1e-9)
    others = max(0.0, stat_seconds() - before - own) / max(after.elapsed - children.elapsed, 1e-9)
    return document["profiles"]["strict"]["accuracy"], seconds, others


def percent(accuracy):
    estimate, low, high = (100 * accuracy[key] for key in ("estimate", "low", "high"))
    return f"{estimate:.1f} % [{low:.1f}, {high:.1f}]"


def measure(binary, run, threads, quick, say, wanted):
    """A result for each wanted identity; `peer` is our exact mode."""
    rounds, results = 3 if quick else 7, []
    for task, modes in FAST.items():
        modes = {f"diffusion-{name}-{task}": options for name, options in modes.items()}
        modes = {name: options for name, options in modes.items() if name in wanted}
        if modes:
            model = os.path.join(run, "models", f"diffu-grpo-{task}")
            results += compare(binary, model, task, modes, threads, rounds, say)
    if LEARNT in wanted:
        with tempfile.TemporaryDirectory() as folder:
            out, base = os.path.join(folder, "run"), os.path.join(run, "models", "base")
            say(f"{LEARNT}: training by {RECIPE.name}")
            argv = [binary, "train", str(RECIPE), "--quiet", "--out", out]
            argv += ["--set", f"model.path={os.path.abspath(base)}"]
            answer = subprocess.run(argv, capture_output=True, text=True)
            if answer.returncode:
                raise Failed(f"{' '.join(argv)}: {answer.stderr.strip()}")
            sampling = json.loads(Path(out, "run.json").read_text())["recipe"]["sampling"]
            options = " ".join(f"--{key.replace('_', '-')} {sampling[key]}" for key in AS_LEARNT)
            model = os.path.join(out, "final")
            found = compare(binary, model, "countdown", {LEARNT: options}, threads, rounds, say)
        other = os.path.join(run, "models", "diffu-grpo-countdown")
        accuracy, _, _ = evaluate(binary, other, "countdown", EXACT, threads)
        found[0]["note"] += f"; the run's own policy, exact: {percent(accuracy)}"
        results += found
    return results


def compare(binary, model, task, modes, threads, rounds, say):
    """Modes of decoding against the exact one, in alternating order."""
    settings = {"exact": EXACT, **modes}
    seconds = {name: [] for name in settings}
    accuracies, shares, results = {}, [], []
    for index in range(rounds + 1):
        say(f"diffusion-{task}: round {index} of {rounds}" + " (warm-up)" * (index == 0))
        for name, options in list(settings.items())[:: -1 if index % 2 else 1]:
            accuracy, elapsed, others = evaluate(binary, model, task, options, threads)
            accuracies[name] = accuracy
            if index:
                seconds[name].append(elapsed)
                shares.append(others)
    for name, options in modes.items():
        ratios = [exact / fast for exact, fast in zip(seconds["exact"], seconds[name])]
        ours, exact = statistics.median(seconds[name]), statistics.median(seconds["exact"])
        gained = accuracies[name]["estimate"] - accuracies["exact"]["estimate"]
        results.append(
            {
                "id": name,
                "unit": "s",
                "ours": ours,
                "peer": exact,
                "ratio": exact / ours,
                "spread": [min(ratios), max(ratios)],
                "peer_variant": "our exact mode",
                "others": statistics.median(shares),
                "accuracy": accuracies[name],
                "exact_accuracy": accuracies["exact"],
                "note": f"{options}: {percent(accuracies[name])} against "
                f"{percent(accuracies['exact'])}, {100 * gained:+.1f} points, "
                f"{PROBLEMS[task]} test problems",
            }
        )
    return results
