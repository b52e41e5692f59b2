//! The engine in bf16 against the decoder in bf16, which rounds the same values and, beyond them,
//! those of its attention. In a process of its own: the precision is one choice for all threads.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod tiny;

use afterthought_kernels::{Precision, set_precision};
use afterthought_models::inference::{CachedRow, InferenceModel};
use afterthought_models::{Batch, DecoderConfig};
use tiny::{decoder, real_positions, rows, settings, values};

#[test]
fn cached_passes_round_as_the_decoder_does() {
    if set_precision(Precision::Bf16).is_err() {
        eprintln!("skipped: the processor has no bf16 tiles");
        return;
    }
    for (name, config) in settings() {
        let config = DecoderConfig { max_position_embeddings: 200, ..config };
        let decoder = decoder(config, 2);
        let model = InferenceModel::from_decoder(&decoder).unwrap();
        for row in rows(&[1, 7, 33, 127], 3) {
            let batch = Batch::new(&row[..], [row.len()]).unwrap();
            let expected = values(decoder.logits_at(&batch, real_positions(&batch)).unwrap());
            let mut cache = model.new_cache(row.len());
            let mut logits = Vec::new();
            let chunk = if model.config().causal { 5 } else { row.len() };
            for tokens in row.chunks(chunk) {
                let start = cache.len();
                let wanted: Vec<usize> = (0..tokens.len()).collect();
                let row = CachedRow {
                    visible: start + tokens.len(),
                    cache: &mut cache,
                    start,
                    tokens,
                    wanted: &wanted,
                };
                logits.extend(model.forward(&mut [row]).unwrap());
            }
            // Attention rounds here and not there, and sums in another order move a few activations
            // to the neighbouring bf16 value: about a hundredth of the logits' size.
            let size = expected.iter().map(|e| e * e).sum::<f32>();
            let error = expected.iter().zip(&logits).map(|(e, l)| (e - l).powi(2)).sum::<f32>();
            assert_eq!(expected.len(), logits.len());
            assert!(error <= 2e-4 * size, "{name}, {} tokens: {error} of {size}", row.len());
        }
    }
}
