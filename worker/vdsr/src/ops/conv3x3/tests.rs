use proptest::prelude::*;

use super::*;
use crate::weights::Layer;

/// By how much an output may differ: of 576 products of up to 0.1, which 32-bit sums of Winograd's factors round.
const MOST: f64 = 6e-5;

/// Numbers from -1 to 1.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn layer(&mut self, inputs: usize, outputs: usize) -> Layer {
        Layer {
            inputs,
            outputs,
            weight: (0..inputs * outputs * 9).map(|_| self.next() * 0.1).collect(),
            bias: (0..outputs).map(|_| self.next()).collect(),
        }
    }

    fn columns(&mut self, count: usize) -> Vec<Column> {
        let mut pixel = || Pixel(std::array::from_fn(|_| self.next()));
        (0..count).map(|_| std::array::from_fn(|_| pixel())).collect()
    }
}

/// One output of a layer by its definition, in `f64`; `input` gives a channel of the pixel that a tap meets.
fn direct(layer: &Layer, output: usize, input: impl Fn(usize, usize, usize) -> f32) -> f64 {
    let filters = layer.weight[output * layer.inputs * 9..]
        .chunks_exact(9)
        .take(layer.inputs);
    let products = filters.enumerate().flat_map(|(channel, filter)| {
        let input = &input;
        filter
            .iter()
            .enumerate()
            .map(move |(tap, weight)| f64::from(*weight) * f64::from(input(channel, tap % 3, tap / 3)))
    });
    products.sum::<f64>() + f64::from(layer.bias[output])
}

/// What the rows of three bands hold, as a layer's tap meets them from row `y` of the middle band.
fn rows(bands: &[Vec<Column>; 3], x: usize, y: usize) -> &Pixel {
    let y = y + EDGE - 1;
    &bands[y / EDGE][x][y % EDGE]
}

fn window(bands: &[Vec<Column>; 3]) -> Window<'_> {
    let [above, middle, below] = bands;
    Window { above, middle, below }
}

fn kernels() -> impl Iterator<Item = Kernels> {
    Path::available().map(Kernels::new)
}

/// Compares one band's channels with their definition after ReLU; what lies outside must be 0.
fn expect_band(
    found: &[Column],
    inside: Inside,
    expected: impl Fn(usize, usize, usize) -> f64,
) -> Result<(), TestCaseError> {
    for (x, column) in found.iter().enumerate() {
        for (y, pixel) in column.iter().enumerate() {
            for (channel, value) in pixel.0.iter().enumerate() {
                let expected = if x < inside.columns && y < inside.rows {
                    expected(x, y, channel).max(0.0)
                } else {
                    0.0
                };
                prop_assert!(
                    (f64::from(*value) - expected).abs() <= MOST,
                    "{} of {} at {},{}",
                    value,
                    expected,
                    x,
                    y
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_first_layer_is_its_definition(width in 1usize..20, inside in (0usize..20, 0usize..6), seed in any::<u32>()) {
        let mut noise = Noise(seed);
        let layer = noise.layer(1, CHANNELS);
        let stride = width + 3;
        let samples: Vec<f32> = (0..stride * SPAN).map(|_| noise.next()).collect();
        let inside = Inside { columns: inside.0, rows: inside.1 };
        for kernels in kernels() {
            let mut output = noise.columns(width);
            kernels.first(&FirstWeights::new(&layer), Luma { samples: &samples, stride }, inside, &mut output);
            expect_band(&output, inside, |x, y, channel| {
                direct(&layer, channel, |_, dx, dy| samples[(y + dy) * stride + x + dx])
            })?;
        }
    }

    #[test]
    fn a_body_layer_is_its_definition(tiles in 1usize..10, inside in (0usize..40, 0usize..6), seed in any::<u32>()) {
        let mut noise = Noise(seed);
        let layer = noise.layer(CHANNELS, CHANNELS);
        let bands = [0; 3].map(|_| noise.columns(tiles * EDGE + 2));
        let inside = Inside { columns: inside.0, rows: inside.1 };
        for kernels in kernels() {
            let mut output = noise.columns(tiles * EDGE);
            let weights = BodyWeights::new(&layer);
            kernels.body(&weights, window(&bands), inside, &mut output, &mut Scratch::default());
            expect_band(&output, inside, |x, y, channel| {
                direct(&layer, channel, |input, dx, dy| rows(&bands, x + dx, y + dy).0[input])
            })?;
        }
    }

    #[test]
    fn the_last_layer_is_its_definition(width in 1usize..20, seed in any::<u32>()) {
        let mut noise = Noise(seed);
        let layer = noise.layer(CHANNELS, 1);
        let bands = [0; 3].map(|_| noise.columns(width + 2));
        for kernels in kernels() {
            let mut output = vec![[f32::NAN; EDGE]; width];
            kernels.last(&LastWeights::new(&layer), window(&bands), &mut output);
            for (x, column) in output.iter().enumerate() {
                for (y, value) in column.iter().enumerate() {
                    let expected = direct(&layer, 0, |input, dx, dy| rows(&bands, x + dx, y + dy).0[input]);
                    prop_assert!((f64::from(*value) - expected).abs() <= 1e-5, "{} of {}", value, expected);
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_gets_through_every_layer() {
    let mut noise = Noise(5);
    let inside = Inside {
        columns: EDGE,
        rows: EDGE,
    };
    for kernels in kernels() {
        let path = kernels.path();
        let mut bands = [0; 3].map(|_| noise.columns(EDGE + 2));
        bands[1][2][1].0[7] = f32::NAN;
        let mut output = noise.columns(EDGE);
        let body = BodyWeights::new(&noise.layer(CHANNELS, CHANNELS));
        kernels.body(&body, window(&bands), inside, &mut output, &mut Scratch::default());
        assert!(output[1][1].0.iter().all(|value| value.is_nan()), "{path}");

        let samples = vec![f32::NAN; SPAN * 3];
        let luma = Luma {
            samples: &samples,
            stride: 3,
        };
        let first = FirstWeights::new(&noise.layer(1, CHANNELS));
        kernels.first(&first, luma, inside, &mut output[..1]);
        assert!(output[0][0].0.iter().all(|value| value.is_nan()), "{path}");
    }
}

#[test]
fn a_path_that_is_not_there_is_refused_with_those_that_are() {
    let error = Path::named("sse9").unwrap_err();
    assert!(
        error.to_string().contains("\"sse9\"; this processor has portable"),
        "{error}"
    );
    assert_eq!(Path::named("portable").unwrap(), Path::Portable);
}
