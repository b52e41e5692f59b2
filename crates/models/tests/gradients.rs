//! The gradient of a whole decoder: who gets one, and whether it is the slope of the loss.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::{Batch, Decoder, DecoderConfig, Parameter, ParameterVisitor};
use afterthought_random::Stream;
use burn::tensor::{Gradients, Tensor, TensorData};
use std::collections::HashMap;
use std::sync::Arc;
use tiny::{MASK, VOCAB, decoder, rows, settings, values, weights};

/// A padded batch with some masks, and a weighted sum of the log-probabilities of some of its
/// tokens: every kind of thing that training does with a decoder.
struct Case {
    batch: Batch,
    positions: Arc<[u32]>,
    targets: Arc<[u32]>,
    weights: Vec<f32>,
}

fn case() -> Case {
    let mut rows = rows(&[7, 4, 6], 3);
    for (row, column) in [(0, 2), (0, 6), (1, 3), (2, 0)] {
        rows[row][column] = MASK;
    }
    let width = 7;
    let scored = [(0, 2), (0, 5), (0, 6), (1, 1), (1, 3), (2, 0), (2, 5)];
    Case {
        batch: Batch::from_rows(&rows, 0).unwrap(),
        positions: scored.iter().map(|(row, column)| row * width + column).collect(),
        targets: (0..scored.len() as u32).map(|i| i * 3 % (VOCAB as u32 - 1)).collect(),
        weights: (0..scored.len()).map(|i| 0.5 - 0.3 * i as f32).collect(),
    }
}

fn log_probs(decoder: &Decoder, case: &Case) -> Tensor<1> {
    decoder.log_probs_at(&case.batch, case.positions.clone(), case.targets.clone()).unwrap()
}

fn loss(decoder: &Decoder, case: &Case) -> f64 {
    let log_probs = values(log_probs(decoder, case));
    log_probs.iter().zip(&case.weights).map(|(l, w)| f64::from(*l) * f64::from(*w)).sum()
}

struct Read<'a> {
    gradients: &'a Gradients,
    found: HashMap<String, Option<Vec<f32>>>,
}

impl ParameterVisitor for Read<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let gradient = parameter.value.grad(self.gradients).map(|gradient| {
            assert_eq!(gradient.dims(), parameter.value.dims(), "{}", parameter.name);
            values(gradient)
        });
        assert!(self.found.insert(parameter.name.clone(), gradient).is_none(), "visited twice");
    }
}

/// The gradient of each parameter by name.
fn gradients(decoder: &Decoder, case: &Case) -> HashMap<String, Option<Vec<f32>>> {
    let mut tracked = decoder.tracked();
    let log_probs = log_probs(&tracked, case);
    let data = TensorData::new(case.weights.clone(), [case.weights.len()]);
    let weights = Tensor::<1>::from_data(data, &log_probs.device());
    let gradients = (log_probs * weights).sum().backward();
    let mut read = Read { gradients: &gradients, found: HashMap::new() };
    tracked.visit(&mut read);
    read.found
}

/// How many parameters a config has, counted from its definition.
fn expected_parameters(config: &DecoderConfig) -> usize {
    let biases = 3 * usize::from(config.attention_bias)
        + usize::from(config.output_bias)
        + 3 * usize::from(config.mlp_bias);
    let layer = 9 + biases + 2 * usize::from(config.qk_norm);
    2 + config.num_hidden_layers * layer + usize::from(!config.tie_word_embeddings)
}

#[test]
fn every_trainable_parameter_gets_a_gradient() {
    for (name, config) in settings() {
        let expected = expected_parameters(&config);
        let found = gradients(&decoder(config, 1), &case());
        assert_eq!(found.len(), expected, "{name}");
        for (parameter, gradient) in found {
            let gradient = gradient.unwrap_or_else(|| panic!("{name}: none for {parameter}"));
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}: {parameter}");
            assert!(gradient.iter().any(|g| g.abs() > 1e-6), "{name}: zero for {parameter}");
        }
    }
}

#[test]
fn frozen_parameters_get_none_and_change_nothing_for_the_others() {
    // What is trained: one block, one kind of matrix, everything but the input, the input alone.
    let subsets: [fn(&str) -> bool; 4] = [
        |name| name.contains("layers.1."),
        |name| name.ends_with("k_proj.weight"),
        |name| !name.starts_with("model.embed"),
        |name| name.starts_with("model.embed"),
    ];
    for (name, config) in settings() {
        let all = gradients(&decoder(config.clone(), 1), &case());
        for subset in subsets {
            let mut frozen = decoder(config.clone(), 1);
            frozen.set_trainable(&subset);
            let trainable: usize = weights(&frozen)
                .0
                .iter()
                .filter(|(parameter, ..)| subset(parameter))
                .map(|(.., values)| values.len())
                .sum();
            assert_eq!(frozen.parameter_counts().1, trainable);
            for (parameter, gradient) in gradients(&frozen, &case()) {
                let expected = subset(&parameter).then(|| all[&parameter].clone().unwrap());
                assert_eq!(gradient, expected, "{name}: {parameter}");
            }
        }
    }
}

#[test]
fn tracking_leaves_the_original_and_its_values_alone() {
    for (name, config) in settings() {
        let (decoder, case) = (decoder(config, 1), case());
        let before = weights(&decoder).0;
        let tracked = log_probs(&decoder.tracked(), &case);
        let plain = log_probs(&decoder, &case);
        assert_eq!(values(tracked.inner()), values(plain), "{name}");
        assert_eq!(weights(&decoder).0, before, "{name}");
    }
}

/// Moves one parameter by `distance` along `direction`.
struct Move<'a> {
    name: &'a str,
    direction: &'a [f32],
    distance: f32,
}

impl ParameterVisitor for Move<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if parameter.name == self.name {
            let direction = TensorData::new(self.direction.to_vec(), parameter.value.dims());
            let direction = Tensor::from_data(direction, &parameter.value.device());
            parameter.value = parameter.value.clone() + direction * self.distance;
        }
    }
}

/// The slope of the loss along a direction, by central differences of fourth order.
fn slope(decoder: &Decoder, case: &Case, name: &str, direction: &[f32]) -> f64 {
    let at = |distance: f32| {
        let mut moved = decoder.clone();
        moved.visit(&mut Move { name, direction, distance });
        loss(&moved, case)
    };
    let step = 1e-2f32;
    let (near, far) = (at(step) - at(-step), at(2.0 * step) - at(-2.0 * step));
    (8.0 * near - far) / (12.0 * f64::from(step))
}

#[test]
fn gradients_are_slopes_of_the_loss() {
    let mut stream = Stream::new(5, "test directions", 0, 0);
    for (setting, config) in settings() {
        let (decoder, case) = (decoder(config, 1), case());
        for (name, gradient) in gradients(&decoder, &case) {
            let gradient = gradient.unwrap();
            let steepest = (0..gradient.len())
                .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()))
                .unwrap();
            let mut element = vec![0.0f32; gradient.len()];
            element[steepest] = 1.0;
            // All elements at once, along a random direction of unit length.
            let scale = 1.0 / (gradient.len() as f32).sqrt();
            let everything: Vec<f32> =
                gradient.iter().map(|_| if stream.chance(0.5) { scale } else { -scale }).collect();
            for direction in [element, everything] {
                let slope = slope(&decoder, &case, &name, &direction);
                let products = gradient.iter().zip(&direction);
                let expected: f64 = products.map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
                assert!(
                    (slope - expected).abs() < 1e-3 + 5e-3 * expected.abs(),
                    "{setting}: {name}: gradient {expected}, difference {slope}"
                );
            }
        }
    }
}
