//! Strips of a plane: columns that are computed together.

use std::ops::Range;

/// Columns that a strip makes, and those that it must read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strip {
    /// What the strip makes.
    pub(super) core: Range<usize>,
    /// The core and its halo, cut off at the plane's edges.
    pub(super) input: Range<usize>,
}

/// The fewest strips of about equal width, fixed to the plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strips {
    columns: usize,
    count: usize,
    halo: usize,
}

impl Strips {
    /// Strips of at most `most` columns each, read with `halo` columns around them.
    pub(super) fn new(columns: usize, most: usize, halo: usize) -> Self {
        let count = columns.div_ceil(most);
        Self { columns, count, halo }
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        self.count
    }

    /// Columns that the widest one reads.
    pub(super) fn widest(self) -> usize {
        self.iter().map(|strip| strip.input.len()).max().unwrap_or(0)
    }

    /// From left to right.
    pub(super) fn iter(self) -> impl Iterator<Item = Strip> {
        let edge = move |n: usize| n * self.columns / self.count;
        (0..self.count).map(move |n| {
            let core = edge(n)..edge(n + 1);
            let input = core.start.saturating_sub(self.halo)..(core.end + self.halo).min(self.columns);
            Strip { core, input }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strips_cover_each_column_once_within_their_bounds(
            columns in 1usize..5000, most in 8usize..3000, halo in 0usize..30
        ) {
            let strips = Strips::new(columns, most, halo);
            let mut next = 0;
            for Strip { core, input } in strips.iter() {
                prop_assert_eq!(core.start, next);
                prop_assert!((1..=most).contains(&core.len()));
                prop_assert_eq!(input.start, core.start.saturating_sub(halo));
                prop_assert_eq!(input.end, (core.end + halo).min(columns));
                prop_assert!(input.len() <= strips.widest());
                next = core.end;
            }
            prop_assert_eq!(next, columns);
            prop_assert_eq!(strips.iter().count(), strips.count());
        }
    }
}
