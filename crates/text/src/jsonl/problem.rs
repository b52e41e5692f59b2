use std::fmt;

/// What can be wrong with a line of a JSONL file.
///
/// Kinds that are not [fatal](Self::is_fatal) leave the row usable: they name what another program
/// may read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The file begins with a byte order mark.
    ByteOrderMark,
    /// The line ends with CR LF.
    CarriageReturn,
    /// The line holds nothing.
    BlankLine,
    /// U+2028, U+2029 or U+0085, at which some readers end a line.
    UnicodeSeparator,
    /// The line is longer than the reader accepts.
    LineTooLong,
    /// A byte that is not UTF-8.
    InvalidUtf8,
    /// A NUL character, as a byte or spelt out.
    Nul,
    /// Objects and arrays within each other beyond the limit.
    TooDeep,
    /// Not JSON.
    InvalidJson,
    /// JSON that breaks off at the end of the file.
    CutLastLine,
    /// A key that occurs twice in one object.
    RepeatedKey,
    /// No `messages` and no `prompt`, or a message without role.
    MissingColumn,
    /// A value of another type than its column has.
    WrongType,
    /// A role that no conversation has.
    UnknownRole,
    /// Turns that do not follow each other as those of a conversation do.
    RoleOrder,
    /// A text without a visible character.
    EmptyContent,
    /// A row of another format than the first, or of two at once.
    MixedFormats,
    /// An `id` that an earlier row has.
    DuplicateId,
}

impl ProblemKind {
    /// The kind in one word, for counts and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte_order_mark",
            Self::CarriageReturn => "carriage_return",
            Self::BlankLine => "blank_line",
            Self::UnicodeSeparator => "unicode_separator",
            Self::LineTooLong => "line_too_long",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::Nul => "nul",
            Self::TooDeep => "too_deep",
            Self::InvalidJson => "invalid_json",
            Self::CutLastLine => "cut_last_line",
            Self::RepeatedKey => "repeated_key",
            Self::MissingColumn => "missing_column",
            Self::WrongType => "wrong_type",
            Self::UnknownRole => "unknown_role",
            Self::RoleOrder => "role_order",
            Self::EmptyContent => "empty_content",
            Self::MixedFormats => "mixed_formats",
            Self::DuplicateId => "duplicate_id",
        }
    }

    /// Whether the row cannot be used.
    pub fn is_fatal(self) -> bool {
        !matches!(
            self,
            Self::ByteOrderMark | Self::CarriageReturn | Self::BlankLine | Self::UnicodeSeparator
        )
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something wrong with one line; printed as `line:column: kind: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What sort of thing.
    pub kind: ProblemKind,
    /// Line number, from 1.
    pub line: u64,
    /// Byte column, from 1. A byte order mark is not counted.
    pub column: usize,
    /// What exactly.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, line, column, message } = self;
        write!(f, "{line}:{column}: {kind}: {message}")
    }
}

/// A problem before anyone knows its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: ProblemKind,
    /// Byte offset in the line.
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Finding {
    pub(super) fn new(kind: ProblemKind, offset: usize, message: impl Into<String>) -> Self {
        Self { kind, offset, message: message.into() }
    }

    pub(super) fn at_line(self, line: u64) -> Problem {
        Problem { kind: self.kind, line, column: self.offset + 1, message: self.message }
    }
}
