"""From a directory to the first logits, by transformers."""

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from protocol import serve


@torch.no_grad()
def run(args, ready):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32

    def once():
        model = AutoModelForCausalLM.from_pretrained(
            args.model, dtype=dtype, attn_implementation="sdpa"
        ).eval()
        model(torch.tensor([[0]]))
        return {"units": 1}

    serve(ready, once)
