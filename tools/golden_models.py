"""Random small checkpoints of every decoder family, with the logits that transformers gives them.

    python tools/golden_models.py            # writes crates/models/tests/goldens/families/<case>/

Made with torch 2.15.0, transformers 5.23.0, safetensors 0.8.0 (the metadata of every golden file
says so again). Each case is a model directory and a `golden.safetensors` with

    ids       i64 [rows, longest]   right-padded
    lengths   i64 [rows]
    logits    f32 [sum of lengths, vocab]  predictions for the real tokens, row after row
    left      f32, the same from a left-padded batch, where padding is not left out below

LLaDA and Dream have no class in transformers: they are Llama and Qwen2 run with a mask that hides
padding only, under the names and settings of their own files.
"""

import json
import shutil
from pathlib import Path

import safetensors.torch
import torch
import transformers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

OUT = Path(__file__).parent.parent / "crates/models/tests/goldens/families"
VOCAB = 29
LENGTHS = [52, 9, 1, 23]


def randomise(model, seed):
    """No weight has a special value: norms are not one, biases not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator) * 0.25
            parameter.copy_(noise + 1.0 if "norm" in name else noise)


def rows(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, VOCAB - 2, (length,), generator=generator) for length in LENGTHS]


def padded(sequences, left):
    width = max(len(row) for row in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros(len(sequences), width, dtype=torch.long)
    for index, row in enumerate(sequences):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[index, place] = row
        mask[index, place] = 1
    return ids, mask


def run(model, sequences, left, causal, shifted):
    ids, mask = padded(sequences, left)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    if not causal:
        # Additive, rows x heads x queries x keys: every query sees every real key.
        hidden = torch.finfo(torch.float32).min
        mask4 = torch.where(mask[:, None, None, :] == 1, 0.0, hidden)
        attention = mask4.expand(-1, 1, ids.shape[1], -1)
    else:
        attention = mask
    with torch.no_grad():
        logits = model(ids, attention_mask=attention, position_ids=positions).logits
    real = [row[m == 1] for row, m in zip(logits, mask)]
    if shifted:
        real = [torch.cat([row[:1], row[:-1]]) for row in real]
    return torch.cat(real).float().contiguous()


def golden(name, config, cls, seed, *, causal=True, shifted=False, dtype=None, edit=None,
           rename=None, alone=False, keep_tied_head=False):
    directory = OUT / name
    directory.mkdir(parents=True)
    config._attn_implementation = "eager"
    model = cls(config).eval()
    randomise(model, seed)
    if dtype is not None:
        model = model.to(dtype)
    model.save_pretrained(directory)
    # Half precision is for storing: all logits are of f32 arithmetic on the stored values. Read
    # back rather than converted, which would keep rounded rotary frequencies.
    model = cls.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    sequences = rows(seed)
    if alone:
        # Frequencies depend on the longest sequence of a batch there.
        right = []
        for row in sequences:
            fresh = cls(config).eval()
            fresh.load_state_dict(model.state_dict())
            right.append(run(fresh, [row], False, causal, shifted))
        right = torch.cat(right)
    else:
        right = run(model, sequences, False, causal, shifted)
    tensors = {
        "ids": padded(sequences, False)[0],
        "lengths": torch.tensor(LENGTHS),
        "logits": right,
    }
    if not alone:
        tensors["left"] = run(model, sequences, True, causal, shifted)
        assert (tensors["left"] - right).abs().max() < 1e-4, name
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    safetensors.torch.save_file(tensors, directory / "golden.safetensors", metadata=versions)

    weights = directory / "model.safetensors"
    if rename or keep_tied_head:
        stored = safetensors.torch.load_file(weights)
        if keep_tied_head:
            stored["lm_head.weight"] = stored["model.embed_tokens.weight"].clone()
        stored = {(rename(n) if rename else n): t for n, t in stored.items()}
        safetensors.torch.save_file(stored, weights, metadata={"format": "pt"})
    if edit:
        path = directory / "config.json"
        path.write_text(json.dumps(edit(json.loads(path.read_text())), indent=2) + "\n")
    (directory / "generation_config.json").unlink(missing_ok=True)
    (directory / "README.md").unlink(missing_ok=True)
    size = sum(file.stat().st_size for file in directory.iterdir())
    print(f"{name:24} {size // 1024:4} KiB  largest logit {right.abs().max():.2f}")


def shared(**more):
    settings = dict(
        vocab_size=VOCAB, hidden_size=24, intermediate_size=20, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64,
        bos_token_id=None, eos_token_id=1, pad_token_id=None, tie_word_embeddings=False,
    )
    return settings | more


# Its heads are as wide as the width divided by their number.
QWEN2 = dict(num_attention_heads=3, num_key_value_heads=1)


def rope(kind, **more):
    return {"rope_type": kind, "rope_theta": 10000.0} | more


LLADA = {
    "model.embed_tokens": "model.transformer.wte",
    "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
    "model.layers": "model.transformer.blocks",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "q_proj",
    "self_attn.k_proj": "k_proj",
    "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out",
    "post_attention_layernorm": "ff_norm",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
}


def llada_name(name):
    for ours, theirs in LLADA.items():
        name = name.replace(ours, theirs)
    return name


def llada_config(config):
    """The keys of LLaDA-8B's config.json."""
    return {
        "activation_type": "silu", "alibi": False, "architectures": ["LLaDAModelLM"],
        "attention_dropout": 0.0, "attention_layer_norm": False, "bias_for_layer_norm": False,
        "block_group_size": 1, "block_type": "llama", "d_model": config["hidden_size"],
        "embedding_size": config["vocab_size"], "eos_token_id": config["eos_token_id"],
        "include_bias": False, "include_qkv_bias": False, "init_std": 0.02,
        "input_emb_norm": False, "layer_norm_type": "rms", "layer_norm_with_affine": True,
        "mask_token_id": VOCAB - 1, "max_sequence_length": config["max_position_embeddings"],
        "mlp_hidden_size": config["intermediate_size"], "mlp_ratio": 4, "model_type": "llada",
        "multi_query_attention": None, "n_heads": config["num_attention_heads"],
        "n_kv_heads": config["num_key_value_heads"], "n_layers": config["num_hidden_layers"],
        "pad_token_id": 1, "rms_norm_eps": config["rms_norm_eps"], "rope": True,
        "rope_full_precision": True, "rope_theta": config["rope_parameters"]["rope_theta"],
        "scale_logits": False, "torch_dtype": "float32", "vocab_size": config["vocab_size"],
        "weight_tying": False,
    }


def with_keys(**keys):
    return lambda config: config | keys


def old_rope(config):
    """As transformers 4 wrote it."""
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = {"type": parameters.pop("rope_type")} | parameters
    config["torch_dtype"] = config.pop("dtype", "float32")
    return config


def main():
    transformers.utils.logging.disable_progress_bar()
    shutil.rmtree(OUT, ignore_errors=True)
    llama = lambda **more: LlamaConfig(**shared(**more))
    golden("llama-odd-heads", LlamaConfig(**shared(
        hidden_size=18, num_attention_heads=9, num_key_value_heads=3, head_dim=6)), LlamaForCausalLM, 1)
    golden("llama-biases", llama(attention_bias=True, mlp_bias=True), LlamaForCausalLM, 2)
    golden("llama-tied-bf16", llama(tie_word_embeddings=True), LlamaForCausalLM, 3,
           dtype=torch.bfloat16, keep_tied_head=True)
    golden("llama-f16", llama(eos_token_id=[1, 2, 5]), LlamaForCausalLM, 4, dtype=torch.float16)
    golden("llama-llama3", llama(max_position_embeddings=128, rope_parameters=rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=16)), LlamaForCausalLM, 5)
    golden("llama-linear", llama(max_position_embeddings=16, rope_parameters=rope(
        "linear", factor=4.0)), LlamaForCausalLM, 6, edit=old_rope)
    golden("llama-dynamic", llama(max_position_embeddings=16, rope_parameters=rope(
        "dynamic", factor=4.0)), LlamaForCausalLM, 7, alone=True)
    golden("llama-yarn", llama(max_position_embeddings=64, rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=16)), LlamaForCausalLM, 8)
    golden("qwen2-yarn-factor", Qwen2Config(**shared(**QWEN2,
        max_position_embeddings=64, rope_parameters=rope("yarn", factor=4.0, beta_fast=8.0,
        beta_slow=0.5, attention_factor=0.8, original_max_position_embeddings=16))),
        Qwen2ForCausalLM, 9)
    golden("qwen3-yarn-mscale", Qwen3Config(**shared(
        max_position_embeddings=64, rope_parameters=rope("yarn", factor=4.0, mscale=1.5,
        mscale_all_dim=0.8, truncate=False, original_max_position_embeddings=16))),
        Qwen3ForCausalLM, 10)
    golden("mistral-window", MistralConfig(**shared(sliding_window=5)), MistralForCausalLM, 11)
    golden("mistral-full", MistralConfig(**shared(sliding_window=None)), MistralForCausalLM, 12)
    golden("qwen2", Qwen2Config(**shared(**QWEN2)), Qwen2ForCausalLM, 13)
    golden("qwen2-window-tied", Qwen2Config(**shared(**QWEN2, use_sliding_window=True,
        sliding_window=7, max_window_layers=1, tie_word_embeddings=True)), Qwen2ForCausalLM, 14)
    golden("qwen3", Qwen3Config(**shared()), Qwen3ForCausalLM, 15)
    golden("qwen3-tied-bf16", Qwen3Config(**shared(attention_bias=True,
        tie_word_embeddings=True)), Qwen3ForCausalLM, 16, dtype=torch.bfloat16)
    golden("a2d-qwen3", Qwen3Config(**shared(tie_word_embeddings=True)), Qwen3ForCausalLM, 17,
           causal=False, edit=with_keys(model_type="a2d-qwen3", mask_token_id=VOCAB - 1,
                                        architectures=["A2DQwen3LMHeadModel"]))
    golden("a2d-qwen2", Qwen2Config(**shared(**QWEN2)), Qwen2ForCausalLM, 18, causal=False,
           edit=with_keys(model_type="a2d-qwen2", mask_token_id=VOCAB - 1))
    golden("a2d-llama", llama(), LlamaForCausalLM, 19, causal=False,
           edit=with_keys(model_type="a2d-llama", mask_token_id=VOCAB - 1))
    mha = dict(hidden_size=32, num_attention_heads=4, num_key_value_heads=4,
               rope_parameters=rope("default", rope_theta=500000.0))
    golden("llada", llama(**mha), LlamaForCausalLM, 20, causal=False, edit=llada_config,
           rename=llada_name)
    golden("llada-bare", llama(**mha), LlamaForCausalLM, 21, causal=False, edit=llada_config,
           rename=lambda name: llada_name(name).removeprefix("model."))
    golden("llada-llama-names", llama(**mha), LlamaForCausalLM, 22, causal=False,
           edit=llada_config)
    golden("dream", Qwen2Config(**shared(**QWEN2)), Qwen2ForCausalLM, 23, causal=False,
           shifted=True, dtype=torch.bfloat16,
           edit=with_keys(model_type="Dream", mask_token_id=VOCAB - 1,
                          architectures=["DreamModel"]))
    golden("llama-bare", llama(), LlamaForCausalLM, 24,
           rename=lambda name: name.removeprefix("model."))


if __name__ == "__main__":
    main()
