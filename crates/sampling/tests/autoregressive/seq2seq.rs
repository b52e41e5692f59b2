//! The sampler over an encoder-decoder: prompts are sources, completions are targets.

use super::{KEY, params};
use afterthought_kernels::Activation;
use afterthought_models::inference::Seq2SeqModel;
use afterthought_models::{Batch, EncoderDecoder, EncoderDecoderConfig};
use afterthought_sampling::autoregressive::{
    AutoregressiveParams, Completion, GenerateError, Prompt, generate,
};
use burn::tensor::Device;

const START: u32 = 2;

fn models() -> (EncoderDecoder, Seq2SeqModel) {
    let config = EncoderDecoderConfig {
        vocab_size: 31,
        d_model: 16,
        d_kv: 6,
        d_ff: 24,
        num_layers: 2,
        num_decoder_layers: 2,
        num_heads: 3,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 20,
        activation: Activation::GeluTanh,
        is_gated_act: true,
        layer_norm_epsilon: 1e-6,
        tie_word_embeddings: true,
        scale_decoder_outputs: true,
        initializer_factor: 1.0,
        dropout_rate: 0.0,
        decoder_start_token_id: START,
        pad_token_id: Some(0),
        eos_token_ids: vec![1],
    };
    let model = EncoderDecoder::random(config, 5, &Device::flex()).unwrap();
    let packed = Seq2SeqModel::from_model(&model).unwrap();
    (model, packed)
}

/// Logits of each token of a completion, from one pass over all of it.
fn logits(model: &EncoderDecoder, source: &[u32], tokens: &[u32]) -> Vec<Vec<f32>> {
    let encoded = model.encode(&Batch::new(source, [source.len()]).unwrap()).unwrap();
    let inputs = model.decoder_inputs(&[tokens.to_vec()]).unwrap();
    assert_eq!(inputs.ids()[0], START);
    let positions = (0..tokens.len() as u32).collect();
    let logits = model.logits_at(&encoded, &inputs, positions).unwrap();
    let logits: Vec<f32> = logits.into_data().try_to_vec().unwrap();
    logits.chunks_exact(31).map(<[f32]>::to_vec).collect()
}

fn log_prob(logits: &[f32], token: u32) -> f64 {
    let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    f64::from(logits[token as usize]) - total.ln()
}

fn check_log_probs(model: &EncoderDecoder, source: &[u32], completion: &Completion) {
    let logits = logits(model, source, &completion.tokens);
    let tokens = completion.tokens.iter().zip(&completion.log_probs);
    for ((token, found), logits) in tokens.zip(logits) {
        assert!((f64::from(*found) - log_prob(&logits, *token)).abs() < 1e-4);
    }
}

const SOURCES: [&[u32]; 3] = [&[3, 1], &[5, 9, 2, 30, 4, 4, 1], &[7; 40]];

#[test]
fn greedy_decoding_is_the_argmax_of_full_passes() {
    let (model, packed) = models();
    let params = AutoregressiveParams { temperature: 0.0, ..params(30) };
    let prompts = SOURCES.map(|tokens| Prompt { tokens, samples: &[0, 1] });
    let result = generate(&packed, &prompts, &params, KEY).unwrap();
    for (source, completions) in SOURCES.iter().zip(&result.completions) {
        assert_eq!(completions[0], completions[1]);
        check_log_probs(&model, source, &completions[0]);
        let logits = logits(&model, source, &completions[0].tokens);
        for (token, logits) in completions[0].tokens.iter().zip(logits) {
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!(logits[*token as usize] > top - 1e-4);
        }
    }
}

#[test]
fn samples_of_a_source_share_its_pass_and_do_not_depend_on_the_batch() {
    let (model, packed) = models();
    let samples: Vec<u64> = (0..9).collect();
    let prompts = [
        Prompt { tokens: SOURCES[2], samples: &samples },
        Prompt { tokens: SOURCES[1], samples: &[3] },
    ];
    let all = generate(&packed, &prompts, &params(25), KEY).unwrap();
    // Each source once, and each token of a completion but the last.
    let targets = all.completions.iter().flatten().map(|c| c.tokens.len() - 1).sum::<usize>();
    assert_eq!(all.cost.forward_tokens, 40 + 7 + targets);
    let lengths: Vec<usize> = all.completions[0].iter().map(|c| c.tokens.len()).collect();
    assert!(lengths.iter().any(|length| *length != lengths[0]), "no row left early");
    assert!(all.completions[0].iter().any(|c| c.tokens != all.completions[0][0].tokens));
    for (source, completions) in [SOURCES[2], SOURCES[1]].iter().zip(&all.completions) {
        completions.iter().for_each(|completion| check_log_probs(&model, source, completion));
    }
    for max_rows in [1, 2, 4] {
        let params = AutoregressiveParams { max_rows, ..params(25) };
        let again = generate(&packed, &prompts, &params, KEY).unwrap();
        assert_eq!(again.completions, all.completions);
    }
}

#[test]
fn sources_that_are_too_long_are_errors() {
    let (_, packed) = models();
    let run = |source: &[u32], new: usize| {
        let prompts = [Prompt { tokens: source, samples: &[0] }];
        generate(&packed, &prompts, &params(new), KEY).unwrap_err()
    };
    assert!(matches!(run(&[1; 5000], 3), GenerateError::Model { pass: 0, .. }));
    assert!(matches!(run(&[1; 10], usize::MAX), GenerateError::Params(_)));
}
