#!/usr/bin/env python3
"""Goldens for the encoder-decoder: crates/models/tests/goldens/t5/.

Pinned: torch 2.15.0, transformers 5.23.0, safetensors 0.8.0, CPU, float32.

- buckets.json: relative position buckets for offsets -600..600.
- <case>/config.json, model.safetensors: a small random T5 as `save_pretrained` writes it.
- <case>/logits.safetensors: ids and lengths of sources and targets, and the logits of the targets'
  real positions.

Run from the repository's root: python tools/golden_t5.py
"""

import json
import math
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

OUT = Path("crates/models/tests/goldens/t5")
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__}

# Widths that differ from each other, heads * d_kv != d_model, an odd number of heads, stacks of
# different depth.
COMMON = dict(
    vocab_size=43,
    d_model=16,
    d_kv=6,
    d_ff=20,
    num_layers=2,
    num_decoder_layers=3,
    num_heads=3,
    decoder_start_token_id=0,
)
CASES = {
    "relu_tied": dict(feed_forward_proj="relu", tie_word_embeddings=True),
    "gated_untied": dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_heads=5),
    "buckets": dict(
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        relative_attention_num_buckets=12,
        relative_attention_max_distance=40,
    ),
}
# Longer than 128, where the last bucket begins.
SOURCES = [150, 3, 64]
TARGETS = [7, 160, 1]


def buckets():
    cases = []
    for num_buckets, max_distance in [(32, 128), (32, 256), (12, 40), (5, 17), (64, 500)]:
        for bidirectional in [True, False]:
            offsets = torch.arange(-600, 601)
            values = T5Attention._relative_position_bucket(
                offsets, bidirectional, num_buckets, max_distance
            )
            cases.append(
                dict(
                    num_buckets=num_buckets,
                    max_distance=max_distance,
                    bidirectional=bidirectional,
                    first_offset=-600,
                    buckets=values.tolist(),
                )
            )
    text = json.dumps({"versions": VERSIONS, "cases": cases}, separators=(",", ":"))
    (OUT / "buckets.json").write_text(text + "\n")


def randomise(model, generator):
    """No weight has a special value, and logits are of moderate size."""
    seen = set()
    for name, parameter in model.named_parameters():
        if parameter.data_ptr() in seen:
            continue
        seen.add(parameter.data_ptr())
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            parameter.data = 1.0 + 0.3 * noise
        elif "relative_attention_bias" in name:
            parameter.data = noise
        elif "shared" in name:
            parameter.data = 2.0 * noise
        else:
            parameter.data = noise / math.sqrt(parameter.shape[1])


def padded(lengths, generator, vocab_size):
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(1, vocab_size, (length,), generator=generator)
    return ids, torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


def case(name, settings, seed):
    generator = torch.Generator().manual_seed(seed)
    model = T5ForConditionalGeneration(T5Config(**(COMMON | settings))).eval()
    untied = not settings["tie_word_embeddings"]
    if untied:
        # This version of the class ties every new model.
        model.lm_head.weight = torch.nn.Parameter(model.shared.weight.detach().clone())
        model.config.tie_word_embeddings = False
    randomise(model, generator)
    model.tie_weights = lambda *args, **kwargs: None
    folder = OUT / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    ids, source_mask = padded(SOURCES, generator, COMMON["vocab_size"])
    targets, target_mask = padded(TARGETS, generator, COMMON["vocab_size"])
    targets[:, 0] = 0
    with torch.no_grad():
        logits = model(
            input_ids=ids,
            attention_mask=source_mask.long(),
            decoder_input_ids=targets,
            decoder_attention_mask=target_mask.long(),
            use_cache=False,
        ).logits
    tensors = {
        "source_ids": ids.int(),
        "source_lengths": torch.tensor(SOURCES).int(),
        "target_ids": targets.int(),
        "target_lengths": torch.tensor(TARGETS).int(),
        "logits": logits[target_mask].contiguous(),
    }
    save_file(tensors, folder / "logits.safetensors", metadata=VERSIONS)
    print(name, "largest logit", logits[target_mask].abs().max().item())


OUT.mkdir(parents=True, exist_ok=True)
buckets()
for seed, (name, settings) in enumerate(CASES.items()):
    case(name, settings, seed)
