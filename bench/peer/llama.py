"""The peer's decoder: Llama and Qwen shapes in plain PyTorch, causal or bidirectional.

Written as one would write it for speed on a CPU without kernels of one's own: one matrix for query,
key and value and one for gate and up, fused RMSNorm, scaled_dot_product_attention, and the output
head only where something is predicted.
"""

import json
import os
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


@dataclass
class Config:
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    max_position_embeddings: int
    is_causal: bool
    mask_token_id: int | None
    model_type: str

    @classmethod
    def read(cls, directory):
        with open(os.path.join(directory, "config.json")) as file:
            values = json.load(file)
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        # Under autocast a projection's output is bf16; the fused kernel wants one type.
        return F.rms_norm(x.to(self.weight.dtype), self.weight.shape, self.weight, self.eps)


def rotate(x, cos, sin):
    """Half-split rotary embedding of `[batch, heads, length, head_dim]`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        hidden, inner = config.hidden_size, config.intermediate_size
        self.widths = [
            heads * config.head_dim
            for heads in (config.num_attention_heads, *2 * [config.num_key_value_heads])
        ]
        self.attention_norm = Norm(hidden, config.rms_norm_eps)
        self.qkv = nn.Linear(hidden, sum(self.widths), bias=False)
        self.o = nn.Linear(self.widths[0], hidden, bias=False)
        self.has_qk_norm = config.model_type == "qwen3"
        if self.has_qk_norm:
            self.q_norm = Norm(config.head_dim, config.rms_norm_eps)
            self.k_norm = Norm(config.head_dim, config.rms_norm_eps)
        self.mlp_norm = Norm(hidden, config.rms_norm_eps)
        self.gate_up = nn.Linear(hidden, 2 * inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x, cos, sin, mask):
        rows, length, _ = x.shape
        parts = self.qkv(self.attention_norm(x)).split(self.widths, dim=-1)
        q, k, v = (
            part.view(rows, length, -1, self.config.head_dim).transpose(1, 2) for part in parts
        )
        if self.has_qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(
            q.to(v.dtype), k.to(v.dtype), v, attn_mask=mask, is_causal=self.config.is_causal
        )
        x = x + self.o(y.transpose(1, 2).reshape(rows, length, -1))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        half = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        angles = torch.outer(
            torch.arange(config.max_position_embeddings, dtype=torch.float32),
            config.rope_theta**-half,
        )
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def hidden(self, ids, mask=None):
        """Final hidden states, `[rows, length, hidden]`. `mask`: `[rows, 1, 1, length]`, true
        where there is a token, or None where every row is full."""
        x = self.embedding(ids)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return self.norm(x)

    def logits(self, hidden):
        """Without the mask token, which is never a prediction."""
        logits = self.head(hidden).float()
        if self.config.mask_token_id is not None:
            logits[..., self.config.mask_token_id] = float("-inf")
        return logits


def load(directory):
    """The decoder of a directory that `afterthought-bench prepare` made, in f32."""
    config = Config.read(directory)
    stored = load_file(os.path.join(directory, "model.safetensors"))
    state = {
        "embedding.weight": stored["model.embed_tokens.weight"],
        "norm.weight": stored["model.norm.weight"],
        "head.weight": stored["lm_head.weight"],
    }
    for index in range(config.num_hidden_layers):
        old, new = f"model.layers.{index}.", f"blocks.{index}."
        attention, mlp = old + "self_attn.", old + "mlp."
        state[new + "attention_norm.weight"] = stored[old + "input_layernorm.weight"]
        state[new + "qkv.weight"] = torch.cat(
            [stored[f"{attention}{name}_proj.weight"] for name in "qkv"]
        )
        state[new + "o.weight"] = stored[attention + "o_proj.weight"]
        if config.model_type == "qwen3":
            state[new + "q_norm.weight"] = stored[attention + "q_norm.weight"]
            state[new + "k_norm.weight"] = stored[attention + "k_norm.weight"]
        state[new + "mlp_norm.weight"] = stored[old + "post_attention_layernorm.weight"]
        state[new + "gate_up.weight"] = torch.cat(
            [stored[mlp + "gate_proj.weight"], stored[mlp + "up_proj.weight"]]
        )
        state[new + "down.weight"] = stored[mlp + "down_proj.weight"]
    decoder = Decoder(config)
    decoder.load_state_dict(state)
    return decoder
