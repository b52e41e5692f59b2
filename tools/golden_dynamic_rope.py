#!/usr/bin/env python3
"""Goldens of decoding past the window with dynamic NTK: crates/sampling/tests/goldens/dynamic_rope.json.

Pinned: torch 2.15.0, transformers 5.23.0, CPU, float32.

Greedy `generate` with a cache, token by token, of the random model
crates/models/tests/goldens/families/llama-dynamic, from prompts shorter than its window, as long and
longer: keys that are in the cache keep the angles of the length at which they were written. A fresh
model for each prompt, because the class keeps the frequencies of the longest sequence it has seen. The
file says for how many tokens that differs from full passes, which see all keys at the last length.

Run from the repository's root: python tools/golden_dynamic_rope.py
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

MODEL = Path("crates/models/tests/goldens/families/llama-dynamic")
OUT = Path("crates/sampling/tests/goldens/dynamic_rope.json")
NEW = 24


def load():
    model = AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=torch.float32, attn_implementation="eager").eval()
    # The random model would often end at once.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def greedy(ids, cache):
    result = load().generate(
        torch.tensor([ids]), max_new_tokens=NEW, do_sample=False, use_cache=cache,
        output_logits=True, return_dict_in_generate=True)
    best = [logits[0].topk(2).values.tolist() for logits in result.logits]
    gaps = [first - second for first, second in best]
    return result.sequences[0, len(ids):].tolist(), min(gaps)


def main():
    config = json.loads((MODEL / "config.json").read_text())
    window, vocab = config["max_position_embeddings"], config["vocab_size"]
    generator = torch.Generator().manual_seed(3)
    cases = []
    for length in [3, window - 5, window, window + 7]:
        for _ in range(50):
            prompt = torch.randint(1, vocab, (length,), generator=generator).tolist()
            completion, gap = greedy(prompt, True)
            full, _ = greedy(prompt, False)
            if gap > 1e-4 and full != completion:
                break
        else:
            raise SystemExit(f"no prompt of {length} tokens tells the two apart")
        cases.append(dict(prompt=prompt, completion=completion, full_passes=full))
        print(length, completion, "full passes:", full)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(dict(versions=versions, window=window, cases=cases), indent=1) + "\n")


main()
