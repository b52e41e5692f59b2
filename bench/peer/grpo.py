"""One diffu-GRPO step (arXiv 2504.12216, algorithm 1), rollouts included."""

import itertools

import torch
import torch.nn.functional as F

import batches
import llama
from diffusion import generate
from protocol import serve


def log_probs(decoder, canvases, completions):
    """One-pass estimate: the completion's tokens on a fully masked completion, `[rows, length]`."""
    length = completions.shape[1]
    logits = decoder.logits(decoder.hidden(canvases)[:, -length:])
    loss = F.cross_entropy(logits.flatten(0, 1), completions.flatten(), reduction="none")
    return -loss.view_as(completions)


def run(args, ready):
    inputs = batches.read(args.model)
    rl = inputs["rl"]
    decoder, reference = llama.load(args.model), llama.load(args.model)
    reference.requires_grad_(False)
    # Separate contexts: entering one for a whole step keeps its cache of cast weights.
    def autocast():
        return torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")

    with autocast():
        ready |= batches.agreement(decoder, inputs)
    mask_id = decoder.config.mask_token_id
    groups, size, length = rl["prompts"], rl["group_size"], rl["gen_length"]
    prompts = [prompt for prompt in inputs["prompts"] for _ in range(size)]
    if len({len(prompt) for prompt in prompts}) != 1:
        raise ValueError("this case wants prompts of one length")
    prompt_ids = torch.tensor(prompts)
    optimizer = torch.optim.AdamW(
        decoder.parameters(),
        lr=rl["learning_rate"],
        betas=(0.9, 0.99),
        eps=1e-8,
        weight_decay=rl["weight_decay"],
        fused=True,
    )
    seeds = itertools.count()

    def canvas():
        """Prompts with tokens masked at random, completions all masked."""
        hidden = torch.rand(prompt_ids.shape) < rl["prompt_mask"]
        masked = prompt_ids.masked_fill(hidden, mask_id)
        return F.pad(masked, (0, length), value=mask_id)

    def once():
        torch.manual_seed(next(seeds))
        steps = length // inputs["tokens_per_step"]
        with autocast():
            completions, rollout_tokens = generate(
                decoder, prompts, length, inputs["block_length"], steps, rl["temperature"]
            )
        rewards = (completions.sum(-1) % 97).double() / 97
        rewards = rewards.view(groups, size)
        spread = (rewards != rewards[:, :1]).any(-1).repeat_interleave(size)
        advantages = (rewards - rewards.mean(-1, keepdim=True)).flatten()[:, None].float()
        prepared = []
        with torch.no_grad():
            for inner in range(rl["inner_updates"]):
                canvases = canvas()
                with autocast():
                    # At the first update the policy is the old policy.
                    old = log_probs(decoder, canvases, completions) if inner > 0 else None
                    anchor = log_probs(reference, canvases, completions)
                prepared.append((canvases, old, anchor))
        for canvases, old, anchor in prepared:
            with autocast():
                new = log_probs(decoder, canvases, completions)
            ratio = (new - (new.detach() if old is None else old)).exp()
            bounded = ratio.clamp(1 - rl["clip"], 1 + rl["clip"])
            gain = torch.minimum(ratio * advantages, bounded * advantages)
            gap = anchor - new
            kl = gap.exp() - gap - 1
            loss = -(gain - rl["beta"] * kl)[spread].mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(decoder.parameters(), rl["max_grad_norm"])
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return {
            "units": len(prompts),
            "forward_tokens": rollout_tokens,
            "updates": len(prepared),
            "frac_reward_zero_std": 1 - spread.float().mean().item(),
            "loss": loss.item(),
        }

    serve(ready, once)
