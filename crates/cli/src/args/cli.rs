//! The program: global flags and the commands.

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    DataCommand, DoctorArgs, EvalArgs, GenerateArgs, GradeArgs, ModelCommand, ReproduceArgs,
    RunsCommand, TrainArgs,
};

/// Teach small language models to reason, after pre-training.
#[derive(Debug, Parser)]
#[command(
    name = "afterthought",
    version,
    max_term_width = 100,
    after_help = "Results go to stdout, progress to stderr. Exit codes: 0 done, 1 failed, 2 usage or \
                  configuration,\n3 interrupted after a checkpoint, 4 already complete."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Print no progress; warnings and errors still appear.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// When to colour the output: auto (respects NO_COLOR), always, never.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub(crate) color: ColorWhen,
    /// Precision of matrix products: auto takes bf16 where the processor multiplies it (AMX or AVX-512-BF16).
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "TYPE",
        default_value_t,
        help_heading = "Computation"
    )]
    pub(crate) precision: PrecisionChoice,
    /// Begin even what does not seem to fit into memory.
    #[arg(long, global = true, help_heading = "Computation")]
    pub(crate) no_memory_check: bool,
}

/// Precision of matrix products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionChoice {
    /// bf16 where the processor has instructions for it, else f32.
    #[default]
    Auto,
    /// f32 throughout.
    F32,
    /// Factors in bf16, sums in f32.
    Bf16,
}

/// When to colour the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always, even into a pipe and with NO_COLOR set.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reproduce a paper at laptop scale, from nothing, and write a report.
    Reproduce(ReproduceArgs),
    /// Train a model by a recipe: supervised, or by rewards.
    Train(TrainArgs),
    /// Re-grade generations that already exist; no model is loaded.
    Grade(GradeArgs),
    /// Generate completions with a model.
    Generate(GenerateArgs),
    /// Measure a model's accuracy on a task, with its standard error.
    Eval(EvalArgs),
    /// Create and inspect model directories.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Generate task data.
    #[command(subcommand)]
    Data(DataCommand),
    /// List, show and compare runs.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Describe this machine and check that everything works on it.
    Doctor(DoctorArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_flag_has_a_help_line() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some_and(|help| !help.to_string().is_empty()),
                    "{} {} has no help",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn exactly_one_prompt_source_is_required() {
        let parse = |extra: &[&str]| {
            Cli::try_parse_from(["afterthought", "generate", "--model", "m"].iter().chain(extra))
        };
        assert!(parse(&["--prompt", "hello"]).is_ok());
        assert!(parse(&["--prompts", "p.jsonl"]).is_ok());
        assert!(parse(&[]).is_err());
        assert!(parse(&["--prompt", "hello", "--prompts", "p.jsonl"]).is_err());
    }
}
