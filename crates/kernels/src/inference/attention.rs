//! Attention of new tokens to the keys and values of their sequences.
//!
//! Each query's scores, softmax and weighted sum run over the positions in their order, so the
//! result does not depend on which queries are computed together. Those that read the same keys
//! are: the query heads of a group, the new tokens of a sequence, and the single new tokens of
//! sequences that share the beginning of their caches.

use super::kv_blocks::{KvBlocks, KvGeometry};
use super::micro;
use super::parallel::{self, Scattered};
use super::relative_bias::RelativeBias;
use super::vector::rotate;
use crate::attention::RotaryTable;
use crate::cpu::attention::add_bias;
use crate::cpu::lanes::{LANES, exp_scaled_in_place, max, with_lanes};
use std::cell::RefCell;
use std::ops::Range;

/// Queries that one piece of work takes, where it can.
const QUERIES: usize = 64;

/// The new tokens of one sequence.
#[derive(Clone, Debug)]
pub struct CachedQueries<'a> {
    /// Rows of the matrix of queries.
    pub tokens: Range<usize>,
    /// Position of the first of them; the others follow.
    pub position: usize,
    /// Keys and values that the first of them attends to, from position 0 on.
    pub visible: usize,
    /// Whether each further token attends to one position more, or to the same ones.
    pub causal: bool,
    /// Angles by which the queries are rotated, as the cached keys were.
    pub rotary: Option<&'a RotaryTable>,
    /// Consecutive pieces of the cache, with the number of blocks used of each. All but the last
    /// may be shared with other sequences.
    pub pieces: Vec<(&'a KvBlocks, usize)>,
}

/// A piece of work: tokens of one sequence, or single tokens of several with common pieces.
struct Item<'a, 'b> {
    queries: &'b [CachedQueries<'a>],
    /// Which tokens of each, relative to its first one.
    tokens: Range<usize>,
}

/// What a layer's attention does besides the queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct CachedAttention<'a> {
    /// Layer of the caches.
    pub layer: usize,
    /// Query heads.
    pub heads: usize,
    /// Factor on the products of queries and keys.
    pub scale: f32,
    /// If set, a token attends to this many of its visible positions, the last ones.
    pub window: Option<usize>,
    /// Added to the scaled scores.
    pub bias: Option<&'a RelativeBias>,
}

/// `softmax(scale q k^T + bias) v` for the heads of each token.
///
/// `q` has rows of `stride` values whose first `heads * head_dim` are the queries, not rotated
/// yet; a row of `output` has `heads * head_dim` values. Rows that no sequence names stay as they
/// are.
///
/// # Panics
/// If the geometry of the caches, the lengths and the reach of the bias do not fit each other.
pub fn cached_attention(
    sequences: &[CachedQueries<'_>],
    attention: CachedAttention<'_>,
    (q, stride): (&[f32], usize),
    output: &mut [f32],
) {
    let heads = attention.heads;
    let Some((piece, _)) = sequences.first().and_then(|queries| queries.pieces.first()) else {
        return;
    };
    let geometry = piece.geometry();
    let group = heads / geometry.kv_heads;
    assert_eq!(group * geometry.kv_heads, heads, "key heads do not divide the query heads");
    assert!(attention.window != Some(0), "an empty window");
    let mut cost = 0;
    let mut last_row = 0;
    for queries in sequences {
        let blocks: usize = queries.pieces.iter().map(|(_, blocks)| blocks).sum();
        let tokens = queries.tokens.len();
        let furthest = queries.visible + if queries.causal { tokens.saturating_sub(1) } else { 0 };
        assert!(queries.visible > 0 && furthest <= blocks * LANES, "positions without keys");
        let head_dim = queries.rotary.map_or(geometry.head_dim, RotaryTable::head_dim);
        assert_eq!(head_dim, geometry.head_dim, "rotary table is for another head width");
        assert!(queries.pieces.iter().all(|(piece, _)| piece.geometry() == geometry));
        // Outputs are written in parallel: no row may occur twice.
        assert!(queries.tokens.start >= last_row, "sequences out of order");
        last_row = queries.tokens.end;
        cost += tokens * heads * furthest * geometry.head_dim;
    }
    let work = divide(sequences, QUERIES.div_ceil(group));
    let output = Scattered::new(output);
    parallel::ranges(work.len() * geometry.kv_heads, cost, |range| {
        SCRATCH.with_borrow_mut(|scratch| {
            for index in range {
                let (item, head) = (&work[index / geometry.kv_heads], index % geometry.kv_heads);
                let call = Call { attention, geometry, head, group, q, stride };
                // SAFETY: no two pieces of work have a token and a head in common.
                unsafe { call.run(item, scratch, &output) };
            }
        });
    });
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Buffers of a thread.
#[derive(Default)]
struct Scratch {
    /// Rotated and scaled queries, a row each.
    queries: Vec<f32>,
    /// Scores, then probabilities, a row a query.
    scores: Vec<f32>,
    /// Weighted sums, a row a query.
    sums: Vec<f32>,
}

fn resized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Divides the tokens into pieces of work of about `tokens` tokens.
fn divide<'a, 'b>(sequences: &'b [CachedQueries<'a>], tokens: usize) -> Vec<Item<'a, 'b>> {
    let mut items = Vec::new();
    let mut rest = sequences;
    while let Some(first) = rest.first() {
        let alike = rest.iter().take(tokens).take_while(|other| share(first, other)).count();
        let (queries, others) = rest.split_at(alike.max(1));
        rest = others;
        if queries.len() > 1 {
            items.push(Item { queries, tokens: 0..1 });
        } else {
            let count = first.tokens.len();
            let parts = (0..count).step_by(tokens).map(|at| at..(at + tokens).min(count));
            items.extend(parts.map(|tokens| Item { queries, tokens }));
        }
    }
    items
}

/// Whether both have one token and the same pieces but for the last.
fn share(a: &CachedQueries<'_>, b: &CachedQueries<'_>) -> bool {
    let common = |queries: &CachedQueries<'_>| queries.pieces.len().saturating_sub(1);
    a.tokens.len() == 1
        && b.tokens.len() == 1
        && common(a) == common(b)
        && (a.pieces.iter().zip(&b.pieces).take(common(a)))
            .all(|(a, b)| std::ptr::eq(a.0, b.0) && a.1 == b.1)
}

/// One token with its query.
struct Token<'a> {
    /// Row of the matrix of queries.
    row: usize,
    position: usize,
    rotary: Option<&'a RotaryTable>,
    /// Positions that it attends to.
    seen: Range<usize>,
}

impl<'a> Token<'a> {
    /// Token `index` of a sequence's new ones.
    fn new(queries: &CachedQueries<'a>, index: usize, window: Option<usize>) -> Self {
        let end = queries.visible + if queries.causal { index } else { 0 };
        let start = window.map_or(0, |window| end.saturating_sub(window));
        Self {
            row: queries.tokens.start + index,
            position: queries.position + index,
            rotary: queries.rotary,
            seen: start..end,
        }
    }
}

/// One key/value head of one layer.
struct Call<'a> {
    attention: CachedAttention<'a>,
    geometry: KvGeometry,
    head: usize,
    /// Query heads of the key/value head.
    group: usize,
    q: &'a [f32],
    stride: usize,
}

impl Call<'_> {
    /// # Safety
    /// No other thread may use the heads' outputs of the item's tokens.
    unsafe fn run(&self, item: &Item<'_, '_>, scratch: &mut Scratch, output: &Scattered<'_>) {
        let dim = self.geometry.head_dim;
        let width = self.geometry.value_width();
        let window = self.attention.window;
        let tokens: Vec<Token<'_>> = (item.queries.iter())
            .flat_map(|queries| item.tokens.clone().map(|at| Token::new(queries, at, window)))
            .collect();
        let count = tokens.len() * self.group;
        let seen = tokens.iter().map(|token| token.seen.end).max().unwrap_or(0);
        let columns = seen.next_multiple_of(LANES);
        let queries = resized(&mut scratch.queries, count * dim);
        let scores = resized(&mut scratch.scores, count * columns);
        let sums = resized(&mut scratch.sums, count * width);
        self.load_queries(queries, &tokens);

        let (own, common) = match item.queries {
            [one] => (0..0, &one.pieces[..]),
            [first, ..] => {
                let common = &first.pieces[..first.pieces.len() - 1];
                (0..item.queries.len(), common)
            }
            [] => return,
        };
        // Blocks of the common pieces, then those of each sequence's own.
        let mut runs = Vec::with_capacity(common.len() + own.len());
        let mut first = 0;
        for (piece, blocks) in common {
            let blocks = (*blocks).min((columns / LANES).saturating_sub(first));
            runs.push((piece.head(self.attention.layer, self.head, blocks), first, 0..count));
            first += blocks;
        }
        for index in own {
            let blocks = tokens[index].seen.end.div_ceil(LANES).saturating_sub(first);
            if let Some((piece, _)) = item.queries[index].pieces.last() {
                let own = index * self.group..(index + 1) * self.group;
                runs.push((piece.head(self.attention.layer, self.head, blocks), first, own));
            }
        }

        for (blocks, first, range) in &runs {
            for at in groups(range) {
                let queries = &queries[at.start * dim..at.end * dim];
                let scores = &mut scores[at.start * columns..at.end * columns];
                micro::score(scores, columns, first * LANES, queries, dim, blocks);
            }
        }
        for (token, scores) in tokens.iter().zip(scores.chunks_exact_mut(columns * self.group)) {
            let heads = self.head * self.group..;
            for (head, scores) in heads.zip(scores.chunks_exact_mut(columns)) {
                if let Some(bias) = self.attention.bias {
                    let end = token.seen.end;
                    add_bias(&mut scores[..end], bias.line(head, token.position, end), 1.0);
                }
                soften(scores, token.seen.start, token.seen.end);
            }
        }
        sums.fill(0.0);
        for (blocks, first, range) in &runs {
            for at in groups(range) {
                let scores = &scores[at.start * columns..at.end * columns];
                let sums = &mut sums[at.start * width..at.end * width];
                micro::weigh(sums, width, scores, columns, first * LANES, dim, blocks);
            }
        }
        for (token, sums) in tokens.iter().zip(sums.chunks_exact(width * self.group)) {
            let heads = self.head * self.group..(self.head + 1) * self.group;
            let row = token.row * self.row_len();
            // SAFETY: the caller's promise.
            let to = unsafe { output.get(row + heads.start * dim..row + heads.end * dim) };
            for (to, sums) in to.chunks_exact_mut(dim).zip(sums.chunks_exact(width)) {
                to.copy_from_slice(&sums[..dim]);
            }
        }
    }

    /// Values of a row of the output.
    fn row_len(&self) -> usize {
        self.geometry.kv_heads * self.group * self.geometry.head_dim
    }
}

impl Call<'_> {
    /// Rotates and scales the queries of the tokens.
    fn load_queries(&self, queries: &mut [f32], tokens: &[Token<'_>]) {
        let len = self.group * self.geometry.head_dim;
        for (token, to) in tokens.iter().zip(queries.chunks_exact_mut(len)) {
            to.copy_from_slice(&self.q[token.row * self.stride + self.head * len..][..len]);
            if let Some(rotary) = token.rotary {
                rotate(to, rotary, token.position);
            }
            for value in to {
                *value *= self.attention.scale;
            }
        }
    }
}

/// The queries of a range as the micro-kernels take them.
fn groups(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.clone().step_by(micro::QUERIES).map(move |at| at..(at + micro::QUERIES).min(end))
}

with_lanes! {
    /// Softmax over the scores from `first` to `visible`; the others become 0.
    fn soften<V>(scores: &mut [f32], first: usize, visible: usize) {
        // Whole registers: what the row has beyond them depends on other queries.
        let (scores, rest) = scores.split_at_mut(visible.next_multiple_of(LANES));
        scores[visible..].fill(f32::NEG_INFINITY);
        scores[..first].fill(f32::NEG_INFINITY);
        let largest = max::<V>(scores);
        // Hidden keys add e^-87 each to the sum: nothing in f32.
        let scale = 1.0 / exp_scaled_in_place::<V>(scores, largest, 1.0);
        for score in scores.iter_mut() {
            *score *= scale;
        }
        scores[visible..].fill(0.0);
        scores[..first].fill(0.0);
        rest.fill(0.0);
    }
}
