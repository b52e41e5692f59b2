/// Classifier-free guidance: `conditional` becomes
/// `unconditional + (scale + 1) (conditional - unconditional)`, element by element.
///
/// The unconditional logits are those of the canvas with every prompt token masked. A token that
/// both rule out (`-inf`) stays ruled out.
///
/// # Panics
/// If the lengths differ.
pub fn guide(conditional: &mut [f32], unconditional: &[f32], scale: f32) {
    assert_eq!(conditional.len(), unconditional.len(), "two passes over the same positions");
    for (c, &u) in conditional.iter_mut().zip(unconditional) {
        if *c != f32::NEG_INFINITY {
            *c = u + (scale + 1.0) * (*c - u);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extrapolates_away_from_the_unconditional() {
        let mut logits = [1.0, -1.0, f32::NEG_INFINITY, f32::NEG_INFINITY];
        guide(&mut logits, &[0.5, 0.0, 0.0, f32::NEG_INFINITY], 2.0);
        assert_eq!(logits, [2.0, -3.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    }
}
