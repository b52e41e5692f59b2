//! Training through an adapter: who gets a gradient, and whether it is the slope of the loss.
#![allow(clippy::unwrap_used, missing_docs)]

mod tiny;

use afterthought_adapters::{Adaptable, LoraConfig, Targets, attach_new, is_adapter_weight};
use afterthought_models::{Batch, Decoder, DropoutKey, Parameter, ParameterVisitor};
use burn::tensor::{DType, Gradients, Tensor, TensorData};
use std::collections::BTreeMap;
use std::sync::Arc;
use tiny::{base, logits, values, weights};

/// A model with an adapter on every linear layer and factors that are not zero.
fn adapted(on: &str, dropout: f64) -> Decoder {
    let mut model = base(on);
    let mut config = LoraConfig::new(Targets::all_linear());
    (config.rank, config.alpha, config.dropout) = (3, 4.0, dropout);
    attach_new(&mut model, &config, 1).unwrap();
    for (index, linear) in model.linears_mut().into_iter().enumerate() {
        let term = linear.low_rank.as_mut().unwrap();
        let shape = term.b.value.dims();
        let draw = |i: usize| 0.2 * ((i * 7919 + index * 104_729) as f32 * 0.618_034).sin();
        let values: Vec<f32> = (0..shape[0] * shape[1]).map(draw).collect();
        term.b.value = Tensor::from_data(TensorData::new(values, shape), &term.b.value.device());
    }
    model
}

/// Log-probabilities of some tokens of a padded batch.
fn log_probs(model: &Decoder, dropout: Option<DropoutKey>) -> Tensor<1> {
    let rows = [vec![3, 1, 4, 1, 5, 9], vec![2, 6, 5], vec![3, 5, 8, 9]];
    let batch = Batch::from_rows(&rows, 0).unwrap();
    let batch = match dropout {
        Some(key) => batch.with_dropout(key),
        None => batch,
    };
    let positions: Arc<[u32]> = vec![1, 4, 7, 13, 15].into();
    model.log_probs_at(&batch, positions, vec![7, 0, 28, 3, 11].into()).unwrap()
}

/// A weighted sum of log-probabilities.
fn loss(model: &Decoder, dropout: Option<DropoutKey>) -> Tensor<1> {
    let log_probs = log_probs(model, dropout);
    let weights = TensorData::new(vec![0.5f32, -1.0, 0.7, 1.1, -0.3], [5]);
    (log_probs.clone() * Tensor::<1>::from_data(weights, &log_probs.device())).sum()
}

struct Read<'a>(&'a Gradients, BTreeMap<String, Option<Vec<f32>>>);

impl ParameterVisitor for Read<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let gradient = parameter.value.grad(self.0).map(values);
        assert!(self.1.insert(parameter.name.clone(), gradient).is_none(), "visited twice");
    }
}

fn gradients(model: &Decoder, dropout: Option<DropoutKey>) -> BTreeMap<String, Option<Vec<f32>>> {
    let mut tracked = model.tracked();
    let gradients = loss(&tracked, dropout).backward();
    let mut read = Read(&gradients, BTreeMap::new());
    Adaptable::visit(&mut tracked, &mut read);
    read.1
}

struct Shift<'a>(&'a str, usize, f32);

impl ParameterVisitor for Shift<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if parameter.name != self.0 {
            return;
        }
        let shape = parameter.value.dims();
        let mut changed = values(parameter.value.clone());
        changed[self.1] += self.2;
        let data = TensorData::new(changed, shape);
        parameter.value = Tensor::from_data(data, &parameter.value.device());
    }
}

const KEY: DropoutKey = DropoutKey { seed: 5, step: 2, first_row: 0 };

#[test]
fn gradients_are_slopes_and_only_adapters_have_them() {
    for (on, dropout) in [("llama", None), ("qwen2", None), ("llama", Some(KEY))] {
        let model = adapted(on, 0.3);
        for (name, gradient) in gradients(&model, dropout) {
            assert_eq!(gradient.is_some(), is_adapter_weight(&name), "{name}");
            let Some(gradient) = gradient else { continue };
            let size = gradient.iter().map(|g| g.abs()).fold(0.0, f32::max);
            assert!(size > 1e-4, "{name}: the gradient is zero");
            let element = gradient.len() / 2;
            let at = |delta: f32| {
                let mut moved = model.clone();
                Adaptable::visit(&mut moved, &mut Shift(&name, element, delta));
                f64::from(loss(&moved, dropout).into_scalar::<f32>())
            };
            let step = 1e-2;
            let slope = (at(step) - at(-step)) / f64::from(2.0 * step);
            let got = f64::from(gradient[element]);
            assert!((got - slope).abs() < 1e-2 * (0.1 + slope.abs()), "{name}: {got}, {slope}");
        }
    }
}

#[test]
fn dropout_is_off_unless_asked_for_and_does_not_depend_on_the_cut() {
    let model = adapted("llama", 0.3);
    let off = values(log_probs(&model, None));
    let on = values(log_probs(&model, Some(KEY)));
    assert_ne!(off, on);
    assert_eq!(on, values(log_probs(&model, Some(KEY))));
    assert_ne!(on, values(log_probs(&model, Some(DropoutKey { step: 3, ..KEY }))));
    // The second and third row as a batch of their own, of another width.
    let batch = Batch::from_rows(&[vec![2, 6, 5], vec![3, 5, 8, 9]], 0).unwrap();
    let batch = batch.with_dropout(DropoutKey { first_row: 1, ..KEY });
    let part = model.log_probs_at(&batch, vec![1, 5, 7].into(), vec![28, 3, 11].into()).unwrap();
    let part = values(part);
    for (part, whole) in part.iter().zip(&on[2..]) {
        assert!((part - whole).abs() < 1e-5, "{part} against {whole}");
    }
    // An adapter without dropout has none to switch on.
    let model = adapted("llama", 0.0);
    assert_eq!(values(log_probs(&model, None)), values(log_probs(&model, Some(KEY))));
}

#[test]
fn the_disabled_adapter_is_the_base() {
    let model = adapted("llama", 0.0);
    assert_ne!(logits(&model), logits(&base("llama")));
    let reference = model.without_adapters();
    assert_eq!(logits(&reference), logits(&base("llama")));
    assert!(
        weights(&reference)
            .iter()
            .all(|(name, trainable, _)| { !trainable && !is_adapter_weight(name) })
    );
    // The original keeps its adapter.
    assert!(model.parameter_counts().1 > 0);
}

/// Rounds a matrix to values that bf16 holds.
struct Round;

impl ParameterVisitor for Round {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let shape = parameter.value.dims();
        let values: Vec<f32> = values(parameter.value.clone())
            .into_iter()
            .map(|value| f32::from_bits(value.to_bits() & 0xffff_0000))
            .collect();
        let data = TensorData::new(values, shape);
        parameter.value = Tensor::from_data(data, &parameter.value.device());
    }
}

struct Types(Vec<(String, DType)>);

impl ParameterVisitor for Types {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if D == 2 {
            self.0.push((parameter.name.clone(), parameter.value.dtype()));
        }
    }
}

#[test]
fn a_base_in_bf16_trains_like_the_same_values_in_f32() {
    for on in ["llama", "qwen2"] {
        let mut wide = adapted(on, 0.0);
        Adaptable::visit(&mut wide, &mut Round);
        let mut narrow = wide.clone();
        narrow.narrow_frozen();
        let mut types = Types(Vec::new());
        Adaptable::visit(&mut narrow, &mut types);
        for (name, dtype) in types.0 {
            let expected = if is_adapter_weight(&name) { DType::F32 } else { DType::BF16 };
            assert_eq!(dtype, expected, "{name}");
        }
        let (narrow_logits, wide_logits) = (logits(&narrow), logits(&wide));
        assert!(tiny::largest_difference(&narrow_logits, &wide_logits) < 1e-5);
        let (got, expected) = (gradients(&narrow, None), gradients(&wide, None));
        for (name, gradient) in expected {
            if let (Some(expected), Some(got)) = (gradient, &got[&name]) {
                assert!(tiny::largest_difference(got, &expected) < 1e-4, "{name}");
            }
        }
        // What is trained is f32 again.
        narrow.set_trainable(&|_| true);
        let mut types = Types(Vec::new());
        Adaptable::visit(&mut narrow, &mut types);
        assert!(types.0.iter().all(|(_, dtype)| *dtype == DType::F32));
    }
}
