//! The command line: every command, flag and default.

mod cli;
mod data;
mod decoding;
mod eval;
mod model;
mod reproduce;
mod runs;
mod tasks;
mod train;

pub(crate) use cli::{Cli, ColorWhen, Command, PrecisionChoice};
pub(crate) use data::{
    DataCheckArgs, DataCommand, DataGenerateArgs, DataPreviewArgs, DoctorArgs, EncodingArgs,
    GeneratedTask, OnBadRow, RowFormat,
};
pub(crate) use decoding::{Cache, GenerateArgs, Remasking, SamplingArgs};
pub(crate) use eval::EvalArgs;
pub(crate) use model::{
    ModelCheckArgs, ModelCommand, ModelExportArgs, ModelInfoArgs, ModelLogitsArgs, ModelMergeArgs,
    ModelNewArgs, ModelPreset, ModelSpectrumArgs, WeightType,
};
pub(crate) use reproduce::{Paper, ReproduceArgs, RunPreset};
pub(crate) use runs::{RunsCommand, RunsCompareArgs, RunsListArgs, RunsShowArgs};
pub(crate) use tasks::{GradeArgs, Split};
pub(crate) use train::{RecipeDocument, TrainArgs};
