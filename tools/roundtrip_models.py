"""Ours -> transformers -> ours, bit for bit.

    python tools/roundtrip_models.py target/release/afterthought [DIR ...]

For each model directory (by default the goldens, and models that `afterthought model new` makes):

1. `model export` writes it in several files with an index.
2. transformers opens the export, and its logits are those of `model logits`.
3. transformers saves it again, and `model export` of that is, tensor by tensor, what 1 wrote.

Directories whose class transformers lacks (LLaDA, Dream, A2D) take a detour: step 2 is left out,
and step 3 goes through the safetensors library alone.
Made for torch 2.15.0, transformers 5.23.0, safetensors 0.8.0.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch
import transformers
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parent.parent
GOLDENS = ROOT / "crates/models/tests/goldens/families"
IDS = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [8], [9, 7, 9, 3, 2, 3]]


def tensors(directory):
    found = {}
    for file in sorted(Path(directory).glob("*.safetensors")):
        if file.name != "golden.safetensors":
            found |= safetensors.torch.load_file(file)
    return found


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


def same(a, b):
    """Names, types, shapes and every bit."""
    assert a.keys() == b.keys(), sorted(a.keys() ^ b.keys())
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert torch.equal(bits(a[name]), bits(b[name])), name
    return len(a)


def round_trip(binary, directory, scratch):
    run = lambda *arguments: subprocess.run(
        [binary, "--precision", "f32", *map(str, arguments)], check=True, capture_output=True
    )
    config = json.loads((directory / "config.json").read_text())
    first, second, third = (scratch / name for name in ("first", "second", "third"))
    run("model", "export", "--model", directory, "--out", first, "--shard-size", "4KB")
    files = len(list(first.glob("model-*.safetensors")))
    stored = tensors(directory)
    same(stored, tensors(first))
    known = config["model_type"] in ("llama", "mistral", "qwen2", "qwen3")
    causal = config.get("is_causal", True)
    worst = None
    if known:
        model = AutoModelForCausalLM.from_pretrained(first, attn_implementation="eager")
        if causal:
            (scratch / "ids.json").write_text(json.dumps(IDS))
            run("model", "logits", "--model", first, "--ids", scratch / "ids.json",
                "--out", scratch / "logits.safetensors")
            ours = safetensors.torch.load_file(scratch / "logits.safetensors")["logits"]
            exact = AutoModelForCausalLM.from_pretrained(
                first, dtype=torch.float32, attn_implementation="eager").eval()
            worst = 0.0
            for row, ids in zip(ours, IDS):
                with torch.no_grad():
                    theirs = exact(torch.tensor([ids])).logits[0]
                worst = max(worst, (row[: len(ids)] - theirs).abs().max().item())
                assert not row[len(ids):].any(), "padding is not zero"
            assert worst < 1e-4, worst
        model.save_pretrained(second)
    else:
        second.mkdir()
        (second / "config.json").write_text((first / "config.json").read_text())
        safetensors.torch.save_file(tensors(first), second / "model.safetensors")
    run("model", "export", "--model", second, "--out", third)
    before, after = tensors(first), tensors(third)
    if config.get("tie_word_embeddings"):
        # transformers leaves a tied head out.
        before.pop("lm_head.weight", None)
    if not any(name.startswith("model.") for name in before):
        before = {name if name == "lm_head.weight" else f"model.{name}": t
                  for name, t in before.items()} if known else before
    count = same(before, after)
    print(f"{directory.name:24} {config['model_type']:10} {files} files, {count} tensors equal, "
          + ("logits within {:.1e}".format(worst) if worst is not None else "no logits compared"))


def main():
    binary = sys.argv[1]
    directories = [Path(argument) for argument in sys.argv[2:]]
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if not directories:
            directories = sorted(GOLDENS.iterdir())
            for name, flags in {"new-causal": ["--causal"], "new-qwen3": ["--qk-norm", "--causal"],
                                "new-qwen2": ["--qkv-bias", "--tie-head", "--causal"],
                                "new-diffusion": ["--qk-norm"]}.items():
                subprocess.run([binary, "model", "new", "--out", folder / name, "--alphabet",
                                "abcdefghijklm", *flags], check=True, capture_output=True)
                directories.append(folder / name)
        for index, directory in enumerate(directories):
            scratch = folder / f"scratch-{index}"
            scratch.mkdir()
            round_trip(binary, directory, scratch)
    print(f"{len(directories)} round trips, bit for bit")


if __name__ == "__main__":
    main()
