//! Supervised fine-tuning of a causal model: maximum likelihood of the tokens that are learnt.

use crate::estimator::{Pass, Scored, log_probs};
use crate::objective::Normalisation;
use crate::{Error, Learner, Update};
use afterthought_models::Decoder;

/// A row of tokens, and which of them the model learns to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each id, whether it is learnt. The first cannot be: nothing precedes it.
    pub learnt: Vec<bool>,
}

impl Row {
    /// Tokens that are learnt.
    pub fn trained(&self) -> usize {
        self.learnt.iter().skip(1).filter(|learnt| **learnt).count()
    }

    /// The pass that scores them: what follows position `i` is predicted there.
    fn pass(&self) -> Pass {
        let scored = self.ids.iter().zip(&self.learnt).enumerate().skip(1);
        let scored = scored
            .filter(|(_, (_, learnt))| **learnt)
            .map(|(position, (token, _))| Scored { column: position - 1, token: *token })
            .collect();
        Pass { canvas: self.ids.clone(), scored }
    }
}

/// One update on the mean negative log-likelihood of `rows`.
///
/// # Errors
/// [`Error::Empty`] if nothing is learnt; those of [`Learner::update`].
pub fn causal_step(
    learner: &mut Learner,
    rows: &[&Row],
    normalisation: Normalisation,
    max_rows: usize,
) -> Result<Update, Error> {
    let counts: Vec<usize> = rows.iter().map(|row| row.trained()).collect();
    let weights = normalisation.weights(&counts);
    let passes: Vec<Pass> = rows.iter().map(|row| row.pass()).collect();
    let coefficients: Vec<f64> = (counts.iter().zip(weights))
        .flat_map(|(count, weight)| std::iter::repeat_n(-weight, *count))
        .collect();
    // Rows of which nothing is learnt add nothing.
    let passes: Vec<Pass> = passes.into_iter().filter(|pass| !pass.scored.is_empty()).collect();
    if passes.is_empty() {
        return Err(Error::Empty("learnt tokens"));
    }
    let (update, ()) = learner.update(&passes, max_rows, |values| {
        let loss = values.iter().zip(&coefficients).map(|(l, c)| f64::from(*l) * c).sum();
        (loss, coefficients.clone(), ())
    })?;
    Ok(update)
}

/// Mean negative log-likelihood of a learnt token, in nats.
///
/// # Errors
/// [`Error::Empty`] if nothing is learnt; those of the model.
pub fn causal_loss(decoder: &Decoder, rows: &[&Row], max_rows: usize) -> Result<f64, Error> {
    let passes: Vec<Pass> =
        rows.iter().map(|row| row.pass()).filter(|pass| !pass.scored.is_empty()).collect();
    if passes.is_empty() {
        return Err(Error::Empty("learnt tokens"));
    }
    let values = log_probs(decoder, &passes, max_rows)?;
    Ok(-values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_predicted_where_its_predecessor_stands() {
        let row = Row { ids: vec![7, 8, 9, 4], learnt: vec![true, false, true, true] };
        assert_eq!(row.trained(), 2);
        let scored = [Scored { column: 1, token: 9 }, Scored { column: 2, token: 4 }];
        assert_eq!(row.pass().scored, scored);
    }
}
