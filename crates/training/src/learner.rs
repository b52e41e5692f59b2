//! A model with its optimiser: from a weighted sum of log-probabilities to an update.

use crate::estimator::{Pass, run_passes_dropping, to_host};
use crate::{Error, Schedule};
use afterthought_kernels::{AdamWStep, adamw, sum_of_squares};
use afterthought_models::{Decoder, DropoutKey, Parameter, ParameterVisitor};
use burn::tensor::{Gradients, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// AdamW with global-norm clipping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The gradient is scaled down to this global norm.
    pub max_grad_norm: f64,
}

/// Flat gradients or moments of the trainable parameters, in visiting order.
pub(crate) type Flat = Vec<Tensor<1>>;

/// A model being trained.
pub struct Learner {
    decoder: Decoder,
    optimizer: AdamW,
    schedule: Schedule,
    /// Trainable weights; nothing changes it while the learner has the decoder.
    trainable: usize,
    moments: Option<[Flat; 2]>,
    step: usize,
    /// Seed of the dropout of adapters, if they drop inputs in updates.
    dropout_seed: Option<u64>,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Value of the loss before the update.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
}

impl Learner {
    /// Starts with zero moments.
    pub fn new(decoder: Decoder, optimizer: AdamW, schedule: Schedule) -> Self {
        let (_, trainable) = decoder.parameter_counts();
        Self { decoder, optimizer, schedule, trainable, moments: None, step: 0, dropout_seed: None }
    }

    /// Lets adapters drop inputs in updates, with the probability they were made with; masks are
    /// keyed by `seed`, the step and the place in its passes. Nothing else ever drops inputs:
    /// rollouts, and old and reference policies, must be those of the same model.
    #[must_use]
    pub fn with_dropout(self, seed: u64) -> Self {
        Self { dropout_seed: Some(seed), ..self }
    }

    /// The model as it stands.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Ends training.
    pub fn into_decoder(self) -> Decoder {
        self.decoder
    }

    /// Updates taken so far.
    pub fn step(&self) -> usize {
        self.step
    }

    /// First and second moments of the trainable parameters, flat, in visiting order.
    pub(crate) fn moments(&self) -> Option<&[Flat; 2]> {
        self.moments.as_ref()
    }

    /// Goes on from another state of the same model.
    pub(crate) fn replace(&mut self, decoder: Decoder, moments: Option<[Flat; 2]>, step: usize) {
        (self.decoder, self.moments, self.step) = (decoder, moments, step);
    }

    /// One update on `loss`, which turns the log-probabilities of all scored tokens (in the order
    /// of the passes) into a value and its derivative by each of them.
    ///
    /// Up to `max_rows` passes share one graph; more are run twice, once for the values and once,
    /// chunk by chunk, for the gradient, so that memory is bounded and the result is the same.
    ///
    /// # Errors
    /// Those of [`run_passes`](crate::estimator::run_passes); [`Error::NonFinite`] instead of an update that would spoil the
    /// model.
    pub fn update<T>(
        &mut self,
        passes: &[Pass],
        max_rows: usize,
        loss: impl FnOnce(&[f32]) -> (f64, Vec<f64>, T),
    ) -> Result<(Update, T), Error> {
        let max_rows = max_rows.max(1);
        if self.trainable == 0 {
            return Err(Error::Empty("trainable parameters"));
        }
        let tracked = self.decoder.tracked();
        let (value, extra, gradients);
        if passes.len() <= max_rows {
            let log_probs = run_passes_dropping(&tracked, passes, self.dropout_key(0))?;
            let values = to_host(log_probs.clone().inner())?;
            let coefficients;
            (value, coefficients, extra) = loss(&values);
            self.check("loss", value)?;
            gradients = collect(&tracked, &backward(log_probs, &coefficients))?;
        } else {
            let mut values = Vec::new();
            for (index, chunk) in passes.chunks(max_rows).enumerate() {
                let key = self.dropout_key(index * max_rows);
                values.extend(to_host(run_passes_dropping(&self.decoder, chunk, key)?)?);
            }
            let coefficients;
            (value, coefficients, extra) = loss(&values);
            self.check("loss", value)?;
            let mut rest = &coefficients[..];
            let mut total: Option<Flat> = None;
            for (index, chunk) in passes.chunks(max_rows).enumerate() {
                let count = chunk.iter().map(|pass| pass.scored.len()).sum();
                let (own, later) = rest.split_at(count);
                rest = later;
                let key = self.dropout_key(index * max_rows);
                let log_probs = run_passes_dropping(&tracked, chunk, key)?;
                let part = collect(&tracked, &backward(log_probs, own))?;
                total = Some(match total {
                    None => part,
                    Some(sum) => sum.into_iter().zip(part).map(|(a, b)| a + b).collect(),
                });
            }
            gradients = total.ok_or(Error::Empty("passes"))?;
        }
        drop(tracked);
        let update = self.apply(value, gradients)?;
        Ok((update, extra))
    }

    fn dropout_key(&self, first_row: usize) -> Option<DropoutKey> {
        let (step, first_row) = (self.step as u64, first_row as u64);
        self.dropout_seed.map(|seed| DropoutKey { seed, step, first_row })
    }

    fn check(&self, what: &'static str, value: f64) -> Result<(), Error> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Error::NonFinite { what, value, step: self.step })
    }

    fn apply(&mut self, loss: f64, gradients: Flat) -> Result<Update, Error> {
        let squares: f64 = gradients.iter().map(|g| sum_of_squares(g.clone())).sum();
        let grad_norm = squares.sqrt();
        self.check("gradient norm", grad_norm)?;
        let learning_rate = self.schedule.at(self.step);
        let time = (self.step + 1) as i32;
        let options = self.optimizer;
        let step = AdamWStep {
            learning_rate: learning_rate as f32,
            beta_1: options.beta_1 as f32,
            beta_2: options.beta_2 as f32,
            epsilon: options.epsilon as f32,
            weight_decay: options.weight_decay as f32,
            first_correction: (1.0 - options.beta_1.powi(time)) as f32,
            second_correction: (1.0 - options.beta_2.powi(time)) as f32,
            // Without division where nothing is clipped: the limit may be infinite.
            grad_scale: match grad_norm > options.max_grad_norm {
                true => (options.max_grad_norm / grad_norm) as f32,
                false => 1.0,
            },
        };
        let [first, second] = self.moments.take().unwrap_or_else(|| {
            let zeros = || gradients.iter().map(Tensor::zeros_like).collect();
            [zeros(), zeros()]
        });
        let mut visitor = ApplyAdamW {
            inputs: gradients.into_iter().zip(first.into_iter().zip(second)),
            moments: [Vec::new(), Vec::new()],
            step,
        };
        self.decoder.visit(&mut visitor);
        self.moments = Some(visitor.moments);
        self.step += 1;
        Ok(Update { loss, grad_norm, learning_rate })
    }
}

/// Gradient of `sum(coefficients * log_probs)`.
fn backward(log_probs: Tensor<1>, coefficients: &[f64]) -> Gradients {
    let values: Vec<f32> = coefficients.iter().map(|value| *value as f32).collect();
    let data = TensorData::new(values, [coefficients.len()]);
    let coefficients = Tensor::<1>::from_data(data, &log_probs.device());
    (log_probs * coefficients).sum().backward()
}

struct Collect<'a> {
    gradients: &'a Gradients,
    flat: Flat,
    missing: Option<String>,
}

impl ParameterVisitor for Collect<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if !parameter.trainable {
            return;
        }
        match parameter.value.grad(self.gradients) {
            Some(grad) => {
                let count = grad.shape().num_elements();
                self.flat.push(grad.reshape([count]));
            }
            None => self.missing = Some(parameter.name.clone()),
        }
    }
}

/// Gradients of the trainable parameters, in visiting order.
fn collect(tracked: &Decoder, gradients: &Gradients) -> Result<Flat, Error> {
    let mut collect = Collect { gradients, flat: Vec::new(), missing: None };
    tracked.clone().visit(&mut collect);
    match collect.missing {
        None => Ok(collect.flat),
        Some(name) => Err(Error::Setting {
            key: "trainable parameter",
            problem: format!("{name} got no gradient"),
        }),
    }
}

struct ApplyAdamW<I> {
    inputs: I,
    moments: [Flat; 2],
    step: AdamWStep,
}

impl<I: Iterator<Item = (Tensor<1>, (Tensor<1>, Tensor<1>))>> ParameterVisitor for ApplyAdamW<I> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if !parameter.trainable {
            return;
        }
        let Some((grad, (first, second))) = self.inputs.next() else {
            return;
        };
        let shape = parameter.value.dims();
        let count = parameter.value.shape().num_elements();
        // Taken out, so that nothing else holds the buffer and the update is in place.
        let empty = Tensor::zeros([0; D], &parameter.value.device());
        let value = std::mem::replace(&mut parameter.value, empty).reshape([count]);
        let (value, [first, second]) = adamw(value, grad, [first, second], self.step);
        parameter.value = value.reshape(shape);
        self.moments[0].push(first);
        self.moments[1].push(second);
    }
}
