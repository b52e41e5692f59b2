#!/usr/bin/env python3
"""Checks the TensorBoard events of runs with TensorBoard's own reader, or prints goldens.

    tensorboard_check.py RUN_DIR...   every scalar of tensorboard/ equals metrics.jsonl, and the other way round
    tensorboard_check.py --golden     the bytes that crates/runs/src/log/tensorboard must write

Needs `pip install tensorboard` (written against 2.21.0).
"""

import json
import math
import pathlib
import struct
import sys

from tensorboard.backend.event_processing import event_accumulator, event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.util import tensor_util


def logged(run: pathlib.Path) -> dict[str, dict[int, float]]:
    """Metrics by name and step; null reads as NaN."""
    metrics: dict[str, dict[int, float]] = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for name, value in record.items():
            if name not in ("step", "time"):
                metrics.setdefault(name, {})[record["step"]] = math.nan if value is None else value
    return metrics


def check(run: pathlib.Path) -> int:
    """The number of differences, each printed."""
    accumulator = event_accumulator.EventAccumulator(
        str(run / "tensorboard"),
        size_guidance={event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0},
    )
    accumulator.Reload()
    tags = accumulator.Tags()
    scalars = {tag: {e.step: e.value for e in accumulator.Scalars(tag)} for tag in tags["scalars"]}
    # Scalars written as tensors, the form that newer readers turn them into.
    texts = {}
    for tag in tags["tensors"]:
        events = accumulator.Tensors(tag)
        plugin = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
        values = {e.step: tensor_util.make_ndarray(e.tensor_proto) for e in events}
        if plugin == "scalars":
            scalars[tag] = {step: float(value) for step, value in values.items()}
        else:
            texts[tag] = [value.item().decode() for value in values.values()]
    metrics = logged(run)
    problems = [f"only in metrics.jsonl: {name}" for name in metrics.keys() - scalars.keys()]
    problems += [f"only in TensorBoard: {name}" for name in scalars.keys() - metrics.keys()]
    points = 0
    for name in sorted(metrics.keys() & scalars.keys()):
        if metrics[name].keys() != scalars[name].keys():
            problems.append(f"{name}: steps {sorted(metrics[name])} and {sorted(scalars[name])}")
            continue
        for step, expected in metrics[name].items():
            # TensorBoard keeps single precision; a null may have been any of the three.
            actual, (single,) = scalars[name][step], struct.unpack("f", struct.pack("f", expected))
            same = not math.isfinite(actual) if math.isnan(expected) else actual == single
            points += 1
            if not same:
                problems.append(f"{name} at step {step}: {expected} and {actual}")
    for problem in problems:
        print(f"{run}: {problem}")
    shown = ", ".join(f"{tag} ({len(text[-1])} characters)" for tag, text in texts.items()) or "none"
    files = len(list((run / "tensorboard").iterdir()))
    print(f"{run}: {files} file(s), {len(scalars)} scalars, {points} points, texts: {shown}; "
          f"{len(problems)} difference(s)")
    return len(problems)


def golden() -> None:
    """Messages and a record as TensorBoard's own classes encode them."""
    from tensorboard.summary.writer import record_writer
    import io

    sink = io.BytesIO()
    record_writer.RecordWriter(sink).write(b"abc")
    print("record", sink.getvalue().hex())
    values = [summary_pb2.Summary.Value(tag="reward", simple_value=0.5),
              summary_pb2.Summary.Value(tag="completions/mean_length", simple_value=-300.0)]
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=[b"# a"])
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
    text = summary_pb2.Summary.Value(tag="recipe", tensor=tensor,
                                     metadata=summary_pb2.SummaryMetadata(plugin_data=plugin))
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    for name, event in {
        "file_version": event_pb2.Event(wall_time=1.5, file_version="brain.Event:2"),
        "start": event_pb2.Event(wall_time=1.5, step=301, session_log=start),
        "scalars": event_pb2.Event(wall_time=1.5, step=300, summary=summary_pb2.Summary(value=values)),
        "text": event_pb2.Event(wall_time=1.5, summary=summary_pb2.Summary(value=[text])),
    }.items():
        print(name, event.SerializeToString(deterministic=True).hex())


if __name__ == "__main__":
    if sys.argv[1:] == ["--golden"]:
        golden()
    elif sys.argv[1:] and not sys.argv[1].startswith("-"):
        sys.exit(min(1, sum(check(pathlib.Path(run)) for run in sys.argv[1:])))
    else:
        sys.exit(__doc__)
