//! The kernels against the same operations composed of ordinary tensor operations, and a model
//! against itself after a round trip through files.

use std::sync::Arc;

use afterthought_kernels::{
    Activation, AttentionSpec, HeadLayout, Precision, RotaryTable, composed, functions, precision,
    set_precision,
};
use afterthought_models::family::Family;
use afterthought_models::{Batch, Decoder, DecoderConfig, hub};
use afterthought_random::Stream;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

/// Largest difference that rounding in another order explains, for values of about 1.
const ROUNDING: f32 = 1e-4;

/// One check and its outcome.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    /// Largest absolute difference between the two results.
    pub(crate) difference: f32,
    /// What is allowed.
    pub(crate) allowed: f32,
    /// Why there is no difference to report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// Runs every check. f32 is checked whatever the precision in use, bf16 where the processor has it.
pub(crate) fn checks() -> Vec<Check> {
    let device = Device::flex();
    let mut checks = at(Precision::F32, || {
        let mut checks = f32_checks(&device);
        checks.push(f64_check(&device));
        checks
    });
    if Precision::fastest() == Precision::Bf16 {
        checks.push(at(Precision::Bf16, || bf16_check(&device)));
    }
    checks
}

/// Does something at a precision and goes back to the one before.
fn at<T>(wanted: Precision, work: impl FnOnce() -> T) -> T {
    let before = precision();
    // Both precisions are known to be supported: f32 always is, the others were chosen or asked for.
    let _ = set_precision(wanted);
    let result = work();
    let _ = set_precision(before);
    result
}

/// The f32 product against sums in f64: the composed product might be wrong in the same way.
fn f64_check(device: &Device) -> Check {
    let (x, weight) = (values(37 * 48, 1), values(80 * 48, 3));
    let matrix = |values: &[f32], rows| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [rows, 48]), device)
    };
    let product = functions::linear(matrix(&x, 37), matrix(&weight, 80));
    let dot = |row: &[f32], column: &[f32]| {
        row.iter().zip(column).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
    };
    let exact: Vec<f32> = x
        .chunks(48)
        .flat_map(|row| weight.chunks(48).map(move |column| dot(row, column)))
        .collect();
    let exact = Tensor::<2>::from_data(TensorData::new(exact, [37, 80]), device);
    check("linear, f64 sums", difference(&product, &exact), ROUNDING)
}

/// The bf16 product against the f32 product of factors that were rounded beforehand: products of
/// two bf16 numbers are exact in f32, so only the order of the sums differs.
fn bf16_check(device: &Device) -> Check {
    let (x, weight) = (values(37 * 48, 1), values(80 * 48, 3));
    let matrix = |values: &[f32]| {
        let shape = [values.len() / 48, 48];
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), device)
    };
    let bf16 = functions::linear(matrix(&x), matrix(&weight));
    let [x, weight] = [x, weight].map(|values| values.into_iter().map(to_bf16).collect::<Vec<_>>());
    let rounded = composed::linear(matrix(&x), matrix(&weight));
    check("linear, bf16", difference(&bf16, &rounded), ROUNDING)
}

/// The nearest bf16, ties to even, of a finite value.
fn to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let up = 0x7fff + (bits >> 16 & 1);
    f32::from_bits(bits.wrapping_add(up) & 0xffff_0000)
}

fn f32_checks(device: &Device) -> Vec<Check> {
    let matrix = |rows: usize, cols: usize, salt: u64| random(rows, cols, salt, device);
    let vector = |width: usize, salt: u64| matrix(1, width, salt).reshape([width]);
    let compare = |name, fused: Tensor<2>, composed: Tensor<2>| {
        check(name, difference(&fused, &composed), ROUNDING)
    };
    let (x, gate_up) = (matrix(37, 48, 1), matrix(37, 96, 2));
    let (weight, table) = (matrix(80, 48, 3), matrix(61, 48, 4));
    let norm = vector(48, 5);
    let ids: Arc<[u32]> = (0..37).map(|i| i * 13 % 61).collect();
    let banned: Arc<[u32]> = Arc::new([60]);
    let targets: Arc<[u32]> = (0..37).map(|i| i * 7 % 60).collect();
    let column = |values: Tensor<1>| values.reshape([37, 1]);
    let layout = HeadLayout { heads: 4, kv_heads: 4, head_dim: 12 };
    let qkv = matrix(2 * 19, layout.width(), 6);
    let spec = AttentionSpec {
        layout,
        causal: false,
        window: None,
        scale: layout.scale(),
        rotary: Some(Arc::new(RotaryTable::standard(10_000.0, 12, 19)).into()),
        lengths: Arc::new([19, 11]),
    };
    vec![
        compare(
            "linear",
            functions::linear(x.clone(), weight.clone()),
            composed::linear(x.clone(), weight),
        ),
        compare(
            "rms_norm",
            functions::rms_norm(x.clone(), norm.clone(), 1e-5),
            composed::rms_norm(x.clone(), norm, 1e-5),
        ),
        compare(
            "swiglu",
            functions::swiglu(gate_up.clone()),
            composed::gated(gate_up, Activation::Silu),
        ),
        compare(
            "embedding",
            functions::embedding(table.clone(), ids.clone()),
            composed::embedding(table.clone(), &ids),
        ),
        compare(
            "attention",
            functions::attention(qkv.clone(), spec.clone()),
            composed::attention(qkv, None, &spec),
        ),
        compare(
            "token_log_prob",
            column(functions::token_log_prob(
                x.clone(),
                table.clone(),
                targets.clone(),
                banned.clone(),
            )),
            column(composed::token_log_prob(x, table, &targets, &banned)),
        ),
        check("model files", round_trip(device), 0.0),
    ]
}

fn check(name: &'static str, difference: Result<f32, String>, allowed: f32) -> Check {
    match difference {
        Ok(difference) => Check {
            name,
            // A difference that is not a number is not small.
            ok: difference <= allowed,
            difference,
            allowed,
            problem: None,
        },
        Err(problem) => {
            Check { name, ok: false, difference: f32::INFINITY, allowed, problem: Some(problem) }
        }
    }
}

fn random(rows: usize, cols: usize, salt: u64, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values(rows * cols, salt), [rows, cols]), device)
}

/// Standard normal values.
fn values(count: usize, salt: u64) -> Vec<f32> {
    let mut stream = Stream::new(0, "self-test", 0, salt);
    (0..count).map(|_| stream.normal() as f32).collect()
}

fn difference(left: &Tensor<2>, right: &Tensor<2>) -> Result<f32, String> {
    let values = |tensor: &Tensor<2>| {
        tensor.to_data().try_to_vec::<f32>().map_err(|error| format!("{error:?}"))
    };
    let (left, right) = (values(left)?, values(right)?);
    if left.len() != right.len() {
        return Err(format!("{} values instead of {}", left.len(), right.len()));
    }
    // `max` would pass over a NaN.
    let worst = |worst: f32, (a, b): (&f32, &f32)| match (a - b).abs() {
        difference if difference > worst || difference.is_nan() => difference,
        _ => worst,
    };
    Ok(left.iter().zip(&right).fold(0.0, worst))
}

/// Logits of a small model before it is saved and after it is loaded.
fn round_trip(device: &Device) -> Result<f32, String> {
    let text = |error: afterthought_models::Error| error.to_string();
    let config = DecoderConfig {
        family: Family::Qwen3,
        vocab_size: 29,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 32,
        tie_word_embeddings: false,
        attention_bias: false,
        qk_norm: true,
        causal: false,
        initializer_range: 0.1,
        mask_token_id: Some(2),
        bos_token_id: Some(0),
        eos_token_id: Some(1),
        pad_token_id: None,
        ..DecoderConfig::default()
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("model");
    let decoder = Decoder::random(config, 1, device).map_err(text)?;
    hub::save(&decoder, b"{}\n", &path).map_err(text)?;
    let loaded = hub::load(&path, device).map_err(text)?;
    let batch = Batch::from_rows(&[vec![0, 5, 9, 2, 2], vec![0, 7, 2]], 1).map_err(text)?;
    let positions: Arc<[u32]> = Arc::new([3, 4, 7]);
    let logits = |decoder: &Decoder| decoder.logits_at(&batch, positions.clone()).map_err(text);
    difference(&logits(&decoder)?, &logits(&loaded)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_to_the_nearest_and_then_to_even() {
        // bf16 keeps 7 bits behind the leading one: steps of 2^-7 at 1.
        let step = 1.0 / 128.0;
        let near = [1.0, 1.0 + 0.4 * step, 1.0 + 0.6 * step, 1.0 + 0.5 * step, 1.0 + 1.5 * step];
        let expected = [1.0, 1.0, 1.0 + step, 1.0, 1.0 + 2.0 * step];
        assert_eq!(near.map(to_bf16), expected);
        assert_eq!(near.map(|value| to_bf16(-value)), expected.map(|value| -value));
    }

    #[test]
    fn a_broken_kernel_does_not_pass() {
        let device = Device::flex();
        let good = random(3, 4, 1, &device);
        let bad = good.clone() + 1e-3;
        assert_eq!(difference(&good, &good), Ok(0.0));
        assert!(!check("x", difference(&good, &bad), ROUNDING).ok);
        let nan = good.clone() * f32::NAN;
        assert!(!check("x", difference(&good, &nan), ROUNDING).ok);
        assert!(!check("x", Err("unreadable".to_owned()), ROUNDING).ok);
    }
}
