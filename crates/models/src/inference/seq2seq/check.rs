use super::cache::DecoderRow;
use crate::Error;
use crate::encoder_decoder::EncoderDecoderConfig;
use afterthought_kernels::inference::KvGeometry;

/// Checks the sources of an encoder pass.
pub(super) fn sources(config: &EncoderDecoderConfig, sources: &[&[u32]]) -> Result<(), Error> {
    if sources.is_empty() {
        return Err(Error::Batch("a pass needs at least one source".into()));
    }
    let most = EncoderDecoderConfig::MAX_POSITIONS;
    for (row, source) in sources.iter().enumerate() {
        if source.is_empty() || source.len() > most {
            let problem = format!("source {row} has {} tokens; expected 1 to {most}", source.len());
            return Err(Error::Batch(problem));
        }
        tokens(config, row, 0, source)?;
    }
    Ok(())
}

/// Checks the rows of a decoder pass against their caches and the model.
pub(super) fn rows(
    config: &EncoderDecoderConfig,
    geometry: KvGeometry,
    rows: &[DecoderRow<'_>],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Err(Error::Batch("a pass needs at least one row".into()));
    }
    for (index, row) in rows.iter().enumerate() {
        let fail = |problem| Err(Error::CachedRow { row: index, problem });
        let (start, capacity) = (row.cache.len(), row.cache.capacity());
        let of_source = row.cache.source.blocks.geometry();
        if row.cache.own.geometry() != geometry || of_source != geometry {
            return fail("the cache belongs to a model of another shape".to_owned());
        }
        if row.tokens.is_empty() {
            return fail("there is no token".to_owned());
        }
        let end = start.saturating_add(row.tokens.len());
        if end > capacity {
            return fail(format!("tokens end at {end}, but the cache has {capacity} positions"));
        }
        if let Some(wanted) = row.wanted.iter().find(|wanted| **wanted >= row.tokens.len()) {
            let tokens = row.tokens.len();
            return fail(format!("logits are wanted of token {wanted}, but there are {tokens}"));
        }
        tokens(config, index, start, row.tokens)?;
    }
    Ok(())
}

fn tokens(
    config: &EncoderDecoderConfig,
    row: usize,
    start: usize,
    tokens: &[u32],
) -> Result<(), Error> {
    let vocab_size = config.vocab_size;
    match tokens.iter().position(|id| *id as usize >= vocab_size) {
        Some(at) => Err(Error::TokenId { row, position: start + at, id: tokens[at], vocab_size }),
        None => Ok(()),
    }
}
