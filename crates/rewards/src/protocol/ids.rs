use std::collections::HashSet;

use crate::{Completion, Error};

/// Ids tell completions apart, so no two of a batch may be the same.
pub(crate) fn check_ids(batch: &[Completion<'_>]) -> Result<(), Error> {
    let mut ids = HashSet::with_capacity(batch.len());
    match batch.iter().find(|completion| !ids.insert(completion.id)) {
        Some(twice) => Err(Error::SameId { id: twice.id }),
        None => Ok(()),
    }
}
