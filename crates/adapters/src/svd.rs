//! Singular values and vectors of a layer's weight.

use faer::{Mat, MatRef, Side};

/// Largest `‖W - U Σ Vᵀ‖ / ‖W‖`, and largest departure of `UᵀU` and `VᵀV` from the identity, that
/// counts as a decomposition. Double precision reaches 1e-14 by the first method and 1e-8 by the second
/// where singular values vanish; rounding the vectors to single precision afterwards costs 1e-7.
const TOLERANCE: f64 = 1e-6;

/// The thin singular value decomposition `W = U Σ Vᵀ` of a weight of `rows` x `columns`, with
/// `k = min(rows, columns)` singular values.
///
/// Where singular values are equal or zero their vectors are one orthonormal choice among many.
#[derive(Clone, Debug, PartialEq)]
pub struct Svd {
    /// `[rows, columns]`.
    pub shape: [usize; 2],
    /// `U`: `rows` x `k`, row by row; orthonormal columns.
    pub left: Vec<f32>,
    /// The diagonal of `Σ`, descending, none below zero.
    pub singular_values: Vec<f64>,
    /// `V`: `columns` x `k`, row by row; orthonormal columns.
    pub right: Vec<f32>,
    /// `‖W - U Σ Vᵀ‖ / ‖W‖` in Frobenius norms, before rounding; 0 for a weight of zeros.
    pub residual: f64,
    /// How it was found.
    pub method: SvdMethod,
}

/// An algorithm for the decomposition. Both work in double precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvdMethod {
    /// Bidiagonal form, then divide and conquer.
    DivideAndConquer,
    /// Eigenvectors of the smaller of `W Wᵀ` and `Wᵀ W`, and a QR decomposition for the other side.
    /// Singular values below about `1e-8` of the largest are lost in rounding.
    GramEigenvectors,
}

impl SvdMethod {
    /// The short name: "divide and conquer" or "Gram eigenvectors".
    pub fn name(self) -> &'static str {
        match self {
            Self::DivideAndConquer => "divide and conquer",
            Self::GramEigenvectors => "Gram eigenvectors",
        }
    }
}

/// Why a weight has no decomposition.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SvdError {
    /// A value is NaN or infinite.
    #[error("{layer}: the value in row {row}, column {column} is {value}, expected a finite one")]
    NotFinite {
        /// The layer or tensor.
        layer: String,
        /// Row of the first such value.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// The weight is no matrix of that shape.
    #[error("{layer}: {values} values for a matrix of {rows} x {columns}")]
    Shape {
        /// The layer or tensor.
        layer: String,
        /// How many values there are.
        values: usize,
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        columns: usize,
    },
    /// No method gives factors that multiply to the weight.
    #[error("{layer}: no singular value decomposition: {}", attempts.join("; "))]
    NotFound {
        /// The layer or tensor.
        layer: String,
        /// What went wrong with each method.
        attempts: Vec<String>,
    },
}

/// Decomposes the weight of a layer, `values` row by row.
///
/// The factors are checked against the weight. If divide and conquer does not converge, or not to
/// them, the eigenvectors of the Gram matrix take its place.
///
/// # Errors
/// [`SvdError`], which names the layer.
pub fn svd(layer: &str, values: &[f32], shape: [usize; 2]) -> Result<Svd, SvdError> {
    let methods: [(SvdMethod, Attempt); 2] = [
        (SvdMethod::DivideAndConquer, divide_and_conquer),
        (SvdMethod::GramEigenvectors, gram_eigenvectors),
    ];
    svd_by(&methods, layer, values, shape)
}

type Attempt = fn(MatRef<'_, f64>) -> Option<Factors>;

/// `U`, the diagonal of `Σ`, and `V`.
struct Factors {
    left: Mat<f64>,
    singular_values: Vec<f64>,
    right: Mat<f64>,
}

fn svd_by(
    methods: &[(SvdMethod, Attempt)],
    layer: &str,
    values: &[f32],
    [rows, columns]: [usize; 2],
) -> Result<Svd, SvdError> {
    let (layer_name, count) = (|| layer.to_owned(), values.len());
    if count == 0 || rows.checked_mul(columns) != Some(count) {
        return Err(SvdError::Shape { layer: layer_name(), values: count, rows, columns });
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let (row, column, value) = (at / columns, at % columns, values[at]);
        return Err(SvdError::NotFinite { layer: layer_name(), row, column, value });
    }
    let weight = Mat::from_fn(rows, columns, |i, j| f64::from(values[i * columns + j]));
    let mut attempts = Vec::new();
    for (method, attempt) in methods {
        let problem = match attempt(weight.as_ref()) {
            None => "does not converge".to_owned(),
            Some(factors) => match factors.check(weight.as_ref()) {
                Ok(residual) => return Ok(factors.round(residual, *method)),
                Err(problem) => problem,
            },
        };
        attempts.push(format!("{} {problem}", method.name()));
    }
    Err(SvdError::NotFound { layer: layer_name(), attempts })
}

fn divide_and_conquer(weight: MatRef<'_, f64>) -> Option<Factors> {
    let found = weight.thin_svd().ok()?;
    let singular_values = found.S().column_vector().iter().copied().collect();
    Some(Factors { left: found.U().to_owned(), singular_values, right: found.V().to_owned() })
}

/// With `G = W Wᵀ = U Λ Uᵀ`, the columns of `Wᵀ U` are orthogonal and as long as the singular
/// values. Their QR decomposition makes them orthonormal, those of length zero as well.
fn gram_eigenvectors(weight: MatRef<'_, f64>) -> Option<Factors> {
    if weight.nrows() > weight.ncols() {
        let Factors { left, singular_values, right } = gram_eigenvectors(weight.transpose())?;
        return Some(Factors { left: right, singular_values, right: left });
    }
    let gram = weight * weight.transpose();
    let eigen = gram.self_adjoint_eigen(Side::Lower).ok()?;
    // Eigenvalues ascend.
    let left = eigen.U().reverse_cols();
    let qr = (weight.transpose() * left).qr();
    let (right, lengths) = (qr.compute_thin_Q(), qr.thin_R());
    let k = left.ncols();
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| lengths[(b, b)].abs().total_cmp(&lengths[(a, a)].abs()));
    let sign = |j: usize| 1f64.copysign(lengths[(order[j], order[j])]);
    Some(Factors {
        left: Mat::from_fn(left.nrows(), k, |i, j| left[(i, order[j])]),
        singular_values: order.iter().map(|&j| lengths[(j, j)].abs()).collect(),
        right: Mat::from_fn(right.nrows(), k, |i, j| sign(j) * right[(i, order[j])]),
    })
}

impl Factors {
    /// The residual, if these are the factors of `weight`.
    fn check(&self, weight: MatRef<'_, f64>) -> Result<f64, String> {
        let singular_values = &self.singular_values;
        if !singular_values.iter().all(|value| value.is_finite() && *value >= 0.0) {
            return Err("gives singular values that are negative or not finite".to_owned());
        }
        if !singular_values.is_sorted_by(|a, b| a >= b) {
            return Err("gives singular values out of order".to_owned());
        }
        let scaled = Mat::from_fn(self.left.nrows(), self.left.ncols(), |i, j| {
            self.left[(i, j)] * singular_values[j]
        });
        let (norm, left_over) =
            (weight.norm_l2(), (weight - scaled * self.right.transpose()).norm_l2());
        let residual = if norm > 0.0 { left_over / norm } else { left_over };
        if residual.is_nan() || residual > TOLERANCE {
            return Err(format!("leaves a residual of {residual:.1e} of the weight"));
        }
        for vectors in [&self.left, &self.right] {
            let identity = Mat::<f64>::identity(vectors.ncols(), vectors.ncols());
            let departure = (vectors.transpose() * vectors - identity).norm_max();
            if departure.is_nan() || departure > TOLERANCE {
                return Err(format!("gives vectors that are {departure:.1e} from orthonormal"));
            }
        }
        Ok(residual)
    }

    fn round(self, residual: f64, method: SvdMethod) -> Svd {
        let rows = |matrix: &Mat<f64>| -> Vec<f32> {
            let row = |i: usize| (0..matrix.ncols()).map(move |j| matrix[(i, j)] as f32);
            (0..matrix.nrows()).flat_map(row).collect()
        };
        Svd {
            shape: [self.left.nrows(), self.right.nrows()],
            left: rows(&self.left),
            right: rows(&self.right),
            singular_values: self.singular_values,
            residual,
            method,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIVIDE: [(SvdMethod, Attempt); 1] = [(SvdMethod::DivideAndConquer, divide_and_conquer)];
    const GRAM: [(SvdMethod, Attempt); 1] = [(SvdMethod::GramEigenvectors, gram_eigenvectors)];

    /// `x` reflected at the plane across `v`: an orthogonal matrix that shares no code with a QR.
    fn reflect(v: &[f64], x: &mut [f64]) {
        let length: f64 = v.iter().map(|v| v * v).sum();
        let along: f64 = v.iter().zip(&*x).map(|(v, x)| v * x).sum();
        for (x, v) in x.iter_mut().zip(v) {
            *x -= 2.0 * along / length * v;
        }
    }

    /// A matrix with the given singular values: a diagonal one, reflected from both sides.
    fn with_singular_values(
        [rows, columns]: [usize; 2],
        singular_values: &[f64],
        left: &[f64],
        right: &[f64],
    ) -> Vec<f32> {
        let mut matrix = vec![vec![0.0; columns]; rows];
        for (i, value) in singular_values.iter().enumerate() {
            matrix[i][i] = *value;
        }
        for row in &mut matrix {
            reflect(&right[..columns], row);
        }
        for j in 0..columns {
            let mut column: Vec<f64> = matrix.iter().map(|row| row[j]).collect();
            reflect(&left[..rows], &mut column);
            for (row, value) in matrix.iter_mut().zip(column) {
                row[j] = value;
            }
        }
        matrix.into_iter().flatten().map(|value| value as f32).collect()
    }

    /// Largest difference of `U Σ Vᵀ` from the weight, with the factors as they are handed out.
    fn distance(svd: &Svd, weight: &[f32]) -> f64 {
        let ([rows, columns], k) = (svd.shape, svd.singular_values.len());
        let mut largest = 0f64;
        for i in 0..rows {
            for j in 0..columns {
                let product: f64 = (0..k)
                    .map(|l| {
                        let (u, v) = (svd.left[i * k + l], svd.right[j * k + l]);
                        f64::from(u) * svd.singular_values[l] * f64::from(v)
                    })
                    .sum();
                largest = largest.max((product - f64::from(weight[i * columns + j])).abs());
            }
        }
        largest
    }

    fn shapes_values_and_reflections()
    -> impl Strategy<Value = ([usize; 2], Vec<f64>, Vec<f64>, Vec<f64>, f64)> {
        (1usize..20, 1usize..20).prop_flat_map(|(rows, columns)| {
            // Few different values, so that zeros and repeated ones are the rule.
            let values = prop::collection::vec(
                prop::sample::select(vec![0.0, 0.5, 1.0, 1.0, 3.0]),
                rows.min(columns),
            );
            let vector = || prop::collection::vec(0.1f64..1.0, 20);
            let scale = prop::sample::select(vec![1e-30, 1e-3, 1.0, 1e30]);
            (Just([rows, columns]), values, vector(), vector(), scale)
        })
    }

    proptest! {
        /// Row 26: rank-deficient weights and repeated singular values, by either method.
        #[test]
        fn row_26_any_rank_and_repeated_values(
            (shape, mut values, left, right, scale) in shapes_values_and_reflections()
        ) {
            values.iter_mut().for_each(|value| *value *= scale);
            let weight = with_singular_values(shape, &values, &left, &right);
            values.sort_by(|a, b| b.total_cmp(a));
            for methods in [&DIVIDE, &GRAM] {
                let svd = svd_by(methods, "layer", &weight, shape).unwrap();
                prop_assert_eq!(svd.method, methods[0].0);
                prop_assert!(svd.residual <= TOLERANCE);
                prop_assert!(distance(&svd, &weight) <= 1e-6 * 3.0 * scale);
                for (found, expected) in svd.singular_values.iter().zip(&values) {
                    prop_assert!((found - expected).abs() <= 1e-6 * 3.0 * scale);
                }
            }
        }
    }

    #[test]
    fn row_26_zeros_and_the_identity() {
        for methods in [&DIVIDE, &GRAM] {
            let zero = svd_by(methods, "layer", &[0.0; 6], [2, 3]).unwrap();
            assert_eq!((zero.singular_values.as_slice(), zero.residual), (&[0.0, 0.0][..], 0.0));
            let identity: Vec<f32> = (0..49).map(|i| f32::from(u8::from(i % 8 == 0))).collect();
            let found = svd_by(methods, "layer", &identity, [7, 7]).unwrap();
            assert!(found.singular_values.iter().all(|value| (value - 1.0).abs() < 1e-12));
            assert!(distance(&found, &identity) < 1e-6);
        }
    }

    #[test]
    fn row_26_the_layer_is_named() {
        let message =
            |values: &[f32], shape| svd("model.q_proj", values, shape).unwrap_err().to_string();
        assert_eq!(
            message(&[1.0, 2.0, 3.0, f32::NAN], [2, 2]),
            "model.q_proj: the value in row 1, column 1 is NaN, expected a finite one"
        );
        assert_eq!(
            message(&[1.0, f32::NEG_INFINITY, f32::NAN], [1, 3]),
            "model.q_proj: the value in row 0, column 1 is -inf, expected a finite one"
        );
        assert_eq!(message(&[1.0; 3], [2, 2]), "model.q_proj: 3 values for a matrix of 2 x 2");
        assert_eq!(message(&[], [0, 2]), "model.q_proj: 0 values for a matrix of 0 x 2");
        assert_eq!(
            message(&[1.0], [usize::MAX, 3]),
            format!("model.q_proj: 1 values for a matrix of {} x 3", usize::MAX)
        );
    }

    /// What does not converge, and what converges to something else, gives way to the other method.
    #[test]
    fn row_26_a_method_that_fails_gives_way_to_the_next() {
        let none: Attempt = |_| None;
        let wrong: Attempt = |weight| {
            let mut factors = divide_and_conquer(weight)?;
            factors.singular_values[0] *= 1.001;
            Some(factors)
        };
        let skewed: Attempt = |weight| {
            let mut factors = divide_and_conquer(weight)?;
            // Two vectors and their values: the product is the same, the vectors are longer.
            factors.left *= 2.0;
            factors.right *= 0.5;
            Some(factors)
        };
        let unordered: Attempt = |weight| {
            let mut factors = divide_and_conquer(weight)?;
            factors.singular_values.reverse();
            Some(factors)
        };
        let not_finite: Attempt = |weight| {
            let mut factors = divide_and_conquer(weight)?;
            factors.singular_values[1] = f64::NAN;
            Some(factors)
        };
        let weight = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0];
        let problems = [
            (none, "does not converge"),
            (wrong, "leaves a residual of"),
            (skewed, "gives vectors that are"),
            (unordered, "gives singular values out of order"),
            (not_finite, "gives singular values that are negative or not finite"),
        ];
        for (bad, problem) in problems {
            let bad = (SvdMethod::DivideAndConquer, bad);
            let found = svd_by(&[bad, GRAM[0]], "layer", &weight, [2, 3]).unwrap();
            assert_eq!(found.method, SvdMethod::GramEigenvectors);
            let error = svd_by(&[bad], "h.0.mlp", &weight, [2, 3]).unwrap_err().to_string();
            let expected =
                format!("h.0.mlp: no singular value decomposition: divide and conquer {problem}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
