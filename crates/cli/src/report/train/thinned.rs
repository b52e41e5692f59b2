/// Points of a curve beyond which neighbours are drawn as one.
const MOST: usize = 120;

/// A curve with at most [`MOST`] points, `[step, value, low, high]`: neighbours become their mean,
/// from the least to the greatest of them. A number that is not finite makes its share so.
pub(super) fn thinned(series: &[(u64, f64)]) -> Vec<[f64; 4]> {
    let parts = series.len().min(MOST);
    let share = |part: usize| {
        let share = &series[part * series.len() / parts..(part + 1) * series.len() / parts];
        let count = share.len() as f64;
        let step = share.iter().map(|(step, _)| *step as f64).sum::<f64>() / count;
        let mean = share.iter().map(|(_, value)| value).sum::<f64>() / count;
        let low = share.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        let high = share.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
        [step, mean, low, high]
    };
    (0..parts).map(share).collect()
}

/// The label of the axis of steps under a curve of so many values.
pub(super) fn step_label(values: usize) -> String {
    match values.div_ceil(MOST) {
        0 | 1 => "step".to_owned(),
        most => format!("step (means of up to {most}; bands: least to greatest)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_curve_stays_as_it_is() {
        assert_eq!(
            thinned(&[(1, 0.5), (3, 0.25)]),
            [[1.0, 0.5, 0.5, 0.5], [3.0, 0.25, 0.25, 0.25]]
        );
        assert!(thinned(&[]).is_empty());
        assert_eq!(step_label(120), "step");
    }

    #[test]
    fn a_long_curve_keeps_its_mean_and_its_extremes() {
        let series: Vec<(u64, f64)> = (0..1000).map(|i| (i, (i * 7919 % 1000) as f64)).collect();
        let points = thinned(&series);
        assert_eq!(points.len(), 120);
        assert_eq!(points.iter().map(|p| p[2]).fold(f64::INFINITY, f64::min), 0.0);
        assert_eq!(points.iter().map(|p| p[3]).fold(0.0, f64::max), 999.0);
        // The first share is values 0..8.
        let first: f64 = series[..8].iter().map(|(_, value)| value).sum::<f64>() / 8.0;
        assert_eq!(points[0][..2], [3.5, first]);
        assert_eq!(step_label(1000), "step (means of up to 9; bands: least to greatest)");
    }

    #[test]
    fn a_number_that_is_not_finite_is_not_hidden_in_a_mean() {
        let mut series: Vec<(u64, f64)> = (0..240).map(|step| (step, 1.0)).collect();
        series[100].1 = f64::NAN;
        assert_eq!(thinned(&series).iter().filter(|point| point[1].is_nan()).count(), 1);
    }
}
