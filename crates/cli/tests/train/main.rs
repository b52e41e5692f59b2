//! `train`, run as a program:
//!
//! - `workplace`: models, rows and recipes that the tests share
//! - `exact`: a run that was stopped, or killed at random points, ends as one that was not
//! - `faults`: rows of the fault table; each test names its row
//! - `memory`: runs that need more memory than there is
//! - `recipes`: what is wrong with a recipe, `--dry-run`, the checked-in recipes
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod exact;
mod faults;
mod memory;
mod recipes;
mod workplace;
