"""Writes a directory of Qwen2.5-0.5B's shape with random bf16 weights: `make_qwen.py DIRECTORY`."""

import json
import math
import os
import sys

import torch
from safetensors.torch import save_file

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
    "attention_bias": True,
    "initializer_range": 0.02,
    "is_causal": True,
    "mask_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "torch_dtype": "bfloat16",
}
PROMPT = 128


def shapes():
    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    kv = CONFIG["num_key_value_heads"] * CONFIG["head_dim"]
    yield "model.embed_tokens.weight", [CONFIG["vocab_size"], hidden]
    for layer in range(CONFIG["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", [hidden]
        yield at + "post_attention_layernorm.weight", [hidden]
        for name, width in (("q", hidden), ("k", kv), ("v", kv)):
            yield f"{at}self_attn.{name}_proj.weight", [width, hidden]
            yield f"{at}self_attn.{name}_proj.bias", [width]
        yield at + "self_attn.o_proj.weight", [hidden, hidden]
        yield at + "mlp.gate_proj.weight", [inner, hidden]
        yield at + "mlp.up_proj.weight", [inner, hidden]
        yield at + "mlp.down_proj.weight", [hidden, inner]
    yield "model.norm.weight", [hidden]


def main(directory):
    torch.manual_seed(0)
    tensors = {}
    for name, shape in shapes():
        if name.endswith("norm.weight"):
            tensors[name] = torch.ones(shape, dtype=torch.bfloat16)
        else:
            tensors[name] = (torch.randn(shape) / math.sqrt(shape[-1])).bfloat16()
    os.makedirs(directory)
    save_file(tensors, os.path.join(directory, "model.safetensors"), metadata={"format": "pt"})
    prompt = torch.randint(1000, CONFIG["vocab_size"] - 1000, (PROMPT,)).tolist()
    for name, content in (("config", CONFIG), ("inputs", {"prompts": [prompt]})):
        with open(os.path.join(directory, name + ".json"), "w") as file:
            json.dump(content, file, indent=1)


main(sys.argv[1])
