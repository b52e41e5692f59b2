use std::ffi::OsString;

use super::image::{Image, Node};
use crate::storage::Kind;

/// One change to a disk, which is done or not.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    Link { directory: Node, name: OsString, node: Node, kind: Kind },
    Unlink { directory: Node, name: OsString },
    Rename { directory: Node, from: OsString, to: OsString, node: Node },
    Write { node: Node, offset: usize, bytes: Vec<u8> },
}

impl Effect {
    /// Whose sync makes it durable.
    pub(super) fn subject(&self) -> Node {
        match self {
            Self::Link { directory, .. }
            | Self::Unlink { directory, .. }
            | Self::Rename { directory, .. } => *directory,
            Self::Write { node, .. } => *node,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Change(Effect),
    Sync(Node),
    /// What was to be synced may be lost for good, whatever a later sync says.
    FailedSync(Node),
}

/// What happened since a moment at which everything was durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    pub(super) base: Image,
    pub(super) operations: Vec<Operation>,
}

impl Journal {
    /// The changes among the first operations, each with whether it is durable.
    pub(super) fn changes(&self, operations: usize) -> Vec<(&Effect, bool)> {
        let mut changes: Vec<(&Effect, bool)> = Vec::new();
        // Where those begin that a sync has still to reach, by being neither durable nor lost.
        let mut lost = vec![];
        for operation in self.operations.iter().take(operations) {
            match operation {
                Operation::Change(effect) => {
                    changes.push((effect, false));
                    lost.push(false);
                }
                Operation::Sync(node) => {
                    for ((effect, durable), lost) in changes.iter_mut().zip(&lost) {
                        *durable |= effect.subject() == *node && !lost;
                    }
                }
                Operation::FailedSync(node) => {
                    for ((effect, durable), lost) in changes.iter().zip(&mut lost) {
                        *lost |= effect.subject() == *node && !durable;
                    }
                }
            }
        }
        changes
    }
}
