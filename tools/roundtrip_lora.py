"""Shows that PEFT adapters survive both ways bit by bit, and that merging agrees with PEFT.

    cargo build --release -p afterthought -p afterthought-adapters --example resave --bin afterthought
    python tools/roundtrip_lora.py target/release        (from the root of the checkout)

For every adapter under crates/adapters/tests/goldens: PEFT -> ours -> PEFT, then -> ours again, all
files compared tensor by tensor; logits of PEFT on our directory against PEFT on its own; and
`afterthought model merge` against merge_and_unload.

What PEFT saves may have another type than what it loaded: that of its model. So what it makes of our
file is compared with what it makes of its own, types included, and with our file by value.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import peft
import torch
import transformers
from peft import PeftModel
from safetensors import safe_open

GOLDENS = pathlib.Path("crates/adapters/tests/goldens")
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def tensors(path):
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def same(a, b, widen=False):
    """Names, shapes, types and bits; the bits in f32 if `widen`."""
    a, b = tensors(a), tensors(b)
    if widen:
        a, b = ({k: v.float() for k, v in side.items()} for side in (a, b))
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape
        and torch.equal(a[k].contiguous().view(torch.uint8), b[k].contiguous().view(torch.uint8))
        for k in a
    )


def base(name):
    return getattr(transformers, CLASSES[name]).from_pretrained(GOLDENS / name, dtype=torch.float32).eval()


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


def main():
    programs = pathlib.Path(sys.argv[1])
    goldens = json.loads((GOLDENS / "goldens.json").read_text())
    ids = torch.tensor(goldens["ids"])
    print(f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
    failed = False
    for name, entry in goldens["adapters"].items():
        model, adapter = GOLDENS / entry["base"], GOLDENS / name
        with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
            scratch = pathlib.Path(scratch)
            ours, theirs, again, merged = (scratch / n for n in ("ours", "theirs", "again", "merged"))
            run(programs / "examples/resave", model, adapter, ours)
            weights, config = "adapter_model.safetensors", "adapter_config.json"
            checks = {
                "PEFT -> ours: tensors": same(adapter / weights, ours / weights),
                "PEFT -> ours: config": json.loads((adapter / config).read_text())
                == json.loads((ours / config).read_text()),
            }
            expected = PeftModel.from_pretrained(base(entry["base"]), adapter).eval()
            on_ours = PeftModel.from_pretrained(base(entry["base"]), ours, autocast_adapter_dtype=False)
            on_ours.save_pretrained(theirs)
            own = scratch / "own"
            PeftModel.from_pretrained(
                base(entry["base"]), adapter, autocast_adapter_dtype=False).save_pretrained(own)
            run(programs / "examples/resave", model, theirs, again)
            checks["ours -> PEFT: as PEFT's own, types included"] = same(own / weights, theirs / weights)
            checks["ours -> PEFT: values, bit by bit"] = same(ours / weights, theirs / weights, True)
            checks["PEFT -> ours again: tensors"] = same(theirs / weights, again / weights)
            on_ours = PeftModel.from_pretrained(base(entry["base"]), ours).eval()
            checks["logits of PEFT on ours"] = torch.equal(on_ours(ids).logits, expected(ids).logits)
            run(programs / "afterthought", "model", "merge", "--quiet", "--model", model,
                "--adapter", adapter, "--out", merged)
            reference = expected.merge_and_unload()
            opened = getattr(transformers, CLASSES[entry["base"]]).from_pretrained(
                merged, dtype=torch.float32).eval()
            difference = (opened(ids).logits - reference(ids).logits).abs().max().item()
            checks[f"merged logits, largest difference {difference:.1e}"] = difference < 1e-5
            pairs = zip(opened.state_dict().values(), reference.state_dict().values(), strict=True)
            difference = max((a - b).abs().max().item() for a, b in pairs)
            checks[f"merged weights, largest difference {difference:.1e}"] = difference < 1e-6
        for check, holds in checks.items():
            print(f"{name:12} {check:50} {'equal' if holds else 'DIFFERENT'}")
            failed |= not holds
    sys.exit(failed)


if __name__ == "__main__":
    main()
