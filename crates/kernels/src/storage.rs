//! How weights are stored: bf16 for those that are frozen and came so, f32 otherwise.

use crate::functions::fused;
use burn::backend::Flex;
use burn::tensor::{Bytes, DType, FloatDType, Tensor};
use burn_flex::{FlexTensor, Layout};
use half::bf16;
use rayon::prelude::*;

/// The matrix stored in bf16, if that changes no value and the device's kernels read it so;
/// otherwise the matrix as it is. Linear layers, embeddings and output heads take either; no
/// operation computes a gradient for one in bf16.
pub fn narrowed(weight: Tensor<2>) -> Tensor<2> {
    if !fused(&weight) || weight.dtype() != DType::F32 || weight.device().is_autodiff() {
        return weight;
    }
    #[expect(clippy::expect_used, reason = "the device was just checked")]
    let tensor = weight.clone().try_into_primitive::<Flex>().expect("a CPU tensor");
    let exact = |value: &f32| value.to_bits() & 0xffff == 0;
    match tensor.as_slice::<f32>() {
        Some(values) if values.par_iter().all(exact) => {
            let halves: Vec<bf16> = values
                .par_iter()
                .map(|value| bf16::from_bits((value.to_bits() >> 16) as u16))
                .collect();
            let layout = Layout::contiguous(tensor.layout().shape().clone());
            let halves = FlexTensor::new(Bytes::from_elems(halves), layout, DType::BF16);
            Tensor::from_primitive::<Flex>(halves)
        }
        _ => weight,
    }
}

/// The tensor stored in f32, as everything that is trained must be.
pub fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F32 => tensor,
        _ => tensor.cast(FloatDType::F32),
    }
}
