"""Parallel and cached diffusion decoding against our exact mode, with accuracy, on the models of a
`reproduce d1` run: no peer, both sides are `afterthought eval`."""

import json
import os
import statistics
import subprocess

from worker import Failed, stat_seconds

# LLaDA's default of one token a step, the baseline of Fast-dLLM.
EXACT = ["--block-length", "4", "--steps", "40"]

# Settings by task, chosen on validation problems.
FAST = {
    "sudoku": {
        "threshold": ["--block-length", "20", "--threshold", "0.9"],
        "prefix-threshold": ["--block-length", "40", "--threshold", "0.9", "--cache", "prefix"],
        "dual-threshold": ["--block-length", "40", "--threshold", "0.9", "--cache", "dual"],
    },
    "countdown": {
        "threshold": ["--block-length", "4", "--threshold", "0.7"],
        "prefix-threshold": ["--block-length", "4", "--threshold", "0.7", "--cache", "prefix"]
        + ["--cache-refresh", "10"],
        "dual-threshold": ["--block-length", "4", "--threshold", "0.9", "--cache", "dual"]
        + ["--cache-refresh", "3"],
    },
}


def identities():
    return [f"diffusion-{mode}-{task}" for task, modes in FAST.items() for mode in modes]


def evaluate(binary, run, task, options, split, limit, threads):
    """One evaluation: what it prints, and how much CPU others used meanwhile."""
    argv = [binary, "eval", "--model", os.path.join(run, "models", f"diffu-grpo-{task}")]
    argv += ["--task", task, "--split", split, "--limit", str(limit), "--gen-length", "40"]
    argv += [*options, "--json", "--quiet"]
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


def measure(binary, run, threads, quick, say, wanted, split="test", limit=512):
    """A result for each wanted identity; `peer` is our exact mode."""
    rounds, results = 3 if quick else 7, []
    for task, modes in FAST.items():
        modes = {name: o for name, o in modes.items() if f"diffusion-{name}-{task}" in wanted}
        if not modes:
            continue
        settings = {"exact": EXACT, **modes}
        seconds = {name: [] for name in settings}
        accuracies, shares = {}, []
        for index in range(rounds + 1):
            say(f"diffusion-{task}: round {index} of {rounds}" + " (warm-up)" * (index == 0))
            for name, options in list(settings.items())[:: -1 if index % 2 else 1]:
                accuracy, elapsed, others = evaluate(
                    binary, run, task, options, split, limit, threads
                )
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
                    "id": f"diffusion-{name}-{task}",
                    "unit": "s",
                    "ours": ours,
                    "peer": exact,
                    "ratio": exact / ours,
                    "spread": [min(ratios), max(ratios)],
                    "peer_variant": "our exact mode",
                    "others": statistics.median(shares),
                    "accuracy": accuracies[name],
                    "exact_accuracy": accuracies["exact"],
                    "note": f"{' '.join(options)}: {percent(accuracies[name])} against "
                    f"{percent(accuracies['exact'])}, {100 * gained:+.1f} points, "
                    f"{limit} {split} problems",
                }
            )
    return results
