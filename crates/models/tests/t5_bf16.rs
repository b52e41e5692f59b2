//! An encoder-decoder in bf16, in a process of its own: the precision is one for all threads.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use afterthought_kernels::{Precision, set_precision};
use afterthought_models::inference::DecoderRow;
use afterthought_models::{Batch, hub};
use burn::tensor::Device;
use std::path::Path;

#[test]
fn logits_agree_with_f32_to_their_rounding() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/t5/gated_untied");
    let model = hub::load_encoder_decoder(&folder, &Device::flex()).unwrap();
    let row = |length: u32, step: u32| (0..length).map(|at| at * step % 43).collect::<Vec<u32>>();
    let (source, target) = (row(70, 5), row(90, 7));
    let logits = || -> Vec<f32> {
        let encoded = model.encode(&Batch::new(&source[..], [70]).unwrap()).unwrap();
        let inputs = Batch::new(&target[..], [90]).unwrap();
        let logits = model.logits_at(&encoded, &inputs, (0..90).collect()).unwrap();
        logits.into_data().try_to_vec().unwrap()
    };
    let exact = logits();
    if set_precision(Precision::Bf16).is_err() {
        eprintln!("skipped: the processor cannot multiply bf16 matrices");
        return;
    }
    let packed = hub::load_seq2seq(&folder).unwrap();
    let encoded = packed.encode(&[&source]).unwrap().remove(0);
    let mut cache = packed.new_cache(&encoded, 90);
    let wanted: Vec<usize> = (0..90).collect();
    let row = DecoderRow { cache: &mut cache, tokens: &target, wanted: &wanted };
    let mut cached = Vec::new();
    packed.decode_into(&mut [row], &mut cached).unwrap();
    let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    for rounded in [logits(), cached] {
        let error: Vec<f32> = rounded.iter().zip(&exact).map(|(a, b)| a - b).collect();
        let share = norm(&error) / norm(&exact);
        assert!(share < 0.05, "{share}");
    }
}
