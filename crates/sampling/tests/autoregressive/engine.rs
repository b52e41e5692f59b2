//! The inference engine under the samplers.

use super::{KEY, params};
use afterthought_models::inference::InferenceModel;
use afterthought_models::{Batch, Decoder, DecoderConfig};
use afterthought_sampling::autoregressive::{
    AutoregressiveParams, GenerateError, Prompt, generate,
};
use afterthought_sampling::diffusion::{CanvasBatch, Denoiser};
use burn::tensor::Device;

fn config(causal: bool) -> DecoderConfig {
    DecoderConfig {
        vocab_size: 31,
        hidden_size: 24,
        intermediate_size: 40,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 6,
        rms_norm_eps: 1e-5,
        rope_theta: 100.0,
        max_position_embeddings: 80,
        tie_word_embeddings: true,
        attention_bias: true,
        qk_norm: false,
        causal,
        initializer_range: 0.6,
        mask_token_id: None,
        bos_token_id: None,
        eos_token_id: None,
        pad_token_id: None,
        ..DecoderConfig::default()
    }
}

fn models(causal: bool) -> (Decoder, InferenceModel) {
    let decoder = Decoder::random(config(causal), 5, &Device::flex()).unwrap();
    let model = InferenceModel::from_decoder(&decoder).unwrap();
    (decoder, model)
}

#[test]
fn greedy_decoding_is_the_argmax_of_full_passes() {
    let (decoder, model) = models(true);
    let prompts: [&[u32]; 3] = [&[3], &[5, 9, 2, 30, 4, 4, 1], &[7; 20]];
    let params = AutoregressiveParams { temperature: 0.0, ..params(40) };
    let prompts = prompts.map(|tokens| Prompt { tokens, samples: &[0, 1] });
    let result = generate(&model, &prompts, &params, KEY).unwrap();
    for (prompt, completions) in prompts.iter().zip(&result.completions) {
        assert_eq!(completions[0], completions[1]);
        let mut row = prompt.tokens.to_vec();
        for (token, log_prob) in completions[0].tokens.iter().zip(&completions[0].log_probs) {
            let batch = Batch::new(&row[..], [row.len()]).unwrap();
            let logits = decoder.logits_at(&batch, [row.len() as u32 - 1].into()).unwrap();
            let logits: Vec<f32> = logits.into_data().try_to_vec().unwrap();
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!(logits[*token as usize] > top - 1e-4);
            let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
            let expected = f64::from(logits[*token as usize]) - total.ln();
            assert!((f64::from(*log_prob) - expected).abs() < 1e-4);
            row.push(*token);
        }
    }
}

#[test]
fn sampled_completions_do_not_depend_on_the_batch() {
    let (_, model) = models(true);
    let (tokens, samples) = ([4, 8, 15, 16, 23, 2, 1, 1, 1, 6, 7, 8, 9, 3, 2, 1, 0, 30], [0, 1, 2]);
    let prompts = [
        Prompt { tokens: &tokens, samples: &samples },
        Prompt { tokens: &tokens[3..9], samples: &[7, 8] },
    ];
    let all = generate(&model, &prompts, &params(30), KEY).unwrap().completions;
    for max_rows in [1, 2, 4] {
        let params = AutoregressiveParams { max_rows, ..params(30) };
        assert_eq!(generate(&model, &prompts, &params, KEY).unwrap().completions, all);
    }
}

#[test]
fn bidirectional_models_do_not_continue_sequences() {
    let (_, model) = models(false);
    let prompts = [Prompt { tokens: &[1], samples: &[0] }];
    let result = generate(&model, &prompts, &params(3), KEY);
    assert!(matches!(result, Err(GenerateError::Model { pass: 0, .. })));
}

#[test]
fn full_passes_for_diffusion_are_the_decoders() {
    let (decoder, model) = models(false);
    let width = 50;
    let ids: Vec<u32> = (0..3 * width as u32).map(|i| i * 7 % 31).collect();
    let batch = CanvasBatch { ids: &ids, width, lengths: &[50, 33, 1] };
    for positions in [vec![0, 49, 50, 60, 82, 100], vec![51, 52], vec![]] {
        let logits = Denoiser::logits(&model, &batch, &positions).unwrap();
        assert_eq!(logits.len(), positions.len() * 31);
        if positions.is_empty() {
            continue;
        }
        let expected = Denoiser::logits(&decoder, &batch, &positions).unwrap();
        for (logit, expected) in logits.iter().zip(expected) {
            assert!((logit - expected).abs() < 1e-4);
        }
    }
    assert!(Denoiser::logits(&model, &batch, &[150]).is_err());
}
