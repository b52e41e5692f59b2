//! The command line: every command, flag and default.

mod cli;
mod data;
mod decoding;
mod model;
mod reproduce;
mod tasks;

pub(crate) use cli::{Cli, ColorWhen, Command, PrecisionChoice};
pub(crate) use data::{DataCommand, DataGenerateArgs, DoctorArgs, GeneratedTask};
pub(crate) use decoding::{Cache, EvalArgs, GenerateArgs, Remasking, SamplingArgs};
pub(crate) use model::{ModelCommand, ModelInfoArgs, ModelNewArgs, ModelPreset};
pub(crate) use reproduce::{Paper, ReproduceArgs, RunPreset};
pub(crate) use tasks::{GradeArgs, Split};
