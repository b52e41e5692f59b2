//! A frozen weight never gets a gradient built, and nothing is kept for one. In a file of its own,
//! because it counts what the whole process allocates.
#![allow(unsafe_code, clippy::unwrap_used, missing_docs)]

use afterthought_kernels::{LowRankSpec, functions};
use burn::tensor::{Device, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Live bytes, and all that were ever allocated.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed to the system's allocator; counting has no other effect.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        TOTAL.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises about the layout are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` with this layout, as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: usize = 2048;
const WEIGHT_BYTES: usize = 4 * WIDTH * WIDTH;

/// Bytes that the forward pass of one linear layer with a low-rank term keeps, and all that its
/// backward pass allocates.
fn measure(train_weight: bool) -> [usize; 2] {
    let device = Device::flex().autodiff();
    let ones = |rows, cols| Tensor::<2>::ones([rows, cols], &device);
    let weight = ones(WIDTH, WIDTH);
    let weight = if train_weight { weight.require_grad() } else { weight };
    let (a, b) = (ones(2, WIDTH).require_grad(), ones(WIDTH, 2).require_grad());
    let x = ones(4, WIDTH).require_grad();
    let before = LIVE.load(Ordering::Relaxed);
    let y = functions::linear(x.clone(), weight.clone());
    let spec = LowRankSpec { first: 0, scale: 1.0, dropout: None };
    let sum = functions::low_rank_add(y, x, [a.clone(), b.clone()], spec).sum();
    let kept = LIVE.load(Ordering::Relaxed) - before;
    let start = TOTAL.load(Ordering::Relaxed);
    let gradients = sum.backward();
    let allocated = TOTAL.load(Ordering::Relaxed) - start;
    assert_eq!(weight.grad(&gradients).is_some(), train_weight);
    assert!(a.grad(&gradients).is_some() && b.grad(&gradients).is_some());
    [kept, allocated]
}

#[test]
fn no_gradient_is_built_for_a_frozen_weight() {
    // The first call sets up threads and their buffers.
    measure(true);
    let [kept, frozen] = measure(false);
    assert!(kept < WEIGHT_BYTES / 16, "{kept} bytes kept");
    // The gradient of the input takes one packed copy of the weight; that of the weight would take
    // as much again.
    assert!(frozen < 3 * WEIGHT_BYTES / 2, "{frozen} bytes for a frozen weight");
    let [_, trained] = measure(true);
    assert!(
        trained >= frozen + WEIGHT_BYTES,
        "{trained} bytes: the measure sees no weight gradient"
    );
}
