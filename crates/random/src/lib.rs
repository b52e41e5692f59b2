//! Which random numbers does sample `i` of step `s` see? Always the same ones.
//!
//! Every random decision of the program draws from a [`Stream`] whose key is
//! (seed, purpose, step, sample). Results therefore depend neither on the order in which a batch
//! is laid out nor on the number of threads, two purposes never share numbers, and a run has no
//! generator state to save.

mod stream;

pub use stream::Stream;
