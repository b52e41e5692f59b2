//! The same operations composed of ordinary tensor operations: what runs on devices without fused
//! code, and the oracle that the fused code is tested against.

use crate::activation::Activation;
use crate::attention::{AttentionSpec, CrossAttentionSpec, HeadLayout, Rotary, RotaryTable};
use crate::low_rank::LowRankSpec;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation};

/// `x W^T`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

/// The products of `x` with each weight, side by side.
pub fn linears<const N: usize>(x: Tensor<2>, weights: [Tensor<2>; N]) -> Tensor<2> {
    Tensor::cat(weights.map(|weight| linear(x.clone(), weight)).to_vec(), 1)
}

/// `y + scale * (dropout(x) A^T) B^T` on columns of `y`.
pub fn low_rank_add(
    y: Tensor<2>,
    x: Tensor<2>,
    [a, b]: [Tensor<2>; 2],
    spec: &LowRankSpec,
) -> Tensor<2> {
    let x = match &spec.dropout {
        None => x,
        Some(mask) => {
            let factors = TensorData::new(mask.factors().collect::<Vec<f32>>(), mask.shape());
            x.clone() * Tensor::from_data(factors, &x.device())
        }
    };
    let (width, first, columns) = (y.dims()[1], spec.first, b.dims()[0]);
    let term = linear(linear(x, a), b) * spec.scale;
    let part = |from, columns| y.clone().narrow(1, from, columns);
    let mut parts = vec![part(first, columns) + term];
    if first > 0 {
        parts.insert(0, part(0, first));
    }
    if first + columns < width {
        parts.push(part(first + columns, width - first - columns));
    }
    Tensor::cat(parts, 1)
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

/// `activation(gate) * up`, side by side in the input.
pub fn gated(gate_up: Tensor<2>, activation: Activation) -> Tensor<2> {
    let inner = gate_up.dims()[1] / 2;
    activate(gate_up.clone().narrow(1, 0, inner), activation) * gate_up.narrow(1, inner, inner)
}

/// The activation of each value. One pass over memory, so there is no fused form of it alone.
pub fn activate(x: Tensor<2>, function: Activation) -> Tensor<2> {
    match function {
        Activation::Relu => activation::relu(x),
        Activation::Silu => activation::silu(x),
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => {
            let inner = (x.clone().powi_scalar(3) * 0.044_715 + x.clone()) * 1.595_769_1;
            x * activation::sigmoid(inner)
        }
    }
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
    let (rows, width) = (spec.lengths.len(), qkv.dims()[0] / spec.lengths.len());
    let HeadLayout { heads, kv_heads, .. } = spec.layout;
    let [q, k, v] = split(qkv, spec.layout);
    let heads_first = |x, heads| heads_first(x, rows, heads);
    let shared = |x| shared(x, heads);
    let q = rotate(heads_first(q, heads), spec);
    let k = shared(rotate(heads_first(k, kv_heads), spec));
    let v = shared(heads_first(v, kv_heads));
    let mut scores = q.matmul(k.swap_dims(2, 3)) * spec.scale;
    if let Some(bias) = bias {
        scores = scores + bias.reshape([1, heads, width, width]);
    }
    let hidden = |row: usize, query, key| {
        let outside = spec.window.is_some_and(|window| key + window <= query);
        key >= spec.lengths[row] || (spec.causal && key > query) || outside
    };
    let real = |row: usize, query| query < spec.lengths[row];
    attend(scores, v, hidden, real)
}

/// Attention to other positions; see [`crate::functions::cross_attention`].
pub fn cross_attention(q: Tensor<2>, kv: Tensor<2>, spec: &CrossAttentionSpec) -> Tensor<2> {
    let rows = spec.lengths.len();
    let HeadLayout { heads, kv_heads, head_dim } = spec.layout;
    let half = kv_heads * head_dim;
    let keys_or_values =
        |first| shared(heads_first(kv.clone().narrow(1, first, half), rows, kv_heads), heads);
    let (k, v) = (keys_or_values(0), keys_or_values(half));
    let scores = heads_first(q, rows, heads).matmul(k.swap_dims(2, 3)) * spec.scale;
    let hidden = |row: usize, _, key| key >= spec.key_lengths[row];
    let real = |row: usize, query| query < spec.lengths[row] && spec.key_lengths[row] > 0;
    attend(scores, v, hidden, real)
}

/// `[rows * width, heads * head_dim]` to `[rows, heads, width, head_dim]`.
fn heads_first(x: Tensor<2>, rows: usize, heads: usize) -> Tensor<4> {
    let [positions, values] = x.dims();
    x.reshape([rows, positions / rows, heads, values / heads]).swap_dims(1, 2)
}

/// Key or value heads, repeated for the query heads of their group.
fn shared(x: Tensor<4>, heads: usize) -> Tensor<4> {
    let [rows, kv_heads, width, head_dim] = x.dims();
    x.reshape([rows, kv_heads, 1, width * head_dim])
        .repeat_dim(2, heads / kv_heads)
        .reshape([rows, heads, width, head_dim])
}

/// The weighted sum of values by the softmax of scores over the keys that are not `hidden` (row,
/// query, key), zero for queries that are not `real`.
fn attend(
    scores: Tensor<4>,
    values: Tensor<4>,
    hidden: impl Fn(usize, usize, usize) -> bool,
    real: impl Fn(usize, usize) -> bool,
) -> Tensor<2> {
    let device = scores.device();
    let [rows, heads, queries, keys] = scores.dims();
    let head_dim = values.dims()[3];
    let (mut mask, mut kept) = (Vec::with_capacity(rows * queries * keys), Vec::new());
    for row in 0..rows {
        for query in 0..queries {
            mask.extend((0..keys).map(|key| hidden(row, query, key)));
            kept.push(f32::from(u8::from(real(row, query))));
        }
    }
    let mask = TensorData::new(mask, [rows, 1, queries, keys]);
    let mask = Tensor::<4, Bool>::from_data(mask, &device).expand([rows, heads, queries, keys]);
    let probabilities = activation::softmax(scores.mask_fill(mask, -1e30), 3);
    let positions = rows * queries;
    let output = probabilities.matmul(values).swap_dims(1, 2);
    let kept = Tensor::<2>::from_data(TensorData::new(kept, [positions, 1]), &device);
    output.reshape([positions, heads * head_dim]) * kept
}

fn rotate(x: Tensor<4>, spec: &AttentionSpec) -> Tensor<4> {
    let Some(rotary) = &spec.rotary else {
        return x;
    };
    let device = x.device();
    let [_, _, width, dim] = x.dims();
    let half = dim / 2;
    let tables: Vec<&RotaryTable> = match rotary {
        Rotary::Shared(table) => vec![table],
        Rotary::Rows(tables) => tables.iter().map(|table| &**table).collect(),
    };
    let stacked = |values: fn(&RotaryTable) -> &[f32]| {
        let mut stacked = Vec::with_capacity(tables.len() * width * half);
        for (index, table) in tables.iter().enumerate() {
            stacked.extend(values(table).iter().take(width * half));
            // A row's own table need not cover the padding after it.
            stacked.resize((index + 1) * width * half, 0.0);
        }
        let shape = [tables.len(), 1, width, half];
        Tensor::<4>::from_data(TensorData::new(stacked, shape), &device)
    };
    let (cos, sin) = (stacked(|table| &table.cos), stacked(|table| &table.sin));
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
