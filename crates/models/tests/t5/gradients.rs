//! The gradient of a whole model: who gets one, and whether it is the slope of the loss.

use crate::tiny::{model, rows, settings, values, weights};
use afterthought_models::{
    Batch, EncoderDecoder, EncoderDecoderConfig, Parameter, ParameterVisitor,
};
use afterthought_random::Stream;
use burn::tensor::{Gradients, Tensor, TensorData};
use std::collections::HashMap;
use std::sync::Arc;

/// Padded sources and targets, and a weighted sum of the log-probabilities of some target tokens.
struct Case {
    sources: Batch,
    inputs: Batch,
    positions: Arc<[u32]>,
    targets: Arc<[u32]>,
    weights: Vec<f32>,
}

/// Sources use every token, so that each has a gradient.
fn case(model: &EncoderDecoder) -> Case {
    let mut sources = rows(&[13, 4, 6], 3);
    sources[0] = (0..13).collect();
    let targets = rows(&[12, 3, 5], 4);
    let inputs = model.decoder_inputs(&targets).unwrap();
    let width = inputs.width();
    let scored = [(0, 0), (0, 4), (0, 11), (1, 1), (1, 2), (2, 0), (2, 4)];
    Case {
        sources: Batch::from_rows(&sources, 0).unwrap(),
        positions: scored.iter().map(|(row, at)| (row * width + at) as u32).collect(),
        targets: scored.iter().map(|(row, at)| targets[*row][*at]).collect(),
        weights: (0..scored.len()).map(|i| 0.5 - 0.3 * i as f32).collect(),
        inputs,
    }
}

fn log_probs(model: &EncoderDecoder, case: &Case) -> Tensor<1> {
    let encoded = model.encode(&case.sources).unwrap();
    let (positions, targets) = (case.positions.clone(), case.targets.clone());
    model.log_probs_at(&encoded, &case.inputs, positions, targets).unwrap()
}

fn loss(model: &EncoderDecoder, case: &Case) -> f64 {
    let log_probs = values(log_probs(model, case));
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

fn gradients(model: &EncoderDecoder, case: &Case) -> HashMap<String, Option<Vec<f32>>> {
    let mut tracked = model.tracked();
    let log_probs = log_probs(&tracked, case);
    let data = TensorData::new(case.weights.clone(), [case.weights.len()]);
    let weights = Tensor::<1>::from_data(data, &log_probs.device());
    let gradients = (log_probs * weights).sum().backward();
    let mut read = Read { gradients: &gradients, found: HashMap::new() };
    tracked.visit(&mut read);
    read.found
}

/// How many tensors a model has, counted from the description of the architecture.
fn expected_tensors(config: &EncoderDecoderConfig) -> usize {
    let feed_forward = 3 + usize::from(config.is_gated_act);
    let encoder = config.num_layers * (5 + feed_forward) + 2;
    let decoder = config.num_decoder_layers * (10 + feed_forward) + 2;
    1 + encoder + decoder + usize::from(!config.tie_word_embeddings)
}

#[test]
fn every_trainable_parameter_gets_a_gradient() {
    for (name, config) in settings() {
        let (expected, tensors) = (expected_tensors(&config), config.tensors());
        let model = model(config, 1);
        let found = gradients(&model, &case(&model));
        assert_eq!((found.len(), tensors.len()), (expected, expected), "{name}");
        for (parameter, gradient) in found {
            let gradient = gradient.unwrap_or_else(|| panic!("{name}: none for {parameter}"));
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}: {parameter}");
            assert!(gradient.iter().any(|g| g.abs() > 1e-6), "{name}: zero for {parameter}");
            let shape = tensors.iter().find(|(known, _)| *known == parameter).unwrap().1.clone();
            assert_eq!(shape.iter().product::<usize>(), gradient.len(), "{name}: {parameter}");
            if parameter.contains("relative_attention_bias") {
                // Every bucket that the rows reach, in every head.
                let zeros = gradient.iter().filter(|g| **g == 0.0).count();
                assert_eq!(zeros, unreached_buckets(&parameter) * shape[1], "{name}: {parameter}");
            }
        }
    }
}

/// Of the encoder's buckets for later keys the first stands for distance 0, which is not later. The
/// decoder's first position sees itself only; all distances up to 11 occur.
fn unreached_buckets(parameter: &str) -> usize {
    usize::from(parameter.starts_with("encoder"))
}

#[test]
fn frozen_parameters_get_none_and_change_nothing_for_the_others() {
    let subsets: [fn(&str) -> bool; 5] = [
        |name| name.contains("block.1."),
        |name| name.ends_with("k.weight"),
        |name| name.contains("relative_attention_bias"),
        |name| name.starts_with("encoder"),
        |name| name.starts_with("shared"),
    ];
    for (name, config) in settings() {
        let original = model(config, 1);
        let case = case(&original);
        let all = gradients(&original, &case);
        for subset in subsets {
            let mut frozen = original.clone();
            frozen.set_trainable(&subset);
            let counted = weights(&frozen).0.into_iter().filter(|(name, ..)| subset(name));
            let trainable: usize = counted.map(|(.., values)| values.len()).sum();
            assert_eq!(frozen.parameter_counts().1, trainable);
            for (parameter, gradient) in gradients(&frozen, &case) {
                let expected = subset(&parameter).then(|| all[&parameter].clone().unwrap());
                assert_eq!(gradient, expected, "{name}: {parameter}");
            }
        }
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
fn slope(model: &EncoderDecoder, case: &Case, name: &str, direction: &[f32]) -> f64 {
    let at = |distance: f32| {
        let mut moved = model.clone();
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
    // The kinks of relu have no slope.
    let smooth = settings().into_iter().filter(|(name, _)| ["v1.1", "gelu"].contains(name));
    for (setting, config) in smooth {
        let model = model(config, 1);
        let case = case(&model);
        for (name, gradient) in gradients(&model, &case) {
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
                let slope = slope(&model, &case, &name, &direction);
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
