#!/usr/bin/env python3
"""transformers -> ours -> transformers -> ours, bit for bit.

For each small random T5: `save_pretrained` (A), read and written by us (B), loaded from B and
`save_pretrained` (C), read and written by us (D). Tensors of A, B, C and D have the same names and
bits, and the model loaded from B gives the logits of the first one, to the last bit. (In f16
`transformers` widens the `wo` matrices to f32 when it loads them, so C is compared in the type of A.)

Pinned: torch 2.15.0, transformers 5.23.0, safetensors 0.8.0, CPU.

Run from the repository's root, after `cargo build --release --example resave_t5 -p afterthought-models`:
    python tools/roundtrip_t5.py TARGET_DIR/release/examples/resave_t5
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import T5Config, T5ForConditionalGeneration

COMMON = dict(
    vocab_size=97,
    d_model=24,
    d_kv=10,
    d_ff=40,
    num_layers=2,
    num_decoder_layers=3,
    num_heads=3,
    decoder_start_token_id=0,
)
CASES = {
    "T5, f32": (dict(feed_forward_proj="relu", tie_word_embeddings=True), torch.float32),
    "v1.1, f32": (dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False), torch.float32),
    "v1.1, bf16": (dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False), torch.bfloat16),
    "T5, f16": (dict(feed_forward_proj="relu", tie_word_embeddings=True), torch.float16),
}


def tensors(directory, dtype=None):
    """Name, shape, type and bytes of every tensor, of all in `dtype` if it is given."""
    found = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                tensor = file.get_tensor(name)
                tensor = tensor if dtype is None else tensor.to(dtype)
                bits = tensor.contiguous().view(torch.uint8).numpy().tobytes()
                found[name] = (tuple(tensor.shape), str(tensor.dtype), bits)
    return found


def logits(model):
    ids = torch.arange(60).reshape(2, 30) % 97
    targets = (torch.arange(40).reshape(2, 20) * 7) % 97
    with torch.no_grad():
        return model.float()(input_ids=ids, decoder_input_ids=targets).logits


def main(resave):
    for name, (settings, dtype) in CASES.items():
        torch.manual_seed(1)
        model = T5ForConditionalGeneration(T5Config(**(COMMON | settings))).eval()
        if not settings["tie_word_embeddings"]:
            # This version of the class ties every new model.
            head = torch.randn(97, 24)
            model.lm_head.weight = torch.nn.Parameter(head)
            model.config.tie_word_embeddings = False
            model.tie_weights = lambda *args, **kwargs: None
        model = model.to(dtype)
        with tempfile.TemporaryDirectory() as folder:
            a, b, c, d = (Path(folder) / part for part in "abcd")
            model.save_pretrained(a)
            subprocess.run([resave, a, b], check=True)
            loaded = T5ForConditionalGeneration.from_pretrained(b, dtype=dtype).eval()
            loaded.save_pretrained(c)
            subprocess.run([resave, c, d], check=True)
            all_tensors = [tensors(a), tensors(b), tensors(c, dtype), tensors(d)]
            same = [other == all_tensors[0] for other in all_tensors]
            equal = torch.equal(logits(model), logits(loaded))
            config = loaded.config
            print(
                f"{name}: {len(all_tensors[0])} tensors; A=B {same[1]}, A=C {same[2]}, A=D {same[3]};"
                f" logits equal {equal}; scale_decoder_outputs {config.scale_decoder_outputs}"
            )
            assert all(same) and equal


main(sys.argv[1])
