use std::collections::BTreeSet;

use super::image::{Content, Image, Node, ROOT};
use super::journal::{Effect, Journal};

/// What a disk may show after a power loss.
///
/// Changes that were synced are there. Of the others any subset is, in any combination: a name that
/// was given, taken or changed is or is not; a write is missing, whole, cut anywhere, or only the
/// length of the file has changed.
pub struct CrashStates {
    base: Image,
    changes: Vec<Possible>,
}

struct Possible {
    effect: Effect,
    fates: Fates,
}

#[derive(Clone, Copy)]
enum Fates {
    Done,
    DoneOrNot,
    /// A write of so many bytes.
    Torn(usize),
}

/// What became of a change. For a write, of how many of its bytes.
#[derive(Clone, Copy)]
enum Fate {
    Dropped,
    Done,
    Cut(usize),
    Zeros,
}

impl CrashStates {
    pub(super) fn after(journal: &Journal, operations: usize) -> Self {
        let changes = journal.changes(operations);
        let mut base = journal.base.clone();
        for (effect, _) in &changes {
            if let Effect::Link { node, kind, .. } = effect {
                base.add(*node, Content::empty(*kind));
            }
        }
        let reachable = reachable(&base, &changes);
        let fates = |effect: &Effect, durable| match effect {
            _ if durable => Fates::Done,
            // Nobody can see it, whatever became of it.
            _ if !reachable.contains(&effect.subject()) => Fates::Done,
            Effect::Write { bytes, .. } => Fates::Torn(bytes.len()),
            _ => Fates::DoneOrNot,
        };
        let possible = |(effect, durable): (&Effect, bool)| Possible {
            effect: effect.clone(),
            fates: fates(effect, durable),
        };
        Self { base, changes: changes.into_iter().map(possible).collect() }
    }

    /// Every state if there are at most `limit` combinations, else so many draws, the two extremes
    /// among them. States that look alike are one.
    ///
    /// Writes of more than eight bytes are cut at a few places when all combinations are taken, and
    /// anywhere when they are drawn.
    pub fn images(&self, limit: usize, seed: u64) -> BTreeSet<Image> {
        let combinations = self
            .changes
            .iter()
            .fold(1_usize, |product, change| product.saturating_mul(change.fates.listed().len()));
        if combinations <= limit {
            return (0..combinations).map(|index| self.image(self.combination(index))).collect();
        }
        let mut random = SplitMix(seed);
        let none = self.changes.iter().map(|change| match change.fates {
            Fates::Done => Fate::Done,
            _ => Fate::Dropped,
        });
        let all = self.changes.iter().map(|_| Fate::Done);
        let mut images = BTreeSet::from([self.image(none), self.image(all)]);
        for _ in 2..limit {
            let draw: Vec<Fate> = self.changes.iter().map(|c| c.fates.draw(&mut random)).collect();
            images.insert(self.image(draw));
        }
        images
    }

    fn combination(&self, mut index: usize) -> Vec<Fate> {
        let mut fates = Vec::with_capacity(self.changes.len());
        for change in &self.changes {
            let listed = change.fates.listed();
            fates.push(listed[index % listed.len()]);
            index /= listed.len();
        }
        fates
    }

    fn image(&self, fates: impl IntoIterator<Item = Fate>) -> Image {
        let mut image = self.base.clone();
        for (change, fate) in self.changes.iter().zip(fates) {
            match (fate, &change.effect) {
                (Fate::Dropped, _) => {}
                (Fate::Done, effect) => image.apply(effect),
                (fate, Effect::Write { node, offset, bytes }) => {
                    let bytes = match fate {
                        Fate::Cut(length) => bytes[..length].to_vec(),
                        _ => vec![0; bytes.len()],
                    };
                    image.apply(&Effect::Write { node: *node, offset: *offset, bytes });
                }
                (_, effect) => image.apply(effect),
            }
        }
        image.canonical()
    }
}

impl Fates {
    fn listed(self) -> Vec<Fate> {
        match self {
            Self::Done => vec![Fate::Done],
            Self::DoneOrNot => vec![Fate::Dropped, Fate::Done],
            Self::Torn(length) => {
                let cuts: BTreeSet<usize> = if length <= 8 {
                    (0..=length).collect()
                } else {
                    [0, 1, length / 2, length - 1, length].into()
                };
                cuts.into_iter().map(Fate::Cut).chain([Fate::Zeros]).collect()
            }
        }
    }

    fn draw(self, random: &mut SplitMix) -> Fate {
        match self {
            Self::Done => Fate::Done,
            Self::DoneOrNot if random.below(2) == 0 => Fate::Dropped,
            Self::DoneOrNot => Fate::Done,
            Self::Torn(length) => match random.below(4) {
                0 => Fate::Dropped,
                1 => Fate::Done,
                2 => Fate::Cut(random.below(length + 1)),
                _ => Fate::Zeros,
            },
        }
    }
}

/// What some state shows under some name.
fn reachable(base: &Image, changes: &[(&Effect, bool)]) -> BTreeSet<Node> {
    let mut certain = base.clone();
    changes.iter().filter(|(_, durable)| *durable).for_each(|(effect, _)| certain.apply(effect));
    let mut found = BTreeSet::new();
    let mut open = vec![ROOT];
    while let Some(node) = open.pop() {
        if !found.insert(node) {
            continue;
        }
        open.extend(certain.entries(node).into_iter().flat_map(|entries| entries.values()));
        open.extend(changes.iter().filter_map(|(effect, durable)| match effect {
            Effect::Link { directory, node: child, .. }
            | Effect::Rename { directory, node: child, .. }
                if *directory == node && !durable =>
            {
                Some(*child)
            }
            _ => None,
        }));
    }
    found
}

/// Steele, Lea and Flood's generator; a test's draws need no keyed streams.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}
