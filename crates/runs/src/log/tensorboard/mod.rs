//! Events that TensorBoard reads: TFRecord files of protocol-buffer messages.

mod event;
mod record;
mod writer;

pub use writer::TensorBoard;
