use std::fmt;

/// Something about the logs that the user should be told; `Display` is the sentence to print.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A resumed run went back behind what its log held.
    Dropped {
        /// The file, relative to the run directory.
        file: String,
        /// How many lines.
        lines: usize,
        /// The step that the run resumes from.
        step: u64,
    },
    /// The last line was cut short, by a crash or a full disk, and was removed.
    Torn {
        /// The file, relative to the run directory.
        file: String,
        /// Its number, from 1.
        line: usize,
    },
    /// Lines in the middle are not what this program writes. They are left where they are.
    Unreadable {
        /// The file, relative to the run directory.
        file: String,
        /// How many.
        lines: usize,
        /// The number of the first one, from 1.
        first: usize,
    },
    /// A write failed. The run goes on; what was not written is tried again at the next write.
    WriteFailed {
        /// The file, relative to the run directory.
        file: String,
        /// Failed writes in a row.
        failures: u64,
        /// Lines or records that wait.
        waiting: u64,
        /// Lines or records given up because too many waited.
        lost: u64,
        /// What the system said.
        cause: String,
    },
    /// Writes succeed again.
    Recovered {
        /// The file, relative to the run directory.
        file: String,
        /// Lines or records that waited and are now written.
        written: u64,
        /// Lines or records given up because too many waited.
        lost: u64,
    },
    /// A value has a name that a line of the log uses for itself, and was left out.
    ReservedName {
        /// The name.
        name: String,
    },
}

impl Notice {
    /// Whether something is lost or in danger, rather than only worth knowing.
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::Dropped { .. } | Self::Recovered { lost: 0, .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped { file, lines, step } => {
                write!(
                    out,
                    "{file}: {lines} line(s) behind step {step} dropped; they are computed again"
                )
            }
            Self::Torn { file, line } => {
                write!(out, "{file}: line {line} was cut short and is dropped")
            }
            Self::Unreadable { file, lines, first } => {
                write!(out, "{file}: {lines} unreadable line(s), the first is line {first}")
            }
            Self::WriteFailed { file, failures, waiting, lost, cause } => {
                write!(out, "cannot write {file}: {cause} ({failures} time(s) in a row; ")?;
                write!(out, "{waiting} line(s) wait, {lost} lost); the run goes on")
            }
            Self::Recovered { file, written, lost } => {
                write!(
                    out,
                    "{file} can be written again: {written} waiting line(s) written, {lost} lost"
                )
            }
            Self::ReservedName { name } => {
                write!(out, "nothing logged may be named `{name}`; its values are left out")
            }
        }
    }
}
