"""Goldens of crates/adapters: PEFT adapters on tiny random models, what they compute, and which
modules PEFT selects for a config.

    python tools/golden_lora.py        (from the root of the checkout)

Written with peft 0.21.2, transformers 5.23.0, torch 2.15.0; the versions used are recorded in
goldens.json.
"""

import json
import pathlib
import shutil

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import check_target_module_exists
from safetensors.torch import load_file, save_file

OUT = pathlib.Path("crates/adapters/tests/goldens")

SIZES = {
    "vocab_size": 29,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 32,
    "initializer_range": 0.2,
}

IDS = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8, 9, 7, 9, 28]]


def base(name):
    """A random model, saved as a Hugging Face directory."""
    torch.manual_seed({"llama": 1, "qwen2": 2}[name])
    tied = name == "qwen2"
    kind = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[name]
    config_class = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[name]
    config = config_class(**SIZES, tie_word_embeddings=tied, rope_theta=100.0)
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if key.endswith("bias") or "norm" in key:
                value.add_(torch.randn_like(value) * 0.1)
    directory = OUT / name
    directory.mkdir(parents=True)
    tensors = {k: v.contiguous() for k, v in model.state_dict().items()}
    if tied:
        del tensors["lm_head.weight"]
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    fields = {
        "architectures": [kind],
        "model_type": name,
        **SIZES,
        "head_dim": 4,
        "hidden_act": "silu",
        "rope_theta": 100.0,
        "tie_word_embeddings": tied,
        "attention_bias": name == "qwen2",
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "torch_dtype": "float32",
    }
    (directory / "config.json").write_text(json.dumps(fields, indent=2) + "\n")
    return model


ADAPTERS = {
    "attention": ("llama", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]), None),
    "all_rslora": (
        "llama",
        dict(r=3, lora_alpha=5, use_rslora=True, lora_dropout=0.1, target_modules="all-linear"),
        torch.float16,
    ),
    "patterns": (
        "qwen2",
        dict(
            r=2,
            lora_alpha=3,
            target_modules=r"model\.layers\.[02]\.(self_attn|mlp)\.(q_proj|o_proj|down_proj)",
            rank_pattern={"layers.0.self_attn.q_proj": 5, "down_proj": 1},
            alpha_pattern={r"model\.layers\.2\..*": 7.5},
        ),
        torch.bfloat16,
    ),
    "some_layers": (
        "llama",
        dict(
            r=2,
            lora_alpha=16,
            target_modules=["k_proj", "gate_proj", "up_proj", "model.layers.0.mlp.down_proj"],
            exclude_modules=["model.layers.1.mlp.up_proj"],
            layers_to_transform=[1, 2],
            init_lora_weights="gaussian",
        ),
        None,
    ),
}


def adapter(name, model, config, dtype, tensors):
    """A PEFT directory with random factors, and the logits it gives, merged and not."""
    torch.manual_seed(sum(map(ord, name)))
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **config)).eval()
    with torch.no_grad():
        for key, value in adapted.named_parameters():
            if "lora_" in key:
                value.copy_(torch.randn_like(value) * 0.2)
                if dtype is not None:
                    value.copy_(value.to(dtype).float())
    directory = OUT / name
    adapted.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)
    if dtype is not None:
        file = directory / "adapter_model.safetensors"
        save_file({k: v.to(dtype) for k, v in load_file(file).items()}, file, {"format": "pt"})
    ids = torch.tensor(IDS)
    with torch.no_grad():
        tensors[f"{name}.logits"] = adapted(ids).logits.contiguous()
        modules = sorted(k for k, m in adapted.base_model.model.named_modules() if hasattr(m, "lora_A"))
        merged = adapted.merge_and_unload()
        tensors[f"{name}.merged_logits"] = merged(ids).logits.contiguous()
        tensors[f"{name}.merged_q"] = merged.state_dict()["model.layers.0.self_attn.q_proj.weight"].clone()
    return modules


SELECTIONS = [
    dict(target_modules=["q_proj"]),
    dict(target_modules=["self_attn.q_proj", "mlp.down_proj"]),
    dict(target_modules=["model.layers.10.self_attn.k_proj"]),
    dict(target_modules=["q_proj", "model.layers.4.mlp.up_proj"], layers_to_transform=[1, 10]),
    dict(target_modules=["v_proj"], layers_to_transform=3, layers_pattern="layers"),
    dict(target_modules=["v_proj", "o_proj"], layers_to_transform=[2], layers_pattern=["h", "layers"]),
    dict(target_modules=r".*\.(q|k)_proj"),
    dict(target_modules=r"model\.layers\.(?!1)\d+\.mlp\.up_proj"),
    dict(target_modules=r".*_proj", exclude_modules=["mlp.up_proj", "model.layers.3.self_attn.q_proj"]),
    dict(target_modules=["q_proj", "k_proj"], exclude_modules=r".*\.[1-9]\d*\..*"),
]


def selections():
    kinds = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
    kinds += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    paths = [f"model.layers.{layer}.{kind}" for layer in range(12) for kind in kinds]
    cases = []
    for config in SELECTIONS:
        lora = LoraConfig(**config)
        # An excluded module is an object that is falsy only by its type's name.
        chosen = [p for p in paths if (found := check_target_module_exists(lora, p)) and
                  type(found).__name__ != "_ExcludedModule"]
        cases.append({"config": {"peft_type": "LORA", **config}, "selected": chosen})
    return {"paths": paths, "cases": cases}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    tensors, modules = {}, {}
    for name in ["llama", "qwen2"]:
        with torch.no_grad():
            tensors[f"{name}.logits"] = base(name)(torch.tensor(IDS)).logits.contiguous()
    for name, (on, config, dtype) in ADAPTERS.items():
        kind = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[on]
        model = getattr(transformers, kind).from_pretrained(OUT / on, dtype=torch.float32).eval()
        modules[name] = adapter(name, model, config, dtype, tensors)
    save_file(tensors, OUT / "expected.safetensors")
    versions = {m.__name__: m.__version__ for m in (peft, transformers, torch)}
    goldens = {
        "generator": "tools/golden_lora.py",
        "versions": versions,
        "ids": IDS,
        "adapters": {n: {"base": on, "modules": modules[n]} for n, (on, _, _) in ADAPTERS.items()},
        "selections": selections(),
    }
    (OUT / "goldens.json").write_text(json.dumps(goldens, indent=1) + "\n")
    # The directories are those that PEFT itself reads.
    for name, (on, _, _) in ADAPTERS.items():
        kind = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[on]
        model = getattr(transformers, kind).from_pretrained(OUT / on, dtype=torch.float32)
        PeftModel.from_pretrained(model, OUT / name)


if __name__ == "__main__":
    main()
