//! What holds for any parameters.

use crate::denoisers::hashed;
use afterthought_sampling::diffusion::{
    CommitRule, DiffusionParams, Remasking, SampleKey, generate,
};
use proptest::prelude::*;

const VOCAB: usize = 12;
const MASK: u32 = 4;
const EOS: u32 = 1;

fn params() -> impl Strategy<Value = DiffusionParams> {
    let lengths = (1usize..=4, 1usize..=5)
        .prop_flat_map(|(blocks, block)| (Just(blocks), Just(block), 1..=block));
    let rule = prop_oneof![
        Just((Remasking::LowConfidence, None)),
        Just((Remasking::Random, None)),
        (0.0f32..1.2).prop_map(|t| (Remasking::LowConfidence, Some(CommitRule::Threshold(t)))),
        (0.0f32..4.0).prop_map(|f| (Remasking::LowConfidence, Some(CommitRule::Factor(f)))),
    ];
    let temperature = prop_oneof![Just(0.0), 0.01f64..3.0];
    let cfg_scale = prop_oneof![Just(0.0f32), 0.1f32..2.0];
    let suppress = prop::collection::vec(0..VOCAB as u32, 0..4);
    let rest = (any::<bool>(), 1usize..5);
    (lengths, rule, temperature, cfg_scale, suppress, rest).prop_map(
        |(
            (blocks, block, steps),
            (remasking, by_confidence),
            temperature,
            cfg_scale,
            suppress,
            rest,
        )| {
            DiffusionParams {
                block_length: block,
                commit: by_confidence.unwrap_or(CommitRule::Schedule { steps: steps * blocks }),
                temperature,
                cfg_scale,
                remasking,
                suppress,
                stop_after_eos: rest.0,
                max_rows: rest.1,
                ..DiffusionParams::new(blocks * block, MASK, EOS, 0)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn completions_are_complete_and_traces_consistent(
        params in params(),
        prompts in prop::collection::vec(prop::collection::vec(5u32..VOCAB as u32, 1..5), 0..5),
        seed in any::<u64>(),
    ) {
        let samples: Vec<u64> = (0..prompts.len() as u64).collect();
        let key = SampleKey { seed, step: 1, samples: &samples };
        let rollouts = generate(&hashed(VOCAB, 7.0), &prompts, &params, key).unwrap();
        prop_assert_eq!(rollouts.len(), prompts.len());
        let banned = params.banned();
        for (rollout, prompt) in rollouts.iter().zip(&prompts) {
            prop_assert_eq!(&rollout.prompt, prompt);
            prop_assert_eq!(rollout.completion.len(), params.gen_length);
            prop_assert_eq!(rollout.trace.len(), params.gen_length);
            prop_assert!(rollout.completion.iter().all(|id| !banned.contains(id)));

            let steps = rollout.steps();
            prop_assert!(rollout.canvas_at_step(0).iter().all(|&id| id == MASK));
            prop_assert_eq!(&rollout.canvas_at_step(steps), &rollout.completion);
            let passes = if params.cfg_scale > 0.0 { 2 } else { 1 };
            prop_assert_eq!(rollout.model_calls, steps as usize * passes);
            let length = prompt.len() + params.gen_length;
            prop_assert_eq!(rollout.forward_tokens, rollout.model_calls * length);

            // Each step commits something, in one block; blocks come one after the other.
            let mut block = 0;
            for step in 0..steps {
                let of_step: Vec<usize> = (0..params.gen_length)
                    .filter(|&p| rollout.trace[p].step == step && !rollout.trace[p].filled)
                    .collect();
                prop_assert!(!of_step.is_empty());
                let blocks: Vec<usize> = of_step.iter().map(|p| p / params.block_length).collect();
                prop_assert!(blocks.iter().all(|&b| b == blocks[0]) && blocks[0] >= block);
                block = blocks[0];
            }
            if let (Some(all), false) =
                (params.commit.steps(), rollout.trace.iter().any(|c| c.filled))
            {
                prop_assert_eq!(steps as usize, all);
            }
            for commit in &rollout.trace {
                prop_assert!(commit.confidence > 0.0 && commit.confidence <= 1.0);
                prop_assert!(commit.log_prob <= 0.0 && commit.log_prob.is_finite());
            }
        }
    }
}
