use std::fs;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::{Map, Value};

use super::METRICS;
use super::better::{Better, better};
use crate::Error;

/// How much of a long file [`History::read_tail`] reads, in bytes.
const TAIL: u64 = 256 << 10;

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The step.
    pub step: u64,
    /// Seconds that the run had run.
    pub time: Option<f64>,
    /// Numbers by name, in the order of the line; `null` reads as NaN. In logs of `reproduce` the
    /// name begins with the line's stage: `base/loss`.
    pub values: Vec<(String, f64)>,
}

/// `metrics.jsonl`, read back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    lines: Vec<Line>,
    unreadable: usize,
}

impl History {
    /// Reads the metrics of a run. A file that is not there holds none; lines that cannot be read
    /// are counted, but for a last one without its newline, which is still being written.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is there and cannot be read.
    pub fn read(run_dir: &Path) -> Result<Self, Error> {
        Self::read_from(run_dir, 0)
    }

    /// Reads the last lines only, enough for [`History::last`] in all but unusual logs.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is there and cannot be read.
    pub fn read_tail(run_dir: &Path) -> Result<Self, Error> {
        let length = fs::metadata(run_dir.join(METRICS)).map_or(0, |about| about.len());
        Self::read_from(run_dir, length.saturating_sub(TAIL))
    }

    fn read_from(run_dir: &Path, start: u64) -> Result<Self, Error> {
        let path = run_dir.join(METRICS);
        match fs::File::open(&path) {
            Ok(file) => Self::parse(file, start).map_err(Error::io("read", &path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    fn parse(mut file: impl Read + Seek, start: u64) -> io::Result<Self> {
        let mut history = Self::default();
        // One byte earlier, so that a line that begins at `start` is not taken for the rest of one.
        file.seek(SeekFrom::Start(start.saturating_sub(1)))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        if start > 0 {
            reader.read_until(b'\n', &mut line)?;
        }
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                return Ok(history);
            }
            match Line::parse(&line) {
                Some(line) => history.lines.push(line),
                None => history.unreadable += 1,
            }
        }
    }

    /// Its lines, in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many lines could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The names of all metrics in the order in which they first appear.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for (name, _) in self.lines.iter().flat_map(|line| &line.values) {
            if !names.contains(&name.as_str()) {
                names.push(name.as_str());
            }
        }
        names
    }

    /// Steps and values of a metric; numbers that are not finite are NaN.
    pub fn series(&self, name: &str) -> Vec<(u64, f64)> {
        let value = |line: &Line| {
            let (_, value) = line.values.iter().find(|(known, _)| known == name)?;
            Some((line.step, *value))
        };
        self.lines.iter().filter_map(value).collect()
    }

    /// The last value of every metric, with its step, in the order of [`History::names`].
    pub fn last(&self) -> Vec<(&str, u64, f64)> {
        let last = |name| {
            let find = |line: &Line| {
                let (_, value) = line.values.iter().find(|(known, _)| known == name)?;
                Some((name, line.step, *value))
            };
            self.lines.iter().rev().find_map(find)
        };
        self.names().into_iter().filter_map(last).collect()
    }

    /// Which way a metric gets better, where that is known.
    pub fn better(&self, name: &str) -> Option<Better> {
        better(name, self.lines.iter().any(|line| line.values.iter().any(|(n, _)| n == "reward")))
    }

    /// The step and value at which a metric was best, the first of equals.
    pub fn best(&self, name: &str) -> Option<(u64, f64)> {
        let better = self.better(name)?;
        let finite = self.series(name).into_iter().filter(|(_, value)| value.is_finite());
        finite.reduce(|best, point| match better {
            Better::Higher if point.1 > best.1 => point,
            Better::Lower if point.1 < best.1 => point,
            _ => best,
        })
    }

    /// The last step.
    pub fn step(&self) -> Option<u64> {
        self.lines.last().map(|line| line.step)
    }

    /// Seconds that the run had run at its last line.
    pub fn seconds(&self) -> Option<f64> {
        self.lines.iter().rev().find_map(|line| line.time)
    }
}

impl Line {
    fn parse(text: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(text).ok()?;
        let step = fields.get("step")?.as_u64()?;
        let time = fields.get("time").and_then(Value::as_f64);
        let stage = fields.get("stage").and_then(Value::as_str);
        let number = |(name, value): (&String, &Value)| {
            let value = match value {
                Value::Number(number) => number.as_f64()?,
                Value::Null => f64::NAN,
                _ => return None,
            };
            match (name.as_str(), stage) {
                ("step" | "time", _) => None,
                (name, Some(stage)) => Some((format!("{stage}/{name}"), value)),
                (name, None) => Some((name.to_owned(), value)),
            }
        };
        let values = fields.iter().filter_map(number).collect();
        Some(Self { step, time, values })
    }
}
