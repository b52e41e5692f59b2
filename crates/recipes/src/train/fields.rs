//! Every key of a training recipe. This table is the check, the JSON Schema and the reference page.

use super::rewards::REWARDS;
use crate::field::{Field, Kind, Layout, Presence, Section, Sections};
use Kind::{Choice, Flag, Integer, IntegerOr, Number, Text, Texts, TextsOr};
use Presence::{Default, Optional, Required};

/// Recipes of `afterthought train`.
pub const LAYOUT: Layout = Layout {
    command: "train",
    selector: "method",
    top: &[
        field("method", Choice(METHODS), Required, "What is trained, and how."),
        field("seed", Integer(0, MANY), Default("42"), "Decides every random choice of the run."),
    ],
    sections: &[
        always("model", "The model that training starts from.", MODEL),
        Section {
            sections: Sections::IfGiven,
            ..always(
                "lora",
                "A low-rank adapter (Hu et al. 2021); only its weights are trained.",
                LORA,
            )
        },
        always("data", "What is learnt from. Paths start from the current directory.", DATA),
        Section {
            only: &["mdlm"],
            ..always("loss", "The masked-diffusion loss (LLaDA equation 5, d1 section 3.1).", LOSS)
        },
        Section { only: RL_ONLY, ..always("rl", "diffu-GRPO (d1 section 3.2, algorithm 1).", RL) },
        Section { only: RL_ONLY, ..always("sampling", "How completions are decoded.", SAMPLING) },
        Section {
            name: "rewards",
            doc: "What a completion is worth: the sum of these, each times its weight. Without any, \
                  the reward of `data.task`. See docs/rewards.md.",
            sections: Sections::Repeated("kind"),
            only: RL_ONLY,
            fields: REWARDS,
        },
        always(
            "optimizer",
            "AdamW (Loshchilov & Hutter 2019), with clipping by the global norm.",
            OPTIMIZER,
        ),
        always("run", "How long, how large, how often.", RUN),
    ],
};

const RL_ONLY: &[&str] = &["diffu-grpo"];
const SUPERVISED: &[&str] = &["sft", "mdlm"];
/// A bound that only keeps numbers in a register.
const MANY: u64 = 1 << 53;
const LARGE: f64 = 1e12;

const METHODS: &[(&str, &str)] = &[
    ("sft", "a causal model learns to write the completions (maximum likelihood)"),
    ("mdlm", "a masked-diffusion model learns to write the completions"),
    ("diffu-grpo", "a masked-diffusion model learns from rewards for its own completions"),
];

const fn field(key: &'static str, kind: Kind, presence: Presence, doc: &'static str) -> Field {
    Field { key, kind, presence, only: &[], doc }
}

const fn only(only: &'static [&'static str], field: Field) -> Field {
    Field { only, ..field }
}

const fn always(name: &'static str, doc: &'static str, fields: &'static [Field]) -> Section {
    Section { name, doc, sections: Sections::Always, only: &[], fields }
}

const MODEL: &[Field] = &[field(
    "path",
    Text,
    Required,
    "A Hugging Face directory: config.json, safetensors, tokenizer.json.",
)];

const LORA: &[Field] = &[
    field("rank", Integer(1, 1 << 16), Default("8"), "Rows of A, columns of B."),
    field("alpha", Number(1e-6, LARGE), Default("16.0"), "The term counts `alpha / rank` times."),
    field("rslora", Flag, Default("false"), "`alpha / sqrt(rank)` instead (Kalajdzievski 2023)."),
    field(
        "dropout",
        Number(0.0, 0.999),
        Default("0.0"),
        "Share of the inputs that a training pass drops. Rollouts and log-probabilities of policies drop none.",
    ),
    field(
        "targets",
        TextsOr("all-linear"),
        Default("\"all-linear\""),
        "Layers, by the end of their name. One that matches nothing is an error.",
    ),
    field("exclude", Texts, Optional, "Layers that are left out, by the end of their name."),
];

const DATA: &[Field] = &[
    field(
        "train",
        Text,
        Optional,
        "JSONL rows: `messages`, or `prompt` and `completion`; for diffu-grpo `prompt` and what the rewards need, or problems of `task`.",
    ),
    field("validation", Text, Optional, "Rows of the same form, for validation."),
    only(
        RL_ONLY,
        field(
            "task",
            Choice(TASKS),
            Optional,
            "Problems of a built-in task. sudoku and countdown are made to order where no file is given.",
        ),
    ),
    only(
        RL_ONLY,
        field(
            "problems",
            Integer(1, 1 << 24),
            Default("4096"),
            "Problems made to order for training, where no file is given.",
        ),
    ),
    field(
        "validation_limit",
        Integer(1, 1 << 24),
        Default("256"),
        "Most rows that a validation takes.",
    ),
    field(
        "max_length",
        Integer(2, 1 << 20),
        Default("2048"),
        "Most tokens of a row; of a prompt with diffu-grpo.",
    ),
    field(
        "on_long",
        Choice(&[
            ("error", "stop before training"),
            ("drop", "leave the row out and say how many"),
        ]),
        Default("\"error\""),
        "What happens to longer rows. None is cut.",
    ),
    field(
        "on_bad_row",
        Choice(&[
            ("error", "stop before training"),
            ("drop", "leave the row out and say how many"),
        ]),
        Default("\"error\""),
        "What happens to lines that are no row.",
    ),
    field("template", Text, Optional, "A chat template (Jinja) in place of the model's own."),
    field("raw", Flag, Default("false"), "No chat template: prompt and completion as they are."),
    field("system", Text, Optional, "A system turn before every prompt."),
    only(
        &["mdlm"],
        field(
            "window",
            IntegerOr("longest", 1, 1 << 20),
            Default("\"longest\""),
            "Tokens that a completion is padded to with EOS, which is learnt too: as many as the longest of the batch needs, or this many.",
        ),
    ),
];

const TASKS: &[(&str, &str)] = &[("sudoku", ""), ("countdown", ""), ("gsm8k", ""), ("math", "")];

const LOSS: &[Field] = &[
    field(
        "time_weight",
        Choice(&[("scheduler", "1/t"), ("uniform", "1")]),
        Default("\"scheduler\""),
        "Weight of a masked token at mask rate t.",
    ),
    field(
        "normalisation",
        Choice(NORMALISATIONS),
        Default("\"token\""),
        "How token losses are averaged; EOS padding counts.",
    ),
    field(
        "noise",
        Choice(&[
            ("bernoulli", "each row draws its own rate"),
            ("stratified", "the rates of a batch are spread evenly"),
        ]),
        Default("\"bernoulli\""),
        "How mask rates are drawn.",
    ),
    field(
        "block_share",
        Number(0.0, 1.0),
        Default("0.0"),
        "Share of rows that are masked as a block decoder meets them.",
    ),
    field("block_length", Integer(1, 1 << 20), Default("32"), "Tokens of a block of those."),
];

const NORMALISATIONS: &[(&str, &str)] = &[
    ("token", "mean over the tokens of the batch"),
    ("sequence", "mean within each sequence, then over them"),
    ("batch", "sum over tokens, mean over sequences"),
];

const RL: &[Field] = &[
    field("prompts", Integer(1, 1 << 16), Default("8"), "Prompts of a rollout step."),
    field(
        "group_size",
        Integer(2, 1 << 12),
        Default("8"),
        "Completions of a prompt, whose mean reward is the baseline.",
    ),
    field(
        "inner_updates",
        Integer(1, 1 << 10),
        Default("8"),
        "mu: updates on the same completions, each with freshly masked prompts.",
    ),
    field(
        "clip",
        Number(0.0, LARGE),
        Default("0.5"),
        "epsilon: the ratio to the old policy counts within 1 - epsilon and 1 + epsilon.",
    ),
    field(
        "beta",
        Number(0.0, LARGE),
        Default("0.04"),
        "Weight of the divergence from the model that training starts from.",
    ),
    field(
        "kl",
        Choice(&[("none", ""), ("k1", ""), ("k2", ""), ("k3", "")]),
        Default("\"k3\""),
        "Estimate of that divergence (Schulman 2020).",
    ),
    field(
        "normalisation",
        Choice(NORMALISATIONS),
        Default("\"token\""),
        "How token losses are averaged.",
    ),
    field(
        "estimator",
        Choice(&[
            ("one_pass", "all tokens in one pass over a masked completion (d1)"),
            ("trace_replay", "each token in the context it was decided in, in segments"),
        ]),
        Default("\"one_pass\""),
        "Estimate of the log-probability of a completion.",
    ),
    field("segments", Integer(1, 1 << 12), Default("1"), "Passes of the trace replay."),
    field(
        "prompt_mask",
        Number(0.0, 1.0),
        Default("0.15"),
        "Probability with which a prompt token is masked in the estimate.",
    ),
    field(
        "scope",
        Choice(&[("to_eos", "up to the first EOS"), ("window", "the whole window")]),
        Default("\"to_eos\""),
        "Positions of a completion that are scored.",
    ),
];

const SAMPLING: &[Field] = &[
    field("gen_length", Integer(1, 1 << 16), Default("256"), "Tokens of a completion."),
    field(
        "block_length",
        Integer(1, 1 << 16),
        Default("32"),
        "Tokens of a block; divides `gen_length`.",
    ),
    field(
        "tokens_per_step",
        Integer(1, 1 << 10),
        Optional,
        "Tokens that a denoising step commits; divides `block_length`. 2 without a `threshold`.",
    ),
    field(
        "threshold",
        Number(0.0, 1.0),
        Optional,
        "In place of `tokens_per_step`: a step commits every token at least this probable, and one at least.",
    ),
    field(
        "cache",
        Choice(&[
            ("exact", "everything"),
            ("prefix", "from the current block on"),
            ("dual", "the current block and `cache_ahead` tokens"),
        ]),
        Default("\"exact\""),
        "What a denoising step recomputes, of rollouts and in validation. A model that will be decoded with a cache learns with it; `rl.estimator = \"trace_replay\"` needs exact rollouts.",
    ),
    field(
        "cache_refresh",
        Integer(1, 1 << 16),
        Optional,
        "Steps from one that recomputes everything to the next. Without it, the first of each block does.",
    ),
    field(
        "cache_ahead",
        Integer(0, 1 << 16),
        Default("0"),
        "Tokens after the block, for `cache = \"dual\"`.",
    ),
    field("temperature", Number(0.0, 100.0), Default("0.9"), "Of rollouts; validation is greedy."),
    field(
        "remasking",
        Choice(&[("low_confidence", ""), ("random", "")]),
        Default("\"low_confidence\""),
        "Which predictions of a step are kept.",
    ),
];

const OPTIMIZER: &[Field] = &[
    field("learning_rate", Number(0.0, 10.0), Required, "The highest one."),
    field("warmup", Integer(0, MANY), Default("0"), "Updates in which it rises from 0."),
    field(
        "decay",
        Choice(&[("constant", ""), ("linear", "to 0"), ("cosine", "to 0")]),
        Default("\"constant\""),
        "What it does afterwards.",
    ),
    field("beta_1", Number(0.0, 0.999999), Default("0.9"), "Decay of the first moment."),
    field("beta_2", Number(0.0, 0.999999), Default("0.999"), "Decay of the second moment."),
    field("epsilon", Number(0.0, 1.0), Default("1e-8"), "Added to the root of the second moment."),
    field("weight_decay", Number(0.0, 10.0), Default("0.0"), "Decoupled weight decay."),
    field(
        "max_grad_norm",
        Number(1e-12, LARGE),
        Default("1.0"),
        "The gradient is scaled down to this global norm.",
    ),
];

const RUN: &[Field] = &[
    field(
        "steps",
        Integer(1, MANY),
        Optional,
        "Steps: batches, or rollouts with their inner updates.",
    ),
    only(
        SUPERVISED,
        field("epochs", Number(1e-6, 1e9), Optional, "Passes over the rows, in place of `steps`."),
    ),
    only(SUPERVISED, field("batch", Integer(1, 1 << 20), Default("16"), "Rows of a step.")),
    field(
        "rows_at_once",
        Integer(1, 1 << 20),
        Default("64"),
        "Most rows of a forward pass: less memory, the same result but for rounding.",
    ),
    field("log_every", Integer(1, MANY), Default("1"), "Steps between two lines of metrics."),
    field(
        "validate_every",
        Integer(1, MANY),
        Optional,
        "Steps between two validations; one at the start, one at the end.",
    ),
    field("checkpoint_every", Integer(1, MANY), Default("100"), "Steps between two checkpoints."),
    field(
        "keep_last",
        Integer(1, 1 << 20),
        Default("2"),
        "Checkpoints that are kept, the last ones.",
    ),
    field(
        "keep_best",
        Integer(0, 1 << 20),
        Default("1"),
        "Checkpoints that are kept beside those, by their validation.",
    ),
    only(
        RL_ONLY,
        field(
            "completions_every",
            Integer(1, MANY),
            Default("10"),
            "Steps between two that keep their completions.",
        ),
    ),
    field(
        "result",
        Choice(&[
            ("last", "as it is after the last step"),
            ("best", "the checkpoint with the best validation, the start left out"),
        ]),
        Default("\"last\""),
        "Which model is the result.",
    ),
];
