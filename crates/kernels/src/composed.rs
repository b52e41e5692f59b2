//! The same operations composed of ordinary tensor operations: what runs on devices without fused
//! code, and the oracle that the fused code is tested against.

use crate::attention::{AttentionSpec, HeadLayout};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation};

/// `x W^T`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

/// The products of `x` with each weight, side by side.
pub fn linears<const N: usize>(x: Tensor<2>, weights: [Tensor<2>; N]) -> Tensor<2> {
    Tensor::cat(weights.map(|weight| linear(x.clone(), weight)).to_vec(), 1)
}

/// `x / sqrt(mean(x^2) + eps) * weight`.
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    let scale = (x.clone().powf_scalar(2.0).mean_dim(1) + eps).sqrt();
    x / scale * weight.unsqueeze()
}

/// RMSNorm over each query head and each key head.
pub fn qk_norm(qkv: Tensor<2>, norms: [Tensor<1>; 2], layout: HeadLayout, eps: f32) -> Tensor<2> {
    let [q, k, v] = split(qkv, layout);
    let [q_norm, k_norm] = norms;
    let norm = |x: Tensor<2>, weight: Tensor<1>| {
        let [positions, width] = x.dims();
        let heads = x.reshape([positions * (width / layout.head_dim), layout.head_dim]);
        rms_norm(heads, weight, eps).reshape([positions, width])
    };
    Tensor::cat(vec![norm(q, q_norm), norm(k, k_norm), v], 1)
}

/// Queries, keys and values.
fn split(qkv: Tensor<2>, layout: HeadLayout) -> [Tensor<2>; 3] {
    let (keys, values) = (layout.keys(), layout.values());
    let part = |first, end| qkv.clone().narrow(1, first, end - first);
    [part(0, keys), part(keys, values), part(values, layout.width())]
}

/// `silu(gate) * up`, side by side in the input.
pub fn swiglu(gate_up: Tensor<2>) -> Tensor<2> {
    let inner = gate_up.dims()[1] / 2;
    activation::silu(gate_up.clone().narrow(1, 0, inner)) * gate_up.narrow(1, inner, inner)
}

fn int_tensor(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}

/// Rows of `table` by id.
pub fn embedding(table: Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let ids = int_tensor(ids, &table.device());
    table.select(0, ids)
}

/// Rotary softmax attention; see [`crate::functions::attention`] and
/// [`crate::functions::biased_attention`].
pub fn attention(qkv: Tensor<2>, bias: Option<Tensor<2>>, spec: &AttentionSpec) -> Tensor<2> {
    let device = qkv.device();
    let rows = spec.lengths.len();
    let HeadLayout { heads, kv_heads, head_dim } = spec.layout;
    let positions = qkv.dims()[0];
    let width = positions / rows;
    let [q, k, v] = split(qkv, spec.layout);
    let heads_first =
        |x: Tensor<2>, heads: usize| x.reshape([rows, width, heads, head_dim]).swap_dims(1, 2);
    let group = heads / kv_heads;
    let shared = |x: Tensor<4>| {
        x.reshape([rows, kv_heads, 1, width * head_dim])
            .repeat_dim(2, group)
            .reshape([rows, heads, width, head_dim])
    };
    let q = rotate(heads_first(q, heads), spec);
    let k = shared(rotate(heads_first(k, kv_heads), spec));
    let v = shared(heads_first(v, kv_heads));
    let mut scores = q.matmul(k.swap_dims(2, 3)) * spec.layout.scale();
    if let Some(bias) = bias {
        scores = scores + bias.reshape([1, heads, width, width]);
    }
    let hidden = mask(spec, width, &device).expand([rows, heads, width, width]);
    let probabilities = activation::softmax(scores.mask_fill(hidden, -1e30), 3);
    let output = probabilities.matmul(v).swap_dims(1, 2).reshape([positions, heads * head_dim]);
    let real: Vec<f32> = spec
        .lengths
        .iter()
        .flat_map(|length| (0..width).map(move |position| f32::from(u8::from(position < *length))))
        .collect();
    output * Tensor::<2>::from_data(TensorData::new(real, [positions, 1]), &device)
}

fn rotate(x: Tensor<4>, spec: &AttentionSpec) -> Tensor<4> {
    let Some(rotary) = &spec.rotary else {
        return x;
    };
    let device = x.device();
    let [_, _, width, dim] = x.dims();
    let half = dim / 2;
    let table = |values: &[f32]| {
        let values = values[..width * half].to_vec();
        Tensor::<4>::from_data(TensorData::new(values, [1, 1, width, half]), &device)
    };
    let (cos, sin) = (table(&rotary.cos), table(&rotary.sin));
    let first = x.clone().narrow(3, 0, half);
    let second = x.narrow(3, half, half);
    Tensor::cat(
        vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ],
        3,
    )
}

/// True where a key must not be seen, `rows x 1 x width x width`.
fn mask(spec: &AttentionSpec, width: usize, device: &Device) -> Tensor<4, Bool> {
    let mut hidden = Vec::with_capacity(spec.lengths.len() * width * width);
    for length in spec.lengths.iter() {
        for query in 0..width {
            for key in 0..width {
                hidden.push(key >= *length || (spec.causal && key > query));
            }
        }
    }
    let shape = [spec.lengths.len(), 1, width, width];
    Tensor::from_data(TensorData::new(hidden, shape), device)
}

/// `log softmax(hidden head^T)[target]` over the tokens not excluded.
pub fn token_log_prob(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: &[u32],
    excluded: &[u32],
) -> Tensor<1> {
    let device = hidden.device();
    let vocab = head.dims()[0];
    let mut bias = vec![0.0f32; vocab];
    for token in excluded {
        bias[*token as usize] = -1e30;
    }
    let bias = Tensor::<2>::from_data(TensorData::new(bias, [1, vocab]), &device);
    let targets = int_tensor(targets, &device).reshape([targets.len(), 1]);
    let log_probs = activation::log_softmax(linear(hidden, head) + bias, 1);
    log_probs.gather(1, targets).squeeze_dim(1)
}
