//! What a row comes out as depends on nothing but itself.

use crate::denoisers::hashed;
use afterthought_sampling::diffusion::{
    CommitRule, DiffusionParams, Remasking, Rollout, SampleKey, generate, generate_with,
};

const VOCAB: usize = 12;
const MASK: u32 = 11;
const EOS: u32 = 1;

fn variants() -> Vec<DiffusionParams> {
    let base = DiffusionParams {
        block_length: 4,
        commit: CommitRule::Schedule { steps: 6 },
        temperature: 0.8,
        ..DiffusionParams::new(12, MASK, EOS, 0)
    };
    vec![
        DiffusionParams { temperature: 0.0, ..base.clone() },
        DiffusionParams { remasking: Remasking::Random, stop_after_eos: true, ..base.clone() },
        DiffusionParams {
            commit: CommitRule::Threshold(0.3),
            stop_after_eos: true,
            ..base.clone()
        },
        DiffusionParams { cfg_scale: 1.5, suppress: vec![3, 4], ..base.clone() },
        base,
    ]
}

fn prompts() -> Vec<Vec<u32>> {
    (0..7).map(|i| (0..=(i * 5) % 7).map(|j| 2 + (i + j) % 8).collect()).collect()
}

fn run(params: &DiffusionParams, rows: &[usize]) -> Vec<Rollout> {
    let all = prompts();
    let prompts: Vec<Vec<u32>> = rows.iter().map(|&i| all[i].clone()).collect();
    let samples: Vec<u64> = rows.iter().map(|&i| 100 + i as u64).collect();
    let key = SampleKey { seed: 5, step: 3, samples: &samples };
    generate(&hashed(VOCAB, 6.0), &prompts, params, key).unwrap()
}

#[test]
fn batches_orders_and_subsets_give_the_same_rows() {
    for params in variants() {
        let alone: Vec<Rollout> = (0..7).map(|i| run(&params, &[i]).remove(0)).collect();
        for rows in [vec![0, 1, 2, 3, 4, 5, 6], vec![6, 2, 4], vec![3, 1, 0, 6, 5, 2, 4]] {
            for max_rows in [1, 2, 3, usize::MAX] {
                let params = DiffusionParams { max_rows, ..params.clone() };
                let together = run(&params, &rows);
                for (&i, rollout) in rows.iter().zip(&together) {
                    assert_eq!(rollout, &alone[i], "row {i} of {rows:?} with {params:?}");
                }
            }
        }
    }
}

#[test]
fn every_part_of_the_key_matters() {
    let params = DiffusionParams { temperature: 1.0, ..DiffusionParams::new(12, MASK, EOS, 0) };
    let run = |seed, step, sample| {
        let key = SampleKey { seed, step, samples: &[sample] };
        generate(&hashed(VOCAB, 2.0), &[vec![2]], &params, key).unwrap().remove(0).completion
    };
    let base = run(1, 2, 3);
    assert_eq!(base, run(1, 2, 3));
    for other in [run(2, 2, 3), run(1, 3, 3), run(1, 2, 4)] {
        assert_ne!(base, other);
    }
}

#[test]
fn large_vocabularies_take_the_threaded_path_to_the_same_result() {
    let params = DiffusionParams { temperature: 0.7, ..DiffusionParams::new(4, 0, EOS, 2) };
    let model = hashed(30_000, 12.0);
    let prompts = vec![vec![5, 6]; 3];
    let run = |prompts: &[Vec<u32>], samples: &[u64]| {
        generate(&model, prompts, &params, SampleKey { seed: 1, step: 0, samples }).unwrap()
    };
    let together = run(&prompts, &[7, 8, 9]);
    for (sample, rollout) in [7, 8, 9].into_iter().zip(&together) {
        assert_eq!(rollout, &run(&prompts[..1], &[sample])[0]);
    }
    // One position is left in the last step of the lone row: that one ran on one thread.
    assert_eq!(model.seen().last().unwrap().positions, 1);
}

#[test]
fn padding_is_to_the_longest_row_only() {
    let model = hashed(VOCAB, 6.0);
    let params = DiffusionParams::new(2, MASK, EOS, 0);
    let key = SampleKey { seed: 0, step: 0, samples: &[0, 1] };
    let rollouts = generate(&model, &[vec![2; 5], vec![2; 3]], &params, key).unwrap();
    for seen in model.seen() {
        assert_eq!((seen.width, seen.lengths), (7, vec![7, 5]));
    }
    let costs: Vec<_> = rollouts.iter().map(|r| (r.model_calls, r.forward_tokens)).collect();
    assert_eq!(costs, [(2, 14), (2, 10)]);
}

#[test]
fn waiting_rows_fill_the_room_of_finished_ones() {
    let model = hashed(VOCAB, 6.0);
    let params = DiffusionParams {
        block_length: 4,
        commit: CommitRule::Threshold(0.25),
        max_rows: 3,
        ..DiffusionParams::new(12, MASK, EOS, 0)
    };
    let prompts = prompts();
    let key = SampleKey { seed: 0, step: 0, samples: &[0, 1, 2, 3, 4, 5, 6] };
    let mut finished = Vec::new();
    let rollouts = generate_with(
        &model,
        &prompts,
        &params,
        key,
        &mut |event| {
            for row in &event.rows {
                let masked = row.completion.contains(&MASK);
                assert_eq!(row.finished, !masked);
                assert!(row.committed.iter().all(|&p| row.completion[p] != MASK));
                if row.finished {
                    finished.push(row.row);
                }
            }
        },
        &|| false,
    )
    .unwrap();
    finished.sort_unstable();
    assert_eq!(finished, [0, 1, 2, 3, 4, 5, 6]);
    let seen = model.seen();
    let row_passes: usize = seen.iter().map(|s| s.lengths.len()).sum();
    assert_eq!(row_passes, rollouts.iter().map(|r| r.model_calls).sum::<usize>());
    // Rows take different numbers of steps, yet every pass is full until no row waits any more.
    assert!(rollouts.iter().any(|r| r.model_calls != rollouts[0].model_calls));
    let full = seen.iter().take_while(|s| s.lengths.len() == 3).count();
    assert!(seen[full..].is_sorted_by(|a, b| a.lengths.len() >= b.lengths.len()));
}
