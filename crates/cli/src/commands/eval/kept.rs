//! The completions that there are, and those that are missing.

use std::collections::{BTreeMap, HashMap};

use super::data::Data;
use super::line::{Line, judge};
use super::questions::Questions;
use super::score::Sampled;
use super::worded::Worded;
use crate::args::EvalArgs;
use crate::console::Console;

/// The missing samples of an item, by its position in the data.
pub(super) type Missing = (usize, Vec<usize>);

/// The completions that there are, by item and sample.
pub(super) struct Kept<'a> {
    data: &'a Data,
    worded: &'a Worded,
    path: String,
    samples: usize,
    /// By item, then by sample.
    lines: Vec<BTreeMap<usize, Line>>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(args: &EvalArgs, data: &'a Data, worded: &'a Worded) -> Self {
        let path = args.out.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        let lines = data.items.iter().map(|_| BTreeMap::new()).collect();
        Self { data, worded, path, samples: args.samples, lines }
    }

    /// Takes over the lines of an earlier run, graded afresh.
    ///
    /// # Errors
    /// A failure for a completion that is there twice or answers another prompt.
    pub(super) fn take_earlier(
        &mut self,
        earlier: Vec<Line>,
        questions: &Questions,
        console: &Console,
    ) -> anyhow::Result<()> {
        let places: HashMap<&str, usize> =
            self.data.items.iter().enumerate().map(|(at, item)| (item.id.as_str(), at)).collect();
        let (mut others, mut changed) = (0, 0);
        for (number, mut line) in earlier.into_iter().enumerate() {
            let at = format!("{}:{}", self.path, number + 2);
            let index = places.get(line.id.as_str()).copied();
            let Some(index) = index.filter(|_| line.sample < self.samples) else {
                others += 1;
                continue;
            };
            anyhow::ensure!(
                line.prompt_hash == self.worded.hashes[index],
                "{at}: item {} was asked with another prompt",
                line.id
            );
            let problem = self.data.items[index].problem.as_ref();
            let (in_format, grades) = judge(problem, &line.completion, questions);
            changed += usize::from(grades != line.grades || in_format != line.in_format);
            (line.in_format, line.grades) = (in_format, grades);
            anyhow::ensure!(
                !self.lines[index].contains_key(&line.sample),
                "{at}: sample {} of item {} is there twice",
                line.sample,
                line.id
            );
            self.lines[index].insert(line.sample, line);
        }
        if others > 0 {
            console.warn(&format!(
                "{}: {others} completions of items or samples that were not asked for are left out",
                self.path
            ));
        }
        if changed > 0 {
            console.warn(&format!(
                "{}: {changed} completions have other grades than this version gives, which count",
                self.path
            ));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, lines: Vec<Line>) {
        for line in lines {
            self.lines[line.index].insert(line.sample, line);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lines.iter().map(BTreeMap::len).sum()
    }

    /// (Item, its missing samples), for every item that has any.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let missing = |lines: &BTreeMap<usize, Line>| {
            (0..self.samples).filter(|sample| !lines.contains_key(sample)).collect()
        };
        let items = self.lines.iter().map(missing).enumerate();
        items.filter(|(_, samples): &Missing| !samples.is_empty()).collect()
    }

    pub(super) fn sampled(&self) -> Vec<Sampled<'_>> {
        let items = self.data.items.iter().zip(&self.lines);
        items
            .map(|(item, lines)| Sampled {
                problem: item.problem.as_ref(),
                lines: lines.values().collect(),
            })
            .collect()
    }
}

/// Batches of at most `rows` completions in the order of the items. An item's samples stay together,
/// because they share the pass of its prompt, unless they are too many.
pub(super) fn batches(missing: &[Missing], rows: usize) -> Vec<Vec<Missing>> {
    let mut batches: Vec<Vec<Missing>> = Vec::new();
    let mut room = 0;
    for (index, samples) in missing {
        for samples in samples.chunks(rows.max(1)) {
            if samples.len() > room {
                batches.push(Vec::new());
                room = rows.max(1);
            }
            room -= samples.len();
            if let Some(batch) = batches.last_mut() {
                batch.push((*index, samples.to_vec()));
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_order_and_lose_none() {
        let missing: Vec<Missing> =
            [2, 1, 5, 1, 1].iter().enumerate().map(|(at, n)| (at, (0..*n).collect())).collect();
        for (rows, sizes) in
            [(3, vec![3, 3, 3, 1]), (1, vec![1; 10]), (4, vec![3, 4, 3]), (100, vec![10])]
        {
            let batches = batches(&missing, rows);
            let size = |batch: &Vec<Missing>| batch.iter().map(|(_, s)| s.len()).sum::<usize>();
            assert_eq!(batches.iter().map(size).collect::<Vec<_>>(), sizes);
            let all = |lists: &[Missing]| -> Vec<(usize, usize)> {
                lists.iter().flat_map(|(i, s)| s.iter().map(move |s| (*i, *s))).collect()
            };
            assert_eq!(all(&batches.concat()), all(&missing));
        }
        assert!(batches(&[], 3).is_empty());
    }
}
