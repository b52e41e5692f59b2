use std::io;

/// What happens at the pipes of a process.
#[derive(Debug)]
pub(crate) enum Event {
    /// It wrote a line, here without its line break.
    Line(Vec<u8>),
    /// It is writing a line longer than the cap. Reading has ended.
    TooLong,
    /// Its stdout ended, after this part of a line.
    Closed(Vec<u8>),
    /// Its stdout cannot be read.
    ReadFailed(io::Error),
    /// Its stdin cannot be written: it has closed it, or ended.
    WriteFailed(io::Error),
}
