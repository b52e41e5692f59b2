use super::CachedRow;
use crate::{DecoderConfig, Error};
use afterthought_kernels::inference::KvGeometry;

/// Checks the rows of a pass against their caches and the model.
pub(super) fn rows(
    config: &DecoderConfig,
    geometry: KvGeometry,
    rows: &[CachedRow<'_>],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Err(Error::Batch("a pass needs at least one row".into()));
    }
    for (index, row) in rows.iter().enumerate() {
        let fail = |problem| Err(Error::CachedRow { row: index, problem });
        let (start, len, capacity) = (row.start, row.cache.len(), row.cache.capacity());
        if row.cache.geometry() != geometry {
            return fail("the cache belongs to a model of another shape".to_owned());
        }
        if row.tokens.is_empty() {
            return fail("there is no token".to_owned());
        }
        if start > len {
            return fail(format!("tokens start at position {start}, but the cache ends at {len}"));
        }
        let end = start.saturating_add(row.tokens.len());
        if end > capacity {
            return fail(format!("tokens end at {end}, but the cache has {capacity} positions"));
        }
        let positions = config.max_positions();
        if end > positions {
            return fail(format!("tokens end at {end}, but the model has {positions} positions"));
        }
        if !config.causal && (row.visible < end || row.visible > len.max(end)) {
            let (visible, last) = (row.visible, len.max(end));
            return fail(format!("{visible} positions are visible; expected {end} to {last}"));
        }
        if let Some(wanted) = row.wanted.iter().find(|wanted| **wanted >= row.tokens.len()) {
            let tokens = row.tokens.len();
            return fail(format!("logits are wanted of token {wanted}, but there are {tokens}"));
        }
        if config.shifted_logits && start > 0 && row.wanted.contains(&0) {
            let problem = "logits are wanted of the first token, which the token before it gives";
            return fail(problem.to_owned());
        }
        let vocab_size = config.vocab_size;
        if let Some(at) = row.tokens.iter().position(|id| *id as usize >= vocab_size) {
            let id = row.tokens[at];
            return Err(Error::TokenId { row: index, position: start + at, id, vocab_size });
        }
    }
    Ok(())
}
