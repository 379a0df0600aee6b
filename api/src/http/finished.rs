use clearfleet_common::schedule::BatchSet;

/// Runs that are told at most: a view is sent at every change.
const MOST: usize = 64;

/// Finished batches as runs `[first, one past the last]`, in order; of more than [`MOST`] runs the longest.
pub(super) fn runs(finished: &BatchSet) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = finished.runs().collect();
    if runs.len() > MOST {
        runs.sort_by_key(|(start, end)| std::cmp::Reverse(end - start));
        runs.truncate(MOST);
        runs.sort_unstable();
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_runs_the_longest_are_told_in_order() {
        let some: BatchSet = [0, 1, 5].into_iter().collect();
        assert_eq!(runs(&some), [(0, 2), (5, 6)]);
        // Every other batch, and one long run behind them.
        let scattered: BatchSet = (0..200).step_by(2).chain(300..400).collect();
        let told = runs(&scattered);
        assert_eq!(told.len(), MOST);
        assert_eq!(told.last(), Some(&(300, 400)));
        assert!(
            told.is_sorted()
                && told
                    .iter()
                    .all(|(start, end)| (*start..*end).all(|batch| scattered.contains(batch)))
        );
    }
}
