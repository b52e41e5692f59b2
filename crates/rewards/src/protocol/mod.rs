//! What is said to an external reward, and how its answer is checked. Processes and HTTP endpoints
//! speak the same: `docs/rewards.md` describes it.

mod answer;
mod ids;
mod non_finite;
mod object;
mod request;

pub(crate) use answer::outcomes;
pub(crate) use ids::check_ids;
pub(crate) use request::next_request;
