//! Values for pixels that are not part of the picture.

use crate::geometry::Size;

/// Gives unknown pixels the mean of the known ones nearby, coarser and coarser the farther away those are.
///
/// What lies under full transparency is arbitrary (black, mostly): the network would sharpen its border, and the
/// border would show as a fringe.
pub(super) fn fill_unknown(size: Size, values: &mut [f32], known: &[bool]) {
    let all_known = known.iter().all(|known| *known);
    if all_known || !known.iter().any(|known| *known) {
        return;
    }
    let half = Size {
        width: size.width.div_ceil(2),
        height: size.height.div_ceil(2),
    };
    let block_of = |at: usize| at / size.columns() / 2 * half.columns() + at % size.columns() / 2;
    let mut sums = vec![0.0; half.pixels()];
    let mut counts = vec![0u8; half.pixels()];
    for (at, value) in values.iter().enumerate().filter(|(at, _)| known[*at]) {
        sums[block_of(at)] += value;
        counts[block_of(at)] += 1;
    }
    let mut means = sums;
    for (mean, count) in means.iter_mut().zip(&counts) {
        *mean /= f32::from((*count).max(1));
    }
    let known_blocks: Vec<bool> = counts.iter().map(|count| *count > 0).collect();
    fill_unknown(half, &mut means, &known_blocks);
    for (at, value) in values.iter_mut().enumerate().filter(|(at, _)| !known[*at]) {
        *value = means[block_of(at)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_pixels_take_the_mean_of_their_block_then_of_larger_blocks() {
        // Known: 1 and 3 in the left block, nothing in the right one, which takes the left one's mean.
        let mut values = [1.0, 9.0, 9.0, 9.0, 9.0, 3.0, 9.0, 9.0];
        let known = [true, false, false, false, false, true, false, false];
        fill_unknown(Size { width: 4, height: 2 }, &mut values, &known);
        assert_eq!(values, [1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 2.0, 2.0]);
    }

    #[test]
    fn nothing_known_changes_nothing() {
        let mut values = [5.0, 6.0, 7.0];
        fill_unknown(Size { width: 3, height: 1 }, &mut values, &[false; 3]);
        assert_eq!(values, [5.0, 6.0, 7.0]);
    }
}
