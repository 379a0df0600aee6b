//! Luma of ITU-R BT.601 in studio range, divided by 255: the domain that the network was trained in.

/// Black in the network's domain.
pub const STUDIO_BLACK: f32 = 16.0 / 255.0;

/// White minus black in the network's domain.
pub const STUDIO_SPAN: f32 = 219.0 / 255.0;

/// Shares of red, green and blue in luma, divided by 255: black to white spans 219 / 255 ([`STUDIO_SPAN`]).
const SHARES: [f32; 3] = [65.481 / 255.0, 128.553 / 255.0, 24.966 / 255.0];

/// Luma of a colour whose red, green and blue run from 0 to 1; the result runs from 16/255 to 235/255 and is not
/// rounded.
#[inline]
pub fn studio_luma([red, green, blue]: [f32; 3]) -> f32 {
    STUDIO_BLACK + red * SHARES[0] + green * SHARES[1] + blue * SHARES[2]
}

/// Luma in the network's domain from luma that runs from 0 (black) to 1 (white).
#[inline]
pub fn full_to_studio(full: f32) -> f32 {
    STUDIO_BLACK + full * STUDIO_SPAN
}

/// The way back from [`full_to_studio`].
#[inline]
pub fn studio_to_full(studio: f32) -> f32 {
    (studio - STUDIO_BLACK) / STUDIO_SPAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: f32, expected: f32) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn luma_of_known_colours() {
        assert_near(studio_luma([0.0; 3]), 16.0 / 255.0);
        assert_near(studio_luma([1.0; 3]), 235.0 / 255.0);
        assert_near(studio_luma([1.0, 0.0, 0.0]), 81.481 / 255.0);
        assert_near(studio_luma([0.0, 1.0, 0.0]), 144.553 / 255.0);
        assert_near(studio_luma([0.0, 0.0, 1.0]), 40.966 / 255.0);
    }

    #[test]
    fn full_range_goes_to_studio_range_and_back() {
        assert_near(full_to_studio(0.0), 16.0 / 255.0);
        assert_near(full_to_studio(1.0), 235.0 / 255.0);
        assert_near(full_to_studio(0.5), 125.5 / 255.0);
        for code in 0u8..=255 {
            let full = f32::from(code) / 255.0;
            assert_near(studio_to_full(full_to_studio(full)), full);
        }
    }

    #[test]
    fn a_change_of_all_three_channels_changes_luma_by_the_span() {
        let (before, after) = (studio_luma([0.2, 0.5, 0.7]), studio_luma([0.3, 0.6, 0.8]));
        assert_near(after - before, 0.1 * STUDIO_SPAN);
    }
}
