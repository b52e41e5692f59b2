"""Results as a table and as a document."""

COLUMNS = ["id", "unit", "ours", "peer", "ratio", "spread", "peer is", "others"]


def number(value):
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def cells(result):
    spread = result.get("spread")
    ratio = result.get("ratio")
    return [
        result["id"],
        result["unit"],
        number(result.get("ours")),
        number(result.get("peer")),
        "-" if ratio is None else f"{ratio:.2f}",
        "-" if not spread else f"{spread[0]:.2f}-{spread[1]:.2f}",
        result.get("peer_variant") or "-",
        f"{result['others']:.0%}" if result.get("others", 0) > 0.1 else "",
    ]


def table(results):
    rows = [COLUMNS, *map(cells, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    notes = [f"{r['id']}: {r['note']}" for r in results if r.get("note")]
    return "\n".join(line.rstrip() for line in [*lines, "", *notes]).strip()


def document(machine, results, quick):
    lines = ["# Results", ""]
    lines += ["Written by `bench/run --write`; what each id is stands in [README.md](README.md)."]
    lines += ["Ratios above 1 mean that we are ahead.", ""]
    if quick:
        lines += ["From a quick run: few repetitions.", ""]
    for key, value in machine.items():
        value = ", ".join(value) if isinstance(value, list) else value
        lines.append(f"- {key.replace('_', ' ')}: {value}")
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cells(result)) + " |" for result in results]
    notes = [f"- `{r['id']}`: {first_line(r['note'])}" for r in results if r.get("note")]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def first_line(text):
    return text.splitlines()[0]
