"""One case of the peer as a worker process: `worker.py CASE MODEL [options]`."""

import argparse
import importlib

from protocol import status_bytes

CASES = ["train", "grpo", "diffusion", "decode", "load"]

parser = argparse.ArgumentParser()
parser.add_argument("case", choices=CASES)
parser.add_argument("model")
parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--compile", action="store_true")
for name in ["rows", "gen-length", "block-length", "steps", "samples", "prompt-length"]:
    parser.add_argument("--" + name, type=int)
args = parser.parse_args()

import torch  # noqa: E402

torch.set_num_threads(args.threads)
if args.case == "decode":
    import transformers  # noqa: E402, F401

# The interpreter and its libraries before any model is loaded.
ready = {"baseline_rss_bytes": status_bytes("VmRSS"), "threads": torch.get_num_threads()}
importlib.import_module(args.case).run(args, ready)
