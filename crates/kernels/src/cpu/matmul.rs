//! Bounds-checked views over slices and their product (the `gemm` crate does the work).

use gemm::Parallelism;

/// A strided read-only matrix over a slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `cols` contiguous values, `row_stride` apart.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len(),
            "matrix {rows} x {cols} with row stride {row_stride} exceeds {} values",
            data.len()
        );
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transposed view.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write to: rows of contiguous values, `row_stride` apart.
pub(crate) struct MatrixMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    pub(crate) fn new(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            row_stride >= cols
                && (rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len()),
            "output {rows} x {cols} with row stride {row_stride} exceeds {} values",
            data.len()
        );
        Self { data, rows, cols, row_stride }
    }
}

/// Whether a product replaces its output or is added to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Replace,
    Add,
}

/// Whether a product may use all threads or stays on this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    All,
    One,
}

/// `output = scale * a b` (or `+=`). The order of each sum does not depend on the thread count:
/// threads share out rows and columns, never the inner dimension.
pub(crate) fn matmul(
    output: MatrixMut<'_>,
    into: Write,
    scale: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    threads: Threads,
) {
    assert_eq!(a.cols, b.rows, "inner dimensions differ");
    assert_eq!((output.rows, output.cols), (a.rows, b.cols), "output shape differs");
    if output.rows == 0 || output.cols == 0 {
        return;
    }
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(rayon::current_num_threads()),
    };
    // SAFETY: the views' constructors checked that every element addressed lies inside its slice;
    // the output is exclusively borrowed, so it aliases neither input.
    unsafe {
        gemm::gemm(
            output.rows,
            output.cols,
            a.cols,
            output.data.as_mut_ptr(),
            1,
            output.row_stride as isize,
            into == Write::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_products_match_the_definition() {
        for (m, n, k) in [(1, 1, 1), (7, 33, 5), (33, 7, 127), (3, 2, 0)] {
            let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.3).cos()).collect();
            let stride = n + 3;
            let mut c = vec![2.0f32; m * stride];
            matmul(
                MatrixMut::new(&mut c, m, n, stride),
                Write::Add,
                0.5,
                Matrix::new(&a, m, k, k),
                Matrix::new(&b, n, k, k).t(),
                Threads::All,
            );
            for row in 0..m {
                for col in 0..stride {
                    let product: f32 = (0..k).map(|i| a[row * k + i] * b[(col % n) * k + i]).sum();
                    let expected = if col < n { 2.0 + 0.5 * product } else { 2.0 };
                    assert!((c[row * stride + col] - expected).abs() < 1e-4);
                }
            }
        }
    }
}
