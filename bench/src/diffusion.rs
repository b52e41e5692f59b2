//! Greedy decoding of a masked-diffusion model.

use std::path::Path;

use afterthought_models::hub;
use afterthought_sampling::diffusion::{CommitRule, DiffusionParams, SampleKey, generate};
use burn::tensor::Device;
use clap::Args;

use crate::inputs::Inputs;
use crate::shape::{EOS, MASK};
use crate::train::agreement;
use crate::worker::{object, serve};

/// How to decode.
#[derive(Args)]
pub(crate) struct Decoding {
    /// Rows; the prompts of the inputs are repeated as needed.
    #[arg(long)]
    rows: usize,
    /// Tokens of a completion.
    #[arg(long)]
    gen_length: usize,
    /// Tokens of a block.
    #[arg(long)]
    block_length: usize,
    /// Denoising steps over all blocks.
    #[arg(long)]
    steps: usize,
}

/// Serves whole generations of all rows.
pub(crate) fn run(model: &Path, decoding: &Decoding) -> anyhow::Result<()> {
    let inputs = Inputs::read(model)?;
    let decoder = hub::load(model, &Device::flex())?;
    let ready = agreement(&decoder, &inputs)?;
    let prompts: Vec<Vec<u32>> =
        inputs.prompts.iter().cycle().take(decoding.rows).cloned().collect();
    let mut params = DiffusionParams::new(decoding.gen_length, MASK, EOS, EOS);
    params.block_length = decoding.block_length;
    params.commit = CommitRule::Schedule { steps: decoding.steps };
    let samples: Vec<u64> = (0..decoding.rows as u64).collect();
    serve(ready, || {
        let key = SampleKey { seed: 0, step: 0, samples: &samples };
        let rollouts = generate(&decoder, &prompts, &params, key)?;
        let tokens: usize = rollouts.iter().map(|rollout| rollout.forward_tokens).sum();
        let first = rollouts.first().map_or(&[][..], |rollout| &rollout.completion);
        Ok(object([
            ("units", (rollouts.len() * decoding.gen_length).into()),
            ("forward_tokens", tokens.into()),
            ("completion", first.into()),
        ]))
    })
}
