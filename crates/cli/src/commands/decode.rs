//! Decodes prompts with a model of either kind, with clocks and Ctrl-C.

use std::time::{Duration, Instant};

use afterthought_models::Network;
use afterthought_models::inference::{InferenceModel, Seq2SeqModel};
use afterthought_sampling::autoregressive::{
    self, AutoregressiveParams, CausalModel, FinishReason, GenerateError, Hooks, PassEvent, Prompt,
    SeedKey,
};
use afterthought_sampling::diffusion::{CacheMode, DiffusionParams, Rollout, SampleKey, StepEvent};
use afterthought_sampling::{PreparedDecoder, SampleError};
use afterthought_text::Tokenizer;
use afterthought_training::PromptFormat;
use serde::{Deserialize, Serialize};

use crate::commands::decoding_plan::DecodingPlan;
use crate::commands::loaded::Loaded;
use crate::signals;

/// A completion, what it took and how long.
pub(crate) struct Decoded {
    /// Its tokens, without the one that ends it and what stands behind that.
    pub(crate) tokens: Vec<u32>,
    /// Why it ends.
    pub(crate) finish: Finish,
    /// Forward passes that it took part in.
    pub(crate) model_calls: usize,
    /// Tokens that went through the model for it, as if it were the only one of its prompt.
    pub(crate) forward_tokens: usize,
    /// From the start of the call to the end of this completion; the time of the watcher is left out.
    pub(crate) seconds: f64,
}

/// Why a completion ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finish {
    /// The model ended it.
    Eos,
    /// A text appeared after which nothing is wanted.
    Stop,
    /// It has as many tokens as were allowed.
    Length,
}

/// What happened in a forward pass.
pub(crate) enum Progressed<'a> {
    /// A denoising step of a masked-diffusion model.
    Denoised(&'a StepEvent<'a>),
    /// Tokens of a causal model. Those that a finished completion has no need of count as done.
    Written(usize),
}

impl Progressed<'_> {
    /// Tokens done, out of the most tokens of every completion.
    pub(crate) fn tokens(&self) -> u64 {
        match self {
            Self::Denoised(step) => step.rows.iter().map(|row| row.committed.len() as u64).sum(),
            Self::Written(tokens) => *tokens as u64,
        }
    }
}

/// A model with its weights packed as its plan needs them.
pub(crate) struct Engine<'a> {
    model: Model<'a>,
    tokenizer: &'a Tokenizer,
    /// Tokens that end a completion.
    ends: Vec<u32>,
    /// Texts that end a completion.
    stops: &'a [&'a str],
    interrupt: Box<dyn Fn() -> bool>,
}

enum Model<'a> {
    Diffusion { decoder: PreparedDecoder<'static>, params: &'a DiffusionParams },
    Autoregressive { model: Box<InferenceModel>, params: &'a AutoregressiveParams },
    Seq2Seq { model: Box<Seq2SeqModel>, params: &'a AutoregressiveParams },
}

impl<'a> Engine<'a> {
    /// Packs the weights and starts to listen for signals, which a process can do once. `format` is
    /// how the prompts were made.
    ///
    /// A causal model writes no further once its completion has one of the texts `stops`; a
    /// masked-diffusion model, which does not write from left to right, takes no notice of them.
    pub(crate) fn new(
        loaded: &'a Loaded,
        format: &PromptFormat,
        plan: &'a DecodingPlan,
        stops: &'a [&'a str],
    ) -> anyhow::Result<Self> {
        let model = match plan {
            DecodingPlan::Diffusion(params) => {
                let packed = params.cache != CacheMode::Exact || loaded.half_precision();
                let decoder = match packed {
                    true => PreparedDecoder::Packed(Box::new(loaded.inference()?)),
                    // Faster for whole rows, as long as there is memory for f32.
                    false => PreparedDecoder::Owned(Box::new(loaded.decoder()?)),
                };
                Model::Diffusion { decoder, params }
            }
            DecodingPlan::Autoregressive(params) => match &loaded.network {
                Network::Decoder(_) => {
                    let model = Box::new(loaded.inference()?);
                    Model::Autoregressive { model, params }
                }
                Network::EncoderDecoder(config) => {
                    let model = Box::new(loaded.seq2seq(config)?);
                    Model::Seq2Seq { model, params }
                }
            },
        };
        let interrupt = Box::new(signals::install()?);
        let (tokenizer, ends) = (&loaded.tokenizer, loaded.ends(format)?);
        Ok(Self { model, tokenizer, ends, stops, interrupt })
    }

    /// Decodes every sample of every prompt, in their order; the random numbers of a sample are those
    /// of (`seed`, its id). `watch` sees every forward pass.
    ///
    /// # Errors
    /// The model failed; or [`afterthought_sampling::Interrupted`] if the user asked to stop.
    pub(crate) fn decode(
        &self,
        prompts: &[Prompt<'_>],
        seed: u64,
        watch: &mut dyn FnMut(&Progressed<'_>),
    ) -> anyhow::Result<Vec<Decoded>> {
        let mut clock = Clock { begun: Instant::now(), paused: Duration::ZERO };
        match &self.model {
            Model::Diffusion { decoder, params } => {
                self.denoise(decoder, params, prompts, seed, &mut clock, watch)
            }
            Model::Autoregressive { model, params } => {
                self.write(&**model, params, prompts, seed, &mut clock, watch)
            }
            Model::Seq2Seq { model, params } => {
                let written = self.write(&**model, params, prompts, seed, &mut clock, watch);
                // The start token goes through the decoder besides.
                let counted = |decoded: Decoded| Decoded {
                    forward_tokens: decoded.forward_tokens + 1,
                    ..decoded
                };
                Ok(written?.into_iter().map(counted).collect())
            }
        }
    }

    fn denoise(
        &self,
        decoder: &PreparedDecoder<'_>,
        params: &DiffusionParams,
        prompts: &[Prompt<'_>],
        seed: u64,
        clock: &mut Clock,
        watch: &mut dyn FnMut(&Progressed<'_>),
    ) -> anyhow::Result<Vec<Decoded>> {
        let samples: Vec<u64> = prompts.iter().flat_map(|prompt| prompt.samples).copied().collect();
        let rows: Vec<Vec<u32>> = (prompts.iter())
            .flat_map(|prompt| prompt.samples.iter().map(|_| prompt.tokens.to_vec()))
            .collect();
        let key = SampleKey { seed, step: 0, samples: &samples };
        let mut seconds = vec![0.0; rows.len()];
        let mut on_step = |event: &StepEvent<'_>| {
            let now = clock.seconds();
            for row in event.rows.iter().filter(|row| row.finished) {
                seconds[row.row] = now;
            }
            clock.pause(|| watch(&Progressed::Denoised(event)));
        };
        let rollouts = decoder
            .generate_with(&rows, params, key, &mut on_step, &*self.interrupt)
            .map_err(|error| match error {
                SampleError::Interrupted(stopped) => anyhow::Error::new(stopped),
                other => anyhow::Error::new(other).context("decoding failed"),
            })?;
        let decoded = rollouts.into_iter().zip(seconds);
        Ok(decoded.map(|(rollout, seconds)| self.cut(rollout, seconds)).collect())
    }

    fn cut(&self, rollout: Rollout, seconds: f64) -> Decoded {
        let end = rollout.completion.iter().position(|id| self.ends.contains(id));
        let mut tokens = rollout.completion;
        tokens.truncate(end.unwrap_or(tokens.len()));
        Decoded {
            tokens,
            finish: if end.is_some() { Finish::Eos } else { Finish::Length },
            model_calls: rollout.model_calls,
            forward_tokens: rollout.forward_tokens,
            seconds,
        }
    }

    fn write<M: CausalModel>(
        &self,
        model: &M,
        params: &AutoregressiveParams,
        prompts: &[Prompt<'_>],
        seed: u64,
        clock: &mut Clock,
        watch: &mut dyn FnMut(&Progressed<'_>),
    ) -> anyhow::Result<Vec<Decoded>> {
        let mut seconds: Vec<Vec<f64>> =
            prompts.iter().map(|prompt| vec![0.0; prompt.samples.len()]).collect();
        let mut on_pass = |event: &PassEvent<'_>| {
            let now = clock.seconds();
            let mut tokens = event.tokens;
            for row in event.finished {
                seconds[row.prompt][row.sample] = now;
                tokens += params.max_new_tokens - row.tokens;
            }
            clock.pause(|| watch(&Progressed::Written(tokens)));
        };
        let key = SeedKey { seed, step: 0 };
        let stop = |tokens: &[u32]| stops_at(self.tokenizer, self.stops, tokens);
        let hooks = Hooks { on_pass: &mut on_pass, stop: &stop, interrupt: &*self.interrupt };
        let generation = autoregressive::generate_with(model, prompts, params, key, hooks)
            .map_err(|error| match error {
                GenerateError::Interrupted(stopped) => anyhow::Error::new(stopped),
                other => anyhow::Error::new(other).context("decoding failed"),
            })?;
        let mut decoded = Vec::new();
        for ((prompt, completions), seconds) in
            prompts.iter().zip(generation.completions).zip(seconds)
        {
            for (completion, seconds) in completions.into_iter().zip(seconds) {
                let drawn = completion.tokens.len();
                let mut tokens = completion.tokens;
                let finish = match completion.finish {
                    FinishReason::Eos => {
                        tokens.pop();
                        Finish::Eos
                    }
                    FinishReason::Stop => Finish::Stop,
                    FinishReason::Length => Finish::Length,
                };
                // The prompt's pass gives the first token; the last token needs none.
                let forward_tokens = prompt.tokens.len() + drawn - 1;
                decoded.push(Decoded {
                    tokens,
                    finish,
                    model_calls: drawn,
                    forward_tokens,
                    seconds,
                });
            }
        }
        Ok(decoded)
    }
}

/// Whether one of the texts `stops` ends in the last token. No token but an empty one is shorter than
/// a byte, so that looking back as many tokens as the longest text has bytes is enough.
fn stops_at(tokenizer: &Tokenizer, stops: &[&str], tokens: &[u32]) -> bool {
    let Some(longest) = stops.iter().map(|stop| stop.len()).max() else { return false };
    let tail = &tokens[tokens.len().saturating_sub(longest + 1)..];
    // A tail that is no text, such as half a character, ends nothing.
    let text = tokenizer.decode(tail, false).unwrap_or_default();
    stops.iter().any(|stop| text.contains(stop))
}

struct Clock {
    begun: Instant,
    paused: Duration,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.begun.elapsed().saturating_sub(self.paused).as_secs_f64()
    }

    fn pause(&mut self, other: impl FnOnce()) {
        let pause = Instant::now();
        other();
        self.paused += pause.elapsed();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use afterthought_text::{SpecialTokens, char_level};

    use super::*;

    #[test]
    fn a_text_stops_with_its_last_token_and_not_before() {
        let alphabet = "Questionwhatrs:\n 4".chars().collect::<std::collections::BTreeSet<_>>();
        let alphabet: String = alphabet.into_iter().collect();
        let tokenizer = char_level(&alphabet, &SpecialTokens::default()).unwrap();
        let ids = tokenizer.encode("so 4\n\nQuestion: what").unwrap();
        let stops = ["\nProblem:", "\nQuestion:"];
        let ends = (1..=ids.len()).find(|end| stops_at(&tokenizer, &stops, &ids[..*end]));
        assert_eq!(ends, Some("so 4\n\nQuestion:".len()));
        assert!(!stops_at(&tokenizer, &[], &ids));
    }
}
