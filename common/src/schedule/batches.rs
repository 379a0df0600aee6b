/// The finished batches of a plan: one bit each, so that the longest film costs kilobytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BatchSet {
    words: Vec<u64>,
    len: u64,
}

/// Bits of a word.
const WORD: u64 = u64::BITS as u64;

impl BatchSet {
    /// A set without batches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a batch; tells whether it is new.
    pub fn insert(&mut self, batch: u64) -> bool {
        let (word, bit) = ((batch / WORD) as usize, 1 << (batch % WORD));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(is_new);
        is_new
    }

    /// Whether a batch is in it.
    pub fn contains(&self, batch: u64) -> bool {
        let word = self.words.get((batch / WORD) as usize);
        word.is_some_and(|word| word & (1 << (batch % WORD)) != 0)
    }

    /// How many batches there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first batch in `[from, end)` that is not in it.
    pub fn first_missing(&self, from: u64, end: u64) -> Option<u64> {
        let mut batch = from;
        while batch < end {
            let word = self.words.get((batch / WORD) as usize).copied().unwrap_or(0);
            let missing = !word & (u64::MAX << (batch % WORD));
            if missing != 0 {
                let found = batch / WORD * WORD + u64::from(missing.trailing_zeros());
                return (found < end).then_some(found);
            }
            batch = (batch / WORD + 1) * WORD;
        }
        None
    }

    /// Its batches in order, as runs `[start, end)` with gaps between them.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        let end = self.words.len() as u64 * WORD;
        let mut next = 0;
        std::iter::from_fn(move || {
            let start = (next..end).find(|batch| self.contains(*batch))?;
            next = self.first_missing(start, end).unwrap_or(end);
            Some((start, next))
        })
    }

    /// Adds all batches of another set below `end`.
    pub fn extend_below(&mut self, other: &Self, end: u64) {
        let mut words = other.words.clone();
        words.truncate(end.div_ceil(WORD) as usize);
        if let Some(last) = words.get_mut((end / WORD) as usize) {
            *last &= !(u64::MAX << (end % WORD));
        }
        if self.words.len() < words.len() {
            self.words.resize(words.len(), 0);
        }
        self.words.iter_mut().zip(words).for_each(|(own, other)| *own |= other);
        self.len = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
    }

    /// Bytes that it takes beside itself.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

impl FromIterator<u64> for BatchSet {
    fn from_iter<I: IntoIterator<Item = u64>>(batches: I) -> Self {
        let mut set = Self::new();
        for batch in batches {
            set.insert(batch);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(batches in prop::collection::vec(0_u64..300, 0..200), from in 0_u64..320, end in 0_u64..320) {
            let plain: BTreeSet<u64> = batches.iter().copied().collect();
            let set: BatchSet = batches.into_iter().collect();
            prop_assert_eq!(set.len(), plain.len() as u64);
            prop_assert!((0..330).all(|batch| set.contains(batch) == plain.contains(&batch)));
            prop_assert_eq!(set.first_missing(from, end), (from..end).find(|batch| !plain.contains(batch)));
            let runs: Vec<(u64, u64)> = set.runs().collect();
            let in_runs: BTreeSet<u64> = runs.iter().flat_map(|(start, end)| *start..*end).collect();
            prop_assert_eq!(in_runs, plain);
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }

        #[test]
        fn two_become_one(
            one in prop::collection::btree_set(0_u64..200, 0..100),
            two in prop::collection::btree_set(0_u64..200, 0..100),
            end in 0_u64..220,
        ) {
            let mut set: BatchSet = one.iter().copied().collect();
            set.extend_below(&two.iter().copied().collect(), end);
            let expected: BTreeSet<u64> = one.iter().chain(two.iter().filter(|b| **b < end)).copied().collect();
            prop_assert_eq!(set.len(), expected.len() as u64);
            prop_assert!((0..230).all(|batch| set.contains(batch) == expected.contains(&batch)));
        }
    }

    #[test]
    fn a_hundred_thousand_batches_take_kilobytes() {
        let set: BatchSet = (0..100_000).collect();
        assert_eq!(set.first_missing(0, 100_000), None);
        assert!(set.heap_bytes() < 64 << 10, "{}", set.heap_bytes());
    }
}
