#!/usr/bin/env python3
"""Goldens of greedy generation with encoder-decoders: crates/cli/tests/goldens/t5/.

Pinned: torch 2.15.0, transformers 5.23.0, tokenizers 0.22, CPU, float32.

- tokenizer.json: a word-level tokenizer for the models of crates/models/tests/goldens/t5, which ends
  every source with `</s>` as T5's does.
- generate.json: for each model and generation_config.json, what `generate` of transformers writes on a
  padded batch of prompts of different lengths, up to the token that ends it.

Without a cache, because the cache of this version has no room for a decoder of more layers than the
encoder has. No choice is close: the best logit leads by more than 1e-4 wherever a token is chosen.

Run from the repository's root: python tools/golden_t5_generate.py
"""

import json
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import GenerationConfig, PreTrainedTokenizerFast, T5ForConditionalGeneration

MODELS = Path("crates/models/tests/goldens/t5")
OUT = Path("crates/cli/tests/goldens/t5")
VOCAB = 43
NEW = 24
PROMPTS = [list(range(3, 20)), [14], [40, 3, 3, 31, 8], [17] * 30, list(range(42, 2, -1))]
SETTINGS = {
    "plain": {},
    "several ends": {"eos_token_id": [1, 13, 30]},
    "another start": {"decoder_start_token_id": 13},
    "forced": {"forced_bos_token_id": 11, "forced_eos_token_id": 1},
}


def tokenizer():
    vocab = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {f"w{id}": id for id in range(3, VOCAB)}
    made = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return made


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    made.save(str(OUT / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>")
    prompts = [" ".join(f"w{id}" for id in prompt) for prompt in PROMPTS]
    batch = fast(prompts, padding=True, return_tensors="pt")
    cases = []
    for name in ["relu_tied", "gated_untied", "buckets"]:
        model = T5ForConditionalGeneration.from_pretrained(MODELS / name, dtype=torch.float32).eval()
        for title, settings in SETTINGS.items():
            standard = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
            config = GenerationConfig(**(standard | settings), max_new_tokens=NEW, do_sample=False,
                                      num_beams=1, use_cache=False, output_logits=True,
                                      return_dict_in_generate=True)
            result = model.generate(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, generation_config=config)
            ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
            completions = []
            for row, ids in enumerate(result.sequences[:, 1:].tolist()):
                end = next((at for at, id in enumerate(ids) if id in ends), len(ids))
                for at in range(min(end + 1, len(ids))):
                    first, second = result.logits[at][row].topk(2).values.tolist()
                    assert first - second > 1e-4, (name, title, row, at, first - second)
                completions.append(dict(
                    text=fast.decode(ids[:end], skip_special_tokens=False),
                    tokens=end, finish="length" if end == len(ids) else "eos"))
            cases.append(dict(model=name, settings=settings, completions=completions))
            print(name, title, [c["tokens"] for c in completions], completions[0]["text"][:60])
    versions = {"torch": torch.__version__, "transformers": transformers.__version__,
                "tokenizers": tokenizers.__version__}
    document = dict(versions=versions, max_new_tokens=NEW, prompts=prompts, cases=cases)
    (OUT / "generate.json").write_text(json.dumps(document, indent=1) + "\n")


main()
