"""LLaDA-style generation (arXiv 2502.09992): blocks from left to right, the most confident
predictions of each denoising step are kept."""

import torch

import batches
import llama
from protocol import serve


class Canvas:
    """Prompts followed by masks, and where each row's completion is."""

    def __init__(self, prompts, gen_length, mask_id):
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        width = int(lengths.max()) + gen_length
        self.ids = torch.full((len(prompts), width), mask_id)
        for row, prompt in enumerate(prompts):
            self.ids[row, : len(prompt)] = torch.tensor(prompt)
        self.starts = lengths[:, None]
        self.mask = None
        if int(lengths.min()) + gen_length < width:
            columns = torch.arange(width)
            self.mask = (columns < self.starts + gen_length)[:, None, None, :]
        self.tokens = int(lengths.sum()) + len(prompts) * gen_length


@torch.no_grad()
def generate(decoder, prompts, gen_length, block_length, steps, temperature=0.0):
    """Completions, `[rows, gen_length]`, and how many tokens went through the model."""
    mask_id = decoder.config.mask_token_id
    canvas = Canvas(prompts, gen_length, mask_id)
    steps_of_block = steps * block_length // gen_length
    kept, extra = divmod(block_length, steps_of_block)
    forward_tokens = 0
    for block in range(0, gen_length, block_length):
        columns = canvas.starts + block + torch.arange(block_length)
        places = columns[..., None].expand(-1, -1, decoder.config.hidden_size)
        for step in range(steps_of_block):
            hidden = decoder.hidden(canvas.ids, canvas.mask).gather(1, places)
            logits = decoder.logits(hidden)
            forward_tokens += canvas.tokens
            chosen = logits.argmax(-1) if temperature == 0 else gumbel_max(logits, temperature)
            confidence = logits.softmax(-1).gather(-1, chosen[..., None])[..., 0]
            current = canvas.ids.gather(1, columns)
            confidence.masked_fill_(current != mask_id, -1.0)
            _, best = confidence.topk(kept + (step < extra), dim=-1)
            current.scatter_(1, best, chosen.gather(1, best))
            canvas.ids.scatter_(1, columns, current)
    completions = canvas.ids.gather(1, canvas.starts + torch.arange(gen_length))
    return completions, forward_tokens


def gumbel_max(logits, temperature):
    """A draw from `softmax(logits / temperature)`, in double precision as LLaDA does."""
    noise = -torch.log(-torch.log(torch.rand_like(logits, dtype=torch.float64)))
    return (logits.double() / temperature + noise).argmax(-1)


def run(args, ready):
    inputs = batches.read(args.model)
    decoder = llama.load(args.model).eval()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")
    with autocast:
        ready |= batches.agreement(decoder, inputs)
    if args.precision == "bf16":
        # Nothing is trained here: weights are cast once, not once a forward pass.
        decoder = decoder.bfloat16()
        autocast = torch.autocast("cpu", enabled=False)
    prompts = [inputs["prompts"][row % len(inputs["prompts"])] for row in range(args.rows)]

    def once():
        with autocast:
            completions, tokens = generate(
                decoder, prompts, args.gen_length, args.block_length, args.steps
            )
        return {
            "units": completions.numel(),
            "forward_tokens": tokens,
            "completion": completions[0].tolist(),
        }

    serve(ready, once)
