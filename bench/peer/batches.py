"""`inputs.json` as tensors, and what both sides must agree on before anything is timed."""

import json
import os

import torch


class Batch:
    """A batch of canvases, right-padded, and what is predicted in it."""

    def __init__(self, stored):
        lengths = [len(row) for row in stored["rows"]]
        width = max(lengths)
        self.ids = torch.tensor([row + [0] * (width - len(row)) for row in stored["rows"]])
        self.tokens = sum(lengths)
        self.mask = None
        if min(lengths) < width:
            columns = torch.arange(width)
            self.mask = (columns < torch.tensor(lengths)[:, None])[:, None, None, :]
        self.target = torch.tensor(stored["target"])
        self.weight = torch.tensor(stored["weight"])
        flat = torch.tensor(stored["row"]) * width + torch.tensor(stored["column"])
        # Where everything is predicted there is nothing to pick out.
        self.flat = None if len(flat) == self.ids.numel() else flat
        self.uniform = len(set(stored["weight"])) == 1 and abs(sum(stored["weight"]) - 1) < 1e-3


def read(directory):
    with open(os.path.join(directory, "inputs.json")) as file:
        return json.load(file)


def scored(decoder, batch):
    """Logits of the predictions, `[predictions, vocabulary]`."""
    hidden = decoder.hidden(batch.ids, batch.mask).flatten(0, 1)
    if batch.flat is not None:
        hidden = hidden[batch.flat]
    return decoder.logits(hidden)


@torch.no_grad()
def agreement(decoder, inputs):
    batch = Batch(inputs["batches"][0])
    picked = torch.log_softmax(scored(decoder, batch), -1)
    picked = picked.gather(-1, batch.target[:, None])[:, 0]
    return {
        "loss": -(picked * batch.weight).sum().item(),
        "log_probs": picked[:16].tolist(),
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
    }
