//! `afterthought train`: from a recipe to a trained model.
//!
//! `request` reads the recipe; `start` opens the model, `rows` and `prompts` the data; a
//! [`trainer::Trainer`] takes single steps (`sft`, `mdlm`, `grpo`); `run` is the one loop that owns
//! logs, validation, checkpoints and signals; `outcome` writes the result. `plan` is `--dry-run`.

mod command;
mod estimate;
mod grpo;
mod identity;
mod interval;
mod mdlm;
mod order;
mod outcome;
mod plan;
mod prepared;
mod prompts;
mod request;
mod rewarding;
mod rows;
mod run;
mod run_dir;
mod saved;
mod sft;
mod start;
mod trainer;

pub(crate) use command::run;
