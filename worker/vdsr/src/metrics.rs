//! How alike two planes are.

use crate::{
    error::{Error, Result},
    geometry::Size,
    plane::Plane,
};

/// Side and deviation of SSIM's Gaussian window, in pixels.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;

/// Peak signal-to-noise ratio in decibels. The mean squared error is taken as at least 1e-12, so that equal planes
/// have a finite value (168 dB at a peak of 255).
///
/// # Errors
/// [`Error::SizeMismatch`].
pub fn psnr(found: &Plane<f32>, truth: &Plane<f32>, peak: f64) -> Result<f64> {
    found.expect_size("picture to measure", truth.size())?;
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    let sum: f64 = found.data().iter().zip(truth.data()).map(square).sum();
    let mean = sum / truth.data().len() as f64;
    Ok(10.0 * (peak * peak / mean.max(1e-12)).log10())
}

/// Structural similarity, up to 1 for equal planes: the mean over all positions of an 11×11 Gaussian window (σ 1.5)
/// that lie wholly inside, with K1 = 0.01 and K2 = 0.03 (Z. Wang et al., "Image Quality Assessment: From Error
/// Visibility to Structural Similarity", 2004).
///
/// # Errors
/// [`Error::SizeMismatch`], or [`Error::TooSmall`] below 11×11 pixels.
pub fn ssim(found: &Plane<f32>, truth: &Plane<f32>, peak: f64) -> Result<f64> {
    found.expect_size("picture to measure", truth.size())?;
    let size = truth.size();
    let least = Size {
        width: WINDOW as u32,
        height: WINDOW as u32,
    };
    if size.columns() < WINDOW || size.rows() < WINDOW {
        return Err(Error::TooSmall {
            what: "SSIM",
            least,
            found: size,
        });
    }
    let window = gaussian();
    let pairs = || {
        found
            .data()
            .iter()
            .zip(truth.data())
            .map(|(a, b)| (f64::from(*a), f64::from(*b)))
    };
    let blur = |of: fn((f64, f64)) -> f64| blurred(&pairs().map(of).collect::<Vec<f64>>(), size.columns(), &window);
    let (mean_a, mean_b) = (blur(|(a, _)| a), blur(|(_, b)| b));
    let (square_a, square_b, product) = (blur(|(a, _)| a * a), blur(|(_, b)| b * b), blur(|(a, b)| a * b));
    let (c1, c2) = ((0.01 * peak).powi(2), (0.03 * peak).powi(2));
    let at = |n: usize| {
        let (a, b) = (mean_a[n], mean_b[n]);
        let (var_a, var_b, covariance) = (square_a[n] - a * a, square_b[n] - b * b, product[n] - a * b);
        (2.0 * a * b + c1) * (2.0 * covariance + c2) / ((a * a + b * b + c1) * (var_a + var_b + c2))
    };
    Ok((0..mean_a.len()).map(at).sum::<f64>() / mean_a.len() as f64)
}

/// One axis of the window; sums to 1.
fn gaussian() -> [f64; WINDOW] {
    let middle = (WINDOW / 2) as f64;
    let weights: [f64; WINDOW] = std::array::from_fn(|n| (-(n as f64 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// Weighted means over every window position inside; (width - 10) × (height - 10) values.
fn blurred(values: &[f64], width: usize, window: &[f64; WINDOW]) -> Vec<f64> {
    let dot = |taps: &mut dyn Iterator<Item = f64>| taps.zip(window).map(|(value, weight)| value * weight).sum::<f64>();
    let along: Vec<f64> = values
        .chunks_exact(width)
        .flat_map(|row| row.windows(WINDOW).map(|taps| dot(&mut taps.iter().copied())))
        .collect();
    let narrow = width - WINDOW + 1;
    (0..along.len() - (WINDOW - 1) * narrow)
        .map(|start| dot(&mut along[start..].iter().step_by(narrow).take(WINDOW).copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: u32, height: u32, of: impl Fn(usize) -> f32) -> Plane<f32> {
        let size = Size { width, height };
        Plane::from_vec(size, (0..size.pixels()).map(of).collect()).unwrap()
    }

    #[test]
    fn psnr_of_a_constant_error() {
        let (truth, off) = (plane(4, 3, |i| i as f32), plane(4, 3, |i| i as f32 + 5.0));
        // 20 log10(255 / 5)
        assert!((psnr(&off, &truth, 255.0).unwrap() - 34.151_403_521_958_73).abs() < 1e-9);
        // One of 12 samples off by 6: a mean square of 3.
        let one = plane(4, 3, |i| if i == 7 { 13.0 } else { i as f32 });
        assert!((psnr(&one, &truth, 255.0).unwrap() - 10.0 * (65025.0f64 / 3.0).log10()).abs() < 1e-9);
        assert!((psnr(&truth, &truth, 255.0).unwrap() - 168.130_8).abs() < 1e-4);
    }

    #[test]
    fn ssim_of_flat_planes_is_the_luminance_term() {
        let (a, b) = (plane(15, 12, |_| 100.0), plane(15, 12, |_| 120.0));
        let c1 = 2.55f64.powi(2);
        let expected = (2.0 * 100.0 * 120.0 + c1) / (100.0 * 100.0 + 120.0 * 120.0 + c1);
        assert!((ssim(&a, &b, 255.0).unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn ssim_of_one_window_by_hand() {
        // One position only, so means and variances are sums over the window with the Gaussian's weights.
        let (a, b) = (
            plane(11, 11, |i| (i * 37 % 101) as f32),
            plane(11, 11, |i| (i * 53 % 97) as f32),
        );
        let weight = |i: usize| {
            let (x, y) = ((i % 11) as f64 - 5.0, (i / 11) as f64 - 5.0);
            (-(x * x + y * y) / 4.5).exp()
        };
        let total: f64 = (0..121).map(weight).sum();
        let value = |plane: &Plane<f32>, i: usize| f64::from(plane.data()[i]);
        let mean = |of: &dyn Fn(usize) -> f64| (0..121).map(|i| weight(i) * of(i)).sum::<f64>() / total;
        let (ma, mb) = (mean(&|i| value(&a, i)), mean(&|i| value(&b, i)));
        let va = mean(&|i| (value(&a, i) - ma).powi(2));
        let vb = mean(&|i| (value(&b, i) - mb).powi(2));
        let c = mean(&|i| (value(&a, i) - ma) * (value(&b, i) - mb));
        let (c1, c2) = (6.5025, 58.5225);
        let expected = (2.0 * ma * mb + c1) * (2.0 * c + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
        assert!((ssim(&a, &b, 255.0).unwrap() - expected).abs() < 1e-9);
        assert!((ssim(&a, &a, 255.0).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn planes_that_differ_in_size_or_are_too_small_are_refused() {
        let (a, b) = (plane(12, 11, |_| 0.0), plane(11, 12, |_| 0.0));
        assert!(matches!(psnr(&a, &b, 255.0), Err(Error::SizeMismatch { .. })));
        assert!(matches!(ssim(&a, &b, 255.0), Err(Error::SizeMismatch { .. })));
        let small = plane(11, 10, |_| 0.0);
        assert!(matches!(ssim(&small, &small, 255.0), Err(Error::TooSmall { found, .. }) if found.height == 10));
    }
}
