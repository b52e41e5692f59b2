//! Conversations as the text that a model was trained on.
//!
//! `files` finds a directory's templates, `compiled` parses and renders one in the `environment`
//! that it expects, within the limits of `sandbox`; `spans` finds what the assistant wrote.

mod clock;
mod compiled;
mod environment;
pub(crate) mod files;
mod generation;
mod marks;
mod python_json;
mod sandbox;
mod spans;
mod template;

pub(crate) use spans::{Request, rendered};
pub use template::ChatTemplate;
