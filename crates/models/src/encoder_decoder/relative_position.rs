use std::sync::Arc;

/// How a distance between a query and a key becomes a row of the table of biases (Raffel et al.
/// 2020, section 2.1): near distances have a bucket each, further ones share buckets that widen
/// logarithmically up to `max_distance`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelativePositions {
    buckets: usize,
    max_distance: usize,
    /// Whether keys after the query have buckets of their own, half of all (encoder); otherwise
    /// they share that of distance 0 and are not attended to (decoder).
    bidirectional: bool,
}

impl RelativePositions {
    /// `buckets` is at least 4, and `max_distance` more than half of it.
    pub(crate) fn new(buckets: usize, max_distance: usize, bidirectional: bool) -> Self {
        Self { buckets, max_distance, bidirectional }
    }

    /// The bucket of `offset`, the key's position less the query's.
    pub(crate) fn bucket(self, offset: isize) -> usize {
        let (buckets, first, distance) = if self.bidirectional {
            let buckets = self.buckets / 2;
            (buckets, if offset > 0 { buckets } else { 0 }, offset.unsigned_abs())
        } else {
            (self.buckets, 0, (-offset).max(0).unsigned_abs())
        };
        let exact = buckets / 2;
        if distance < exact {
            return first + distance;
        }
        // The order of operations and the rounding to f32 are those of the published models: at a
        // few distances another order gives the neighbouring bucket.
        let ratio = (distance as f32 / exact as f32).ln();
        let range = (self.max_distance as f64 / exact as f64).ln() as f32;
        let further = ratio / range * (buckets - exact) as f32;
        first + (exact + further as usize).min(buckets - 1)
    }

    /// The buckets of all pairs of `width` queries and keys, a row a query.
    pub(crate) fn square(self, width: usize) -> Arc<[u32]> {
        // Offsets from the last query to the first key, and on. Buckets are below 2^24.
        let line: Vec<u32> = (0..2 * width - 1)
            .map(|at| self.bucket(at as isize - (width as isize - 1)) as u32)
            .collect();
        (0..width).flat_map(|query| &line[width - 1 - query..][..width]).copied().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Computed by `transformers`: tools/golden_t5.py.
    const GOLDEN: &str = include_str!("../../tests/goldens/t5/buckets.json");

    #[test]
    fn buckets_are_those_of_the_published_models() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let number = |key: &str| case[key].as_u64().unwrap() as usize;
            let positions = RelativePositions::new(
                number("num_buckets"),
                number("max_distance"),
                case["bidirectional"].as_bool().unwrap(),
            );
            let first = case["first_offset"].as_i64().unwrap() as isize;
            let buckets = case["buckets"].as_array().unwrap();
            assert_eq!(buckets.len(), 1201);
            for (offset, expected) in (first..).zip(buckets) {
                let bucket = positions.bucket(offset) as u64;
                assert_eq!(Some(bucket), expected.as_u64(), "{positions:?}, offset {offset}");
            }
        }
    }

    #[test]
    fn decoders_have_these_buckets() {
        let positions = RelativePositions::new(32, 128, false);
        let distances = [0, 7, 8, 15, 16, 17, 20, 24, 32, 64, 100, 127, 128];
        let buckets = distances.map(|distance: isize| positions.bucket(-distance));
        assert_eq!(buckets, [0, 7, 8, 15, 16, 16, 17, 19, 21, 26, 30, 31, 31]);
        assert_eq!(positions.bucket(5), 0);
    }

    #[test]
    fn a_square_holds_the_bucket_of_each_pair() {
        let positions = RelativePositions::new(8, 20, true);
        let square = positions.square(30);
        for query in 0..30 {
            for key in 0..30 {
                let expected = positions.bucket(key as isize - query as isize);
                assert_eq!(square[query * 30 + key] as usize, expected);
            }
        }
    }
}
