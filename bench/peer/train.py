"""Training steps: forward, backward, clipping by the global norm, AdamW."""

import itertools

import torch
import torch.nn.functional as F

import batches
import llama
from protocol import serve


def loss_of(decoder, batch):
    logits = batches.scored(decoder, batch)
    if batch.uniform:
        return F.cross_entropy(logits, batch.target)
    return (F.cross_entropy(logits, batch.target, reduction="none") * batch.weight).sum()


def run(args, ready):
    inputs = batches.read(args.model)
    decoder = llama.load(args.model)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")
    with autocast:
        ready |= batches.agreement(decoder, inputs)
    optimizer = torch.optim.AdamW(
        decoder.parameters(), lr=1e-4, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01, fused=True
    )
    loss_function = torch.compile(loss_of) if args.compile else loss_of
    prepared = [batches.Batch(stored) for stored in inputs["batches"]]
    turns = itertools.cycle(prepared)

    def once():
        batch = next(turns)
        with autocast:
            loss = loss_function(decoder, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {"units": batch.tokens, "loss": loss.item()}

    serve(ready, once)
