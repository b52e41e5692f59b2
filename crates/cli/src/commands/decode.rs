//! Decodes prompts with progress, clocks and Ctrl-C.

use std::time::{Duration, Instant};

use afterthought_sampling::diffusion::{DiffusionParams, Rollout, SampleKey, StepEvent};
use afterthought_sampling::{PreparedDecoder, SampleError};

use crate::commands::loaded::Loaded;
use crate::signals;

/// A completion and how long it took.
pub(crate) struct Decoded {
    /// The tokens and the trace.
    pub(crate) rollout: Rollout,
    /// From the start of all decoding to the end of this one; the time of the watcher is left out.
    pub(crate) seconds: f64,
}

/// Decodes all prompts; the random numbers of prompt `i` are those of (`seed`, `i`).
///
/// `watch` sees every denoising step.
///
/// # Errors
/// The model failed, or the user interrupted.
pub(crate) fn decode(
    loaded: &Loaded,
    prompts: &[Vec<u32>],
    params: &DiffusionParams,
    seed: u64,
    watch: &mut dyn FnMut(&StepEvent<'_>),
) -> anyhow::Result<Vec<Decoded>> {
    let interrupt = signals::install()?;
    let samples: Vec<u64> = (0..prompts.len() as u64).collect();
    let key = SampleKey { seed, step: 0, samples: &samples };
    let decoder = PreparedDecoder::new(&loaded.decoder, params.cache)?;
    let mut clock = Clock { begun: Instant::now(), paused: Duration::ZERO };
    let mut seconds = vec![0.0; prompts.len()];
    let mut on_step = |event: &StepEvent<'_>| {
        let now = clock.seconds();
        for row in event.rows.iter().filter(|row| row.finished) {
            seconds[row.row] = now;
        }
        let pause = Instant::now();
        watch(event);
        clock.paused += pause.elapsed();
    };
    let rollouts =
        decoder.generate_with(prompts, params, key, &mut on_step, &interrupt).map_err(|error| {
            match error {
                SampleError::Interrupted(stopped) => anyhow::Error::new(stopped),
                other => anyhow::Error::new(other).context("decoding failed"),
            }
        })?;
    Ok(rollouts
        .into_iter()
        .zip(seconds)
        .map(|(rollout, seconds)| Decoded { rollout, seconds })
        .collect())
}

struct Clock {
    begun: Instant,
    paused: Duration,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.begun.elapsed().saturating_sub(self.paused).as_secs_f64()
    }
}
