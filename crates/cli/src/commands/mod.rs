//! One file for each command, and what several commands share.

pub(crate) mod canvas_lines;
pub(crate) mod data_generate;
pub(crate) mod decode;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod generated;
pub(crate) mod generation_config;
pub(crate) mod grade;
pub(crate) mod loaded;
pub(crate) mod missing;
pub(crate) mod model_info;
pub(crate) mod model_new;
pub(crate) mod new_file;
pub(crate) mod reproduce;
pub(crate) mod sampling_flags;
pub(crate) mod self_test;
pub(crate) mod steps_view;
