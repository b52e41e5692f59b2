//! Decoding with the inference engine: exact passes as the decoder's, cached ones with exactly the
//! staleness that the mode says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use afterthought_models::inference::{CachedRow, InferenceModel, KvCache};
use afterthought_models::{Decoder, DecoderConfig};
use afterthought_random::Stream;
use afterthought_sampling::diffusion::{
    CacheMode, CachedCanvas, CachedDenoiser, CanvasBatch, CommitRule, Denoiser, DiffusionParams,
    Rollout, SampleKey, generate, generate_cached,
};
use afterthought_sampling::{DecoderError, PreparedDecoder};
use burn::tensor::Device;

const VOCAB: usize = 13;
const MASK: u32 = 2;
const EOS: u32 = 1;

/// A bidirectional decoder whose predictions depend clearly on the canvas; with `shifted_logits`
/// they come out one position early.
fn decoder(shifted_logits: bool) -> Decoder {
    let config = DecoderConfig {
        vocab_size: VOCAB,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 100.0,
        max_position_embeddings: 64,
        tie_word_embeddings: false,
        attention_bias: false,
        qk_norm: true,
        causal: false,
        shifted_logits,
        initializer_range: 0.02,
        mask_token_id: Some(MASK),
        bos_token_id: Some(0),
        eos_token_id: Some(EOS),
        pad_token_id: None,
        ..DecoderConfig::default()
    };
    let mut index = 0;
    Decoder::build(config, &Device::flex(), &mut |name, shape| {
        index += 1;
        let mut stream = Stream::new(8, "test weights", index, 0);
        let centre = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
        let count: usize = shape.iter().product();
        let values: Vec<f32> =
            (0..count).map(|_| (centre + 0.3 * stream.normal()) as f32).collect();
        Ok(values.into())
    })
    .unwrap()
}

fn params(commit: CommitRule, cache: CacheMode) -> DiffusionParams {
    DiffusionParams { block_length: 4, commit, cache, ..DiffusionParams::new(16, MASK, EOS, EOS) }
}

fn prompts() -> Vec<Vec<u32>> {
    (1..6).map(|n| (0..n).map(|i| 3 + (3 * n + i) % 10).collect()).collect()
}

const KEY: SampleKey<'static> = SampleKey { seed: 1, step: 2, samples: &[0, 1, 2, 3, 4] };

fn rules() -> [CommitRule; 3] {
    [CommitRule::Schedule { steps: 16 }, CommitRule::Threshold(0.5), CommitRule::Factor(1.0)]
}

fn assert_close(got: &[Rollout], expected: &[Rollout]) {
    for (g, e) in got.iter().zip(expected) {
        assert_eq!((&g.completion, g.model_calls), (&e.completion, e.model_calls));
        for (g, e) in g.trace.iter().zip(&e.trace) {
            assert_eq!(g.step, e.step);
            assert!((g.log_prob - e.log_prob).abs() < 1e-4, "{} {}", g.log_prob, e.log_prob);
        }
    }
}

#[test]
fn exact_mode_is_that_of_the_decoder() {
    let mut completions = Vec::new();
    for decoder in [decoder(false), decoder(true)] {
        let model = InferenceModel::from_decoder(&decoder).unwrap();
        let prepared = PreparedDecoder::new(&decoder, CacheMode::Exact).unwrap();
        assert!(matches!(prepared, PreparedDecoder::Tensors(_)));
        for rule in rules() {
            let params = params(rule, CacheMode::Exact);
            let expected = generate(&decoder, &prompts(), &params, KEY).unwrap();
            let packed = generate(&model, &prompts(), &params, KEY).unwrap();
            assert_close(&packed, &expected);
            let chosen = prepared.generate_with(&prompts(), &params, KEY, &mut |_| (), &|| false);
            assert_eq!(chosen.unwrap(), expected);
            completions.push(expected[0].completion.clone());
        }
    }
    // The shift is no small thing.
    assert_ne!(completions[0], completions[3]);
}

/// Runs a whole row afresh before each part of it: a cache that is never out of date.
struct Refreshed<'a> {
    model: &'a InferenceModel,
    /// The row as it stands, put together from the parts.
    rows: std::cell::RefCell<Vec<Vec<u32>>>,
}

/// Which of `rows` a cache belongs to, and the cache itself.
type Numbered = (usize, KvCache);

impl Denoiser for Refreshed<'_> {
    type Error = DecoderError;

    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn logits(&self, batch: &CanvasBatch<'_>, positions: &[u32]) -> Result<Vec<f32>, DecoderError> {
        Denoiser::logits(self.model, batch, positions)
    }
}

impl CachedDenoiser for Refreshed<'_> {
    type Cache = Numbered;

    fn shifted(&self) -> bool {
        self.model.config().shifted_logits
    }

    fn new_cache(&self, capacity: usize) -> Numbered {
        let mut rows = self.rows.borrow_mut();
        rows.push(vec![MASK; capacity]);
        (rows.len() - 1, self.model.new_cache(capacity))
    }

    fn logits_cached(
        &self,
        rows: &mut [CachedCanvas<'_, Numbered>],
    ) -> Result<Vec<f32>, DecoderError> {
        let mut all = self.rows.borrow_mut();
        let mut out = Vec::new();
        for row in rows {
            let (number, cache) = &mut *row.cache;
            let tokens = &mut all[*number];
            tokens[row.start..row.start + row.ids.len()].copy_from_slice(row.ids);
            for (start, tokens, wanted) in
                [(0, &tokens[..row.visible], &[][..]), (row.start, row.ids, row.wanted)]
            {
                let visible = row.visible;
                let mut rows = [CachedRow { cache, start, tokens, visible, wanted }];
                out.extend(self.model.forward(&mut rows)?);
            }
        }
        Ok(out)
    }
}

#[test]
fn a_cache_that_is_refreshed_before_each_pass_is_exact() {
    for shifted in [false, true] {
        let model = InferenceModel::from_decoder(&decoder(shifted)).unwrap();
        for rule in rules() {
            let exact = generate(&model, &prompts(), &params(rule, CacheMode::Exact), KEY).unwrap();
            for mode in [CacheMode::PrefixCache, CacheMode::DualCache] {
                let refreshed = Refreshed { model: &model, rows: Vec::new().into() };
                let rollouts = generate_cached(&refreshed, &prompts(), &params(rule, mode), KEY);
                assert_close(&rollouts.unwrap(), &exact);
            }
        }
    }
}

#[test]
fn the_first_pass_of_a_block_is_exact_and_later_ones_are_not() {
    let models = [false, true].map(|shifted| InferenceModel::from_decoder(&decoder(shifted)));
    let models = models.map(Result::unwrap);
    let modes = [CacheMode::PrefixCache, CacheMode::DualCache];
    for (model, mode) in models.iter().flat_map(|model| modes.map(|mode| (model, mode))) {
        let params = params(CommitRule::Schedule { steps: 16 }, mode);
        let mut stale = 0;
        for rollout in generate_cached(model, &prompts(), &params, KEY).unwrap() {
            for (position, commit) in rollout.trace.iter().enumerate() {
                let row = [&rollout.prompt[..], &rollout.canvas_at_step(commit.step)].concat();
                let wanted = [rollout.prompt.len() + position];
                let logits = model.logits(&[(&row, &wanted)]).unwrap();
                let sum: f64 = (0..VOCAB)
                    .filter(|v| *v != MASK as usize)
                    .map(|v| f64::from(logits[v]).exp())
                    .sum();
                let token = rollout.completion[position] as usize;
                let exact = f64::from(logits[token]) - sum.ln();
                let gap = (exact - f64::from(commit.log_prob)).abs();
                if commit.step % 4 == 0 {
                    assert!(gap < 1e-4, "{mode}: {gap}");
                } else {
                    stale += usize::from(gap > 1e-3);
                }
            }
        }
        assert!(stale > 20, "{mode}: {stale}");
    }
}

#[test]
fn cached_rows_know_nothing_of_each_other() {
    let model = InferenceModel::from_decoder(&decoder(true)).unwrap();
    for mode in [CacheMode::PrefixCache, CacheMode::DualCache] {
        for rule in rules() {
            let base =
                DiffusionParams { temperature: 0.7, stop_after_eos: true, ..params(rule, mode) };
            let together = generate_cached(&model, &prompts(), &base, KEY).unwrap();
            for max_rows in [1, 2] {
                let params = DiffusionParams { max_rows, ..base.clone() };
                assert_eq!(generate_cached(&model, &prompts(), &params, KEY).unwrap(), together);
            }
        }
    }
}
