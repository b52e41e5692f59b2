//! The learner on a model with an adapter: what an update changes, and what it leaves alone.
#![allow(clippy::unwrap_used, missing_docs)]

mod tiny;

use afterthought_adapters::{LoraConfig, Targets, attach_new, is_adapter_weight};
use afterthought_models::{Decoder, Parameter, ParameterVisitor};
use afterthought_training::Learner;
use afterthought_training::estimator::{Pass, Scored, log_probs};
use std::collections::BTreeMap;

#[derive(Default)]
struct Weights(BTreeMap<String, Vec<f32>>);

impl ParameterVisitor for Weights {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let values = parameter.value.to_data().try_to_vec().unwrap();
        self.0.insert(parameter.name.clone(), values);
    }
}

fn weights(decoder: &Decoder) -> BTreeMap<String, Vec<f32>> {
    let mut weights = Weights::default();
    decoder.clone().visit(&mut weights);
    weights.0
}

fn adapted(dropout: f64) -> Decoder {
    let mut decoder = tiny::decoder(tiny::config(), 3);
    let mut config = LoraConfig::new(Targets::names(["q_proj", "up_proj", "down_proj"]));
    (config.rank, config.alpha, config.dropout) = (2, 8.0, dropout);
    let paths = attach_new(&mut decoder, &config, 1).unwrap();
    assert_eq!(paths.len(), 3 * decoder.config().num_hidden_layers);
    decoder
}

fn learner(decoder: Decoder) -> Learner {
    Learner::new(decoder, tiny::adamw(), tiny::constant(1e-2))
}

fn passes() -> Vec<Pass> {
    let scored = |column, token| Scored { column, token };
    vec![
        Pass { canvas: vec![1, 2, 3, 4], scored: vec![scored(1, 5), scored(3, 6)] },
        Pass { canvas: vec![3, 2], scored: vec![scored(0, 4)] },
        Pass { canvas: vec![2, 4, 5], scored: vec![scored(2, 3)] },
    ]
}

/// One update that raises the log-probability of everything scored.
fn step(learner: &mut Learner, max_rows: usize) -> f64 {
    let all = |log_probs: &[f32]| {
        let loss = -log_probs.iter().map(|value| f64::from(*value)).sum::<f64>();
        (loss, vec![-1.0; log_probs.len()], ())
    };
    learner.update(&passes(), max_rows, all).unwrap().0.loss
}

#[test]
fn updates_touch_adapter_weights_and_nothing_else() {
    let before = weights(&adapted(0.0));
    let mut learner = learner(adapted(0.0));
    let first = step(&mut learner, 8);
    // After the first update B is no longer zero, so the second changes A as well.
    step(&mut learner, 8);
    let after = weights(learner.decoder());
    for (name, values) in &before {
        assert_eq!(*values != after[name], is_adapter_weight(name), "{name}");
    }
    let mut loss = 0.0;
    for _ in 0..20 {
        loss = step(&mut learner, 8);
    }
    assert!(loss < first - 1.0, "{first} to {loss}");
    // The reference policy is the model with its adapter disabled: it has not moved.
    let reference = learner.decoder().without_adapters();
    let base = tiny::decoder(tiny::config(), 3);
    assert_eq!(
        log_probs(&reference, &passes(), 8).unwrap(),
        log_probs(&base, &passes(), 8).unwrap()
    );
}

#[test]
fn dropout_is_in_updates_only_where_asked_for_and_does_not_depend_on_chunks() {
    let trained = |dropout: f64, seed: Option<u64>, max_rows: usize| {
        let mut learner = learner(adapted(dropout));
        if let Some(seed) = seed {
            learner = learner.with_dropout(seed);
        }
        let losses: Vec<f64> = (0..3).map(|_| step(&mut learner, max_rows)).collect();
        losses
    };
    let off = trained(0.4, None, 8);
    assert_eq!(off, trained(0.0, None, 8));
    let on = trained(0.4, Some(1), 8);
    // The first update begins at B = 0, where nothing that is dropped matters.
    assert!((on[0] - off[0]).abs() < 1e-5);
    assert!((on[2] - off[2]).abs() > 1e-4, "{on:?} {off:?}");
    assert_ne!(on, trained(0.4, Some(2), 8));
    for (whole, chunked) in on.iter().zip(trained(0.4, Some(1), 1)) {
        assert!((whole - chunked).abs() < 1e-4, "{whole} against {chunked}");
    }
}
