use std::io::{BufRead, BufReader, Read};

use super::event::Event;

/// Hands every line of `stdout` to `send`, until that says false or there is no more. Never holds
/// more than `limit` bytes and a buffer.
pub(crate) fn read_lines(stdout: impl Read, limit: usize, mut send: impl FnMut(Event) -> bool) {
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    loop {
        let (event, more) = match read_line(&mut stdout, limit) {
            Ok(event @ Event::Line(_)) => (event, true),
            Ok(event) => (event, false),
            Err(error) => (Event::ReadFailed(error), false),
        };
        if !send(event) || !more {
            return;
        }
    }
}

fn read_line(stdout: &mut impl BufRead, limit: usize) -> std::io::Result<Event> {
    let mut line = Vec::new();
    loop {
        let available = match stdout.fill_buf() {
            Ok([]) => return Ok(Event::Closed(line)),
            Ok(available) => available,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = &available[..end.unwrap_or(available.len())];
        if line.len() + piece.len() > limit {
            return Ok(Event::TooLong);
        }
        line.extend_from_slice(piece);
        let used = piece.len() + usize::from(end.is_some());
        stdout.consume(used);
        if end.is_some() {
            return Ok(Event::Line(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::repeat;

    use super::*;

    fn events(stdout: impl Read, limit: usize) -> Vec<String> {
        let mut events = Vec::new();
        read_lines(stdout, limit, |event| {
            events.push(format!("{event:?}"));
            true
        });
        events
    }

    #[test]
    fn lines_and_what_follows_the_last() {
        assert_eq!(
            events(&b"ab\n\nc"[..], 2),
            ["Line([97, 98])", "Line([])", "Closed([99])"].map(str::to_owned)
        );
    }

    #[test]
    fn row_23_a_line_of_one_gigabyte_is_given_up_at_the_cap() {
        let mut served = 0_u64;
        struct Counted<'a, R>(R, &'a mut u64);
        impl<R: Read> Read for Counted<'_, R> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let read = self.0.read(buffer)?;
                *self.1 += read as u64;
                Ok(read)
            }
        }
        let gigabyte = repeat(b'x').take(1 << 30);
        assert_eq!(events(Counted(gigabyte, &mut served), 1 << 20), ["TooLong"]);
        assert!(served <= (1 << 20) + (64 << 10), "{served} bytes were read");
    }
}
