use crate::Parameter;
use crate::dropout::Dropout;
use afterthought_kernels as kernels;
use afterthought_kernels::LowRankSpec;
use burn::tensor::Tensor;

/// A low-rank term beside a linear layer, `scale * (dropout(x) A^T) B^T` (Hu et al. 2021).
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `A`, `[rank, in]`, named as in the adapter's files.
    pub a: Parameter<2>,
    /// `B`, `[out, rank]`, named as in the adapter's files.
    pub b: Parameter<2>,
    /// Factor of the term.
    pub scale: f32,
    /// Probability with which a training pass drops an input of the term, below 1.
    pub dropout: f64,
}

impl LowRank {
    /// `rank`.
    pub fn rank(&self) -> usize {
        self.a.value.dims()[0]
    }

    /// `scale * B A`, `[out, in]`: what the term adds to the weight.
    pub fn delta(&self) -> Tensor<2> {
        self.b.value.clone().matmul(self.a.value.clone()) * self.scale
    }

    /// Adds the term of the input `x` to columns `first..` of `y`.
    pub(crate) fn add_to(
        &self,
        y: Tensor<2>,
        x: Tensor<2>,
        first: usize,
        dropout: Option<&Dropout<'_>>,
    ) -> Tensor<2> {
        let [rows, inputs] = x.dims();
        let mask = dropout
            .filter(|_| self.dropout > 0.0)
            .map(|dropout| dropout.mask(&self.a.name, [rows, inputs], self.dropout).into());
        let factors = [self.a.value.clone(), self.b.value.clone()];
        let spec = LowRankSpec { first, scale: self.scale, dropout: mask };
        kernels::low_rank_add(y, x, factors, spec)
    }
}
