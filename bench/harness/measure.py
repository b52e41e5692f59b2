"""Alternating repetitions of two or more workers, and what is reported of them."""

import statistics
import time

from worker import Failed, Worker


def quantile(values, share):
    """Linear interpolation between order statistics."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def disagreement(case, ours, peer):
    """Why the two sides do not compute the same, or None."""
    for key in case.agree:
        a, b = ours.ready[key], peer.ready[key]
        pairs = list(zip(a, b, strict=True)) if isinstance(a, list) else [(a, b)]
        for index, (x, y) in enumerate(pairs):
            if abs(x - y) > case.tolerance * max(1.0, abs(x), abs(y)):
                return f"{key}[{index}] is {x} on our side and {y} on the peer's ({peer.name})"
    return None


def run_case(case, context, say):
    """The results of one case, one for each of its ids."""
    workers, notes = {}, {}
    try:
        for side in case.sides(context):
            say(f"{case.name}: {side.name} sets up")
            try:
                workers[side.name] = Worker(
                    side.name, side.argv, context.threads, context.environment
                )
            except Failed as error:
                if not side.may_fail:
                    raise
                notes[side.name] = str(error)
        ours = workers.get("ours")
        if ours:
            for name, worker in workers.items():
                problem = name != "ours" and disagreement(case, ours, worker)
                if problem:
                    raise Failed(f"the sides compute different things: {problem}")
        for name in list(workers):
            try:
                for _ in range(case.warm_ups):
                    say(f"{case.name}: {name} warms up")
                    last = workers[name].go()
            except Failed as error:
                if name == "ours" or not name.endswith("compile"):
                    raise
                notes[name] = str(error)
                workers.pop(name).kill()
                continue
            workers[name].warm = last
        for key in case.same_work if ours else ():
            for name, worker in workers.items():
                if worker.warm[key] != ours.warm[key]:
                    raise Failed(f"{key} is {ours.warm[key]} on our side, {worker.warm[key]} on {name}")
        drop_slower(case, workers, notes)
        rounds = alternate(case, workers, context, say)
        return results(case, workers, rounds, notes)
    finally:
        for worker in workers.values():
            worker.kill()


def drop_slower(case, workers, notes):
    """Where only the faster of several peers counts, the others stop after the warm-up."""
    for candidates in case.peers.values():
        timed = {name: workers[name].warm["seconds"] for name in candidates if name in workers}
        for name in sorted(timed, key=timed.get)[1:]:
            notes[name] = f"slower in the warm-up: {timed[name]:.3g} s"
            workers.pop(name).kill()


def alternate(case, workers, context, say):
    """Rounds of one repetition a worker, in ABBA order."""
    least, most, budget = case.effort[context.quick]
    rounds, begun = [], time.monotonic()
    while len(rounds) < most and (
        len(rounds) < least or time.monotonic() - begun < budget
    ):
        names = list(workers)[:: -1 if len(rounds) % 2 else 1]
        say(f"{case.name}: round {len(rounds) + 1}")
        rounds.append({name: workers[name].go() for name in names})
    return rounds


def results(case, workers, rounds, notes):
    found = []
    for identity, candidates in case.peers.items():
        peer = next((name for name in candidates if name in workers), None)
        result = {"id": identity, "unit": case.unit, "ours": None, "peer": None, "ratio": None}
        result |= {"spread": None, "repetitions": len(rounds), "peer_variant": peer}
        own = [r["ours"]["seconds"] for r in rounds] if "ours" in workers else None
        theirs = [r[peer]["seconds"] for r in rounds] if peer else None
        if own:
            result["ours"] = statistics.median(own)
        if theirs:
            result["peer"] = statistics.median(theirs)
        if own and theirs:
            ratios = [b / a for a, b in zip(own, theirs)]
            result["ratio"] = result["peer"] / result["ours"]
            result["spread"] = [quantile(ratios, 0.25), quantile(ratios, 0.75)]
        for label, name in (("ours", "ours"), ("peer", peer)):
            if name in workers:
                middle = statistics.median(r[name]["units"] / r[name]["seconds"] for r in rounds)
                result[f"{label}_{case.rate}"] = middle
        result["others"] = statistics.median(a["others"] for r in rounds for a in r.values())
        if case.command == "bandwidth":
            result["note"] = f"{result['ours_bytes_per_second'] / 1e9:.1f} GB/s read"
            found.append(result)
            continue
        texts = [f"{name}: {notes[name]}" for name in [*candidates, "ours"] if name in notes]
        if not own:
            texts.append("our side does not do this yet")
        texts += case.remarks(rounds)
        if texts:
            result["note"] = "; ".join(texts)
        found.append(result)
    return found


def run_memory(case, context, say):
    """Peak resident memory of fresh processes, one after the other."""
    peaks, baseline = {}, None
    for side in case.sides(context):
        say(f"{case.name}: {side.name}")
        worker = Worker(side.name, side.argv, context.threads, context.environment)
        try:
            for _ in range(3):
                worker.go()
            peaks[side.name] = worker.quit()["peak_rss_bytes"] / 2**20
            baseline = worker.ready.get("baseline_rss_bytes", baseline)
        finally:
            worker.kill()
    (identity, candidates), = case.peers.items()
    ours, peer = peaks.get("ours"), peaks[candidates[0]]
    result = {"id": identity, "unit": "MiB", "ours": ours, "peer": peer}
    result |= {"ratio": ours and peer / ours, "spread": None, "peer_variant": candidates[0]}
    result["peer_baseline"] = baseline / 2**20
    if ours is None:
        result["note"] = "our side does not do this yet"
    return [result]
