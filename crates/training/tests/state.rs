//! A learner's state: what is saved is enough to go on bit by bit, and only that model takes it.
#![allow(clippy::unwrap_used, missing_docs)]

mod tiny;

use afterthought_adapters::{LoraConfig, Targets, attach_new};
use afterthought_models::{Decoder, Parameter, ParameterVisitor};
use afterthought_training::estimator::{Pass, Scored};
use afterthought_training::{Error, Learner, LearnerState};
use burn::tensor::Tensor;

fn learner(decoder: Decoder) -> Learner {
    Learner::new(decoder, tiny::adamw(), tiny::constant(1e-2))
}

fn adapted() -> Decoder {
    let mut decoder = tiny::decoder(tiny::config(), 3);
    attach_new(&mut decoder, &LoraConfig::new(Targets::all_linear()), 1).unwrap();
    decoder
}

/// Updates that raise the log-probability of everything scored.
fn updates(learner: &mut Learner, count: usize) {
    let scored = |column, token| Scored { column, token };
    let passes = [
        Pass { canvas: vec![1, 2, 3, 4], scored: vec![scored(1, 5), scored(3, 6)] },
        Pass { canvas: vec![3, 2], scored: vec![scored(0, 4)] },
    ];
    for _ in 0..count {
        let all = |log_probs: &[f32]| {
            let loss = -log_probs.iter().map(|value| f64::from(*value)).sum::<f64>();
            (loss, vec![-1.0; log_probs.len()], ())
        };
        learner.update(&passes, 8, all).unwrap();
    }
}

#[test]
fn a_restored_learner_goes_on_bit_by_bit() {
    for start in [tiny::decoder(tiny::config(), 3), adapted()] {
        let mut whole = learner(start.clone());
        updates(&mut whole, 3);
        let saved = whole.state().unwrap();
        updates(&mut whole, 3);
        let mut resumed = learner(start);
        resumed.restore(&saved).unwrap();
        assert_eq!(resumed.step(), 3);
        assert_eq!(resumed.state().unwrap(), saved);
        updates(&mut resumed, 3);
        assert_eq!(resumed.state().unwrap(), whole.state().unwrap());
    }
}

#[test]
fn before_the_first_update_there_are_no_moments() {
    let fresh = learner(adapted()).state().unwrap();
    let mut other = learner(adapted());
    updates(&mut other, 1);
    other.restore(&fresh).unwrap();
    assert_eq!((other.step(), other.state().unwrap()), (0, fresh));
}

#[test]
fn the_state_of_another_model_is_refused() {
    let problem =
        |state: &LearnerState, decoder: Decoder| match learner(decoder).restore(state).unwrap_err()
        {
            Error::State { problem, .. } => problem,
            other => panic!("{other}"),
        };
    let mut adapter = learner(adapted());
    updates(&mut adapter, 1);
    let state = adapter.state().unwrap();
    assert!(problem(&state, tiny::decoder(tiny::config(), 3)).ends_with("is missing"));
    let cut = LearnerState { weights: state.weights[..40].to_vec(), ..state.clone() };
    assert!(!problem(&cut, adapted()).is_empty());
    let without =
        LearnerState { optimizer: learner(adapted()).state().unwrap().optimizer, ..state };
    assert!(problem(&without, adapted()).contains("1 updates and 0 moments"));
}

/// Makes the first trainable weight infinite.
struct Spoil(bool);

impl ParameterVisitor for Spoil {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if parameter.trainable && !std::mem::replace(&mut self.0, true) {
            let shape = parameter.value.dims();
            parameter.value = Tensor::full(shape, f32::INFINITY, &parameter.value.device());
        }
    }
}

#[test]
fn a_state_that_is_not_finite_is_not_saved() {
    let mut decoder = tiny::decoder(tiny::config(), 3);
    decoder.visit(&mut Spoil(false));
    let error = learner(decoder).state().unwrap_err();
    assert!(matches!(error, Error::NonFinite { what: "a weight", .. }), "{error}");
}
