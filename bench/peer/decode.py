"""Autoregressive sampling with transformers' `generate` and its key/value cache."""

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import batches
from protocol import serve


@torch.no_grad()
def run(args, ready):
    logging.set_verbosity_error()
    dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(
        args.model, dtype=dtype, attn_implementation="sdpa"
    ).eval()
    prompt = torch.tensor([batches.read(args.model)["prompts"][0][: args.prompt_length]])
    if prompt.shape[1] != args.prompt_length:
        raise ValueError(f"the prompt has {prompt.shape[1]} tokens, not {args.prompt_length}")
    torch.manual_seed(0)
    mask = torch.ones_like(prompt)
    last = model(prompt).logits[0, -1].float().log_softmax(-1)
    ready["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    # Log-probabilities of the first token ids after the prompt.
    ready["log_probs"] = last[:16].tolist()

    def once():
        sequences = model.generate(
            prompt,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            use_cache=True,
            num_return_sequences=args.samples,
            max_new_tokens=args.gen_length,
            min_new_tokens=args.gen_length,
            # No token ends a sequence: every sample has its full length.
            eos_token_id=None,
            pad_token_id=0,
        )
        return {"units": args.samples * (sequences.shape[1] - prompt.shape[1])}

    serve(ready, once)
