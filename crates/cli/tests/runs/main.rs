//! `afterthought runs`, run as a program:
//!
//! - every directory of a folder is listed as a run or named with a reason
//! - runs are found by path and by name, and misspelt names are put right
//! - comparisons show what differs, on one axis of steps
//! - the report of a run needs nothing but itself
//! - surroundings of any kind change nothing (row 28 of the fault table)
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod compare;
mod folder;
mod list;
mod report;
mod show;
mod surroundings;
