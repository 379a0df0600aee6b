use proptest::prelude::*;

use super::{
    pixel::{Bf16Pixel, round},
    *,
};

/// By how much an output may differ before it is rounded to what is kept: of 576 products of up to 0.1, which 32-bit sums of
/// Winograd's factors round.
const MOST: f64 = 6e-5;

/// Pixels as a test makes them and looks at them.
trait Values: Sized {
    /// The largest error of what is kept, as a share of the value.
    const ROUNDING: f64;

    /// The value that is kept.
    fn kept(value: f32) -> f32;

    fn from_values(values: [f32; CHANNELS]) -> Self;

    fn values(&self) -> [f32; CHANNELS];
}

impl Values for Pixel {
    const ROUNDING: f64 = 0.0;

    fn kept(value: f32) -> f32 {
        value
    }

    fn from_values(values: [f32; CHANNELS]) -> Self {
        Self(values)
    }

    fn values(&self) -> [f32; CHANNELS] {
        self.0
    }
}

impl Values for Bf16Pixel {
    // Half of the last of 8 bits.
    const ROUNDING: f64 = 1.0 / 256.0;

    fn kept(value: f32) -> f32 {
        half::bf16::from_f32(value).to_f32()
    }

    fn from_values(values: [f32; CHANNELS]) -> Self {
        Self(values.map(half::bf16::from_f32))
    }

    fn values(&self) -> [f32; CHANNELS] {
        self.0.map(half::bf16::to_f32)
    }
}

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

    fn columns<P: Values>(&mut self, count: usize) -> Vec<Column<P>> {
        let mut pixel = || P::from_values(std::array::from_fn(|_| self.next()));
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

/// What three bands hold, as a layer's tap meets them from row `y` of the middle band.
fn value<P: Values>(bands: &[Vec<Column<P>>; 3], x: usize, y: usize, channel: usize) -> f32 {
    let y = y + EDGE - 1;
    bands[y / EDGE][x][y % EDGE].values()[channel]
}

fn window<P>(bands: &[Vec<Column<P>>; 3]) -> Window<'_, P> {
    let [above, middle, below] = bands;
    Window { above, middle, below }
}

fn kernels<K: Kernels>() -> impl Iterator<Item = K> {
    Path::available::<K>().map(K::new)
}

/// Compares one band's channels with their definition after ReLU; what lies outside must be 0.
fn expect_band<P: Values>(
    found: &[Column<P>],
    inside: Inside,
    expected: impl Fn(usize, usize, usize) -> f64,
) -> Result<(), TestCaseError> {
    for (x, column) in found.iter().enumerate() {
        for (y, pixel) in column.iter().enumerate() {
            let shown = x < inside.columns && y < inside.rows;
            for (channel, value) in pixel.values().into_iter().enumerate() {
                let expected = if shown { expected(x, y, channel).max(0.0) } else { 0.0 };
                let most = if shown { MOST + expected * P::ROUNDING } else { 0.0 };
                prop_assert!(
                    (f64::from(value) - expected).abs() <= most,
                    "{value} of {expected} at {x},{y}"
                );
            }
        }
    }
    Ok(())
}

/// The first layer of `width` columns on every path of a precision.
fn first_is_its_definition<K>(width: usize, inside: Inside, seed: u32) -> Result<(), TestCaseError>
where
    K: Kernels<Pixel: Values>,
{
    let mut noise = Noise(seed);
    let layer = noise.layer(1, CHANNELS);
    let stride = width + 3;
    let samples: Vec<f32> = (0..stride * SPAN).map(|_| noise.next()).collect();
    let luma = Luma {
        samples: &samples,
        stride,
    };
    for kernels in kernels::<K>() {
        let mut output = noise.columns::<K::Pixel>(width);
        kernels.first(&FirstWeights::new(&layer), luma, inside, &mut output);
        expect_band(&output, inside, |x, y, channel| {
            direct(&layer, channel, |_, dx, dy| samples[(y + dy) * stride + x + dx])
        })?;
    }
    Ok(())
}

/// A body layer of some tiles on every path of a precision.
fn body_is_its_definition<K>(tiles: usize, inside: Inside, seed: u32) -> Result<(), TestCaseError>
where
    K: Kernels<Pixel: Values>,
{
    let mut noise = Noise(seed);
    let layer = noise.layer(CHANNELS, CHANNELS);
    let mut kept = layer.clone();
    for weight in &mut kept.weight {
        *weight = K::Pixel::kept(*weight);
    }
    let bands = [0; 3].map(|_| noise.columns::<K::Pixel>(tiles * EDGE + 2));
    for kernels in kernels::<K>() {
        let mut output = noise.columns(tiles * EDGE);
        let weights = K::prepare(&layer);
        kernels.body(&weights, window(&bands), inside, &mut output, &mut Scratch::default());
        expect_band(&output, inside, |x, y, channel| {
            direct(&kept, channel, |input, dx, dy| value(&bands, x + dx, y + dy, input))
        })?;
    }
    Ok(())
}

/// The last layer of `width` columns on every path of a precision.
fn last_is_its_definition<K>(width: usize, seed: u32) -> Result<(), TestCaseError>
where
    K: Kernels<Pixel: Values>,
{
    let mut noise = Noise(seed);
    let layer = noise.layer(CHANNELS, 1);
    let bands = [0; 3].map(|_| noise.columns::<K::Pixel>(width + 2));
    for kernels in kernels::<K>() {
        let mut output = vec![[f32::NAN; EDGE]; width];
        kernels.last(&LastWeights::new(&layer), window(&bands), &mut output);
        for (x, column) in output.iter().enumerate() {
            for (y, found) in column.iter().enumerate() {
                let expected = direct(&layer, 0, |input, dx, dy| value(&bands, x + dx, y + dy, input));
                prop_assert!((f64::from(*found) - expected).abs() <= 1e-5, "{found} of {expected}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_first_layer_is_its_definition(width in 1usize..20, inside in (0usize..20, 0usize..6), seed in any::<u32>()) {
        let inside = Inside { columns: inside.0, rows: inside.1 };
        first_is_its_definition::<F32Kernels>(width, inside, seed)?;
        first_is_its_definition::<Bf16Kernels>(width, inside, seed)?;
    }

    #[test]
    fn a_body_layer_is_its_definition(tiles in 1usize..10, inside in (0usize..40, 0usize..6), seed in any::<u32>()) {
        let inside = Inside { columns: inside.0, rows: inside.1 };
        body_is_its_definition::<F32Kernels>(tiles, inside, seed)?;
        body_is_its_definition::<Bf16Kernels>(tiles, inside, seed)?;
    }

    #[test]
    fn the_last_layer_is_its_definition(width in 1usize..20, seed in any::<u32>()) {
        last_is_its_definition::<F32Kernels>(width, seed)?;
        last_is_its_definition::<Bf16Kernels>(width, seed)?;
    }

    #[test]
    fn in_bfloat16_a_body_layer_does_not_show_where_it_is_cut(tiles in 1usize..12, cut in 0usize..12, seed in any::<u32>()) {
        let mut noise = Noise(seed);
        let weights = Bf16Kernels::prepare(&noise.layer(CHANNELS, CHANNELS));
        let columns = tiles * EDGE;
        let bands = [0; 3].map(|_| noise.columns::<Bf16Pixel>(columns + 2));
        let inside = Inside { columns: columns - 1, rows: EDGE - 1 };
        for kernels in kernels::<Bf16Kernels>() {
            let mut whole = noise.columns::<Bf16Pixel>(columns);
            kernels.body(&weights, window(&bands), inside, &mut whole, &mut Scratch::default());
            let mut parts = noise.columns::<Bf16Pixel>(columns);
            let cut = cut.min(tiles) * EDGE;
            let (left, right) = parts.split_at_mut(cut);
            for (from, part) in [(0, left), (cut, right)] {
                let window = window(&bands).part(from, part.len() + 2);
                kernels.body(&weights, window, inside.skip_columns(from), part, &mut Scratch::default());
            }
            let bits = |columns: &[Column<Bf16Pixel>]| -> Vec<_> {
                columns.as_flattened().iter().map(|pixel| pixel.0.map(half::bf16::to_bits)).collect()
            };
            prop_assert!(bits(&whole) == bits(&parts), "{} is cut at {}", kernels.path(), cut);
        }
    }

    #[test]
    fn values_are_rounded_as_others_round_them(
        high in any::<u16>(), low in prop_oneof![any::<u16>(), Just(0), 0x7fffu16..0x8002]
    ) {
        let value = f32::from_bits(u32::from(high) << 16 | u32::from(low));
        prop_assert_eq!(round(value).to_bits(), half::bf16::from_f32(value).to_bits());
    }
}

fn not_a_number_gets_through_every_layer<K: Kernels<Pixel: Values>>() {
    let mut noise = Noise(5);
    let inside = Inside {
        columns: EDGE,
        rows: EDGE,
    };
    for kernels in kernels::<K>() {
        let path = kernels.path();
        let all = |pixel: &K::Pixel| pixel.values().iter().all(|value| value.is_nan());
        let mut bands = [0; 3].map(|_| noise.columns::<K::Pixel>(EDGE + 2));
        let mut values = bands[1][2][1].values();
        values[7] = f32::NAN;
        bands[1][2][1] = Values::from_values(values);
        let mut output = noise.columns(EDGE);
        let body = K::prepare(&noise.layer(CHANNELS, CHANNELS));
        kernels.body(&body, window(&bands), inside, &mut output, &mut Scratch::default());
        assert!(all(&output[1][1]), "{path}");

        let samples = vec![f32::NAN; SPAN * 3];
        let luma = Luma {
            samples: &samples,
            stride: 3,
        };
        let first = FirstWeights::new(&noise.layer(1, CHANNELS));
        kernels.first(&first, luma, inside, &mut output[..1]);
        assert!(all(&output[0][0]), "{path}");
    }
}

#[test]
fn what_is_not_a_number_gets_through_every_layer() {
    not_a_number_gets_through_every_layer::<F32Kernels>();
    not_a_number_gets_through_every_layer::<Bf16Kernels>();
}

/// Columns of zeros behind which there is no memory that may be read.
#[cfg(target_os = "linux")]
fn columns_at_the_end_of_memory<P>(count: usize) -> &'static [Column<P>] {
    const PAGE: usize = 4096;
    let pages = (count * size_of::<Column<P>>()).div_ceil(PAGE) * PAGE;
    // SAFETY: new pages, all but the last of which may be read; zeros are values of every kind of pixel.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let start = libc::mmap(std::ptr::null_mut(), pages + PAGE, libc::PROT_READ, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        let end = start.byte_add(pages);
        assert_eq!(libc::mprotect(end, PAGE, libc::PROT_NONE), 0);
        std::slice::from_raw_parts(end.cast::<Column<P>>().sub(count), count)
    }
}

#[cfg(target_os = "linux")]
fn expect_nothing_read_behind_the_window<K: Kernels<Pixel: Values>>() {
    let mut noise = Noise(9);
    let body = K::prepare(&noise.layer(CHANNELS, CHANNELS));
    let last = LastWeights::new(&noise.layer(CHANNELS, 1));
    for columns in [4, 12, 16, 20, 48] {
        let [above, middle, below] = [0; 3].map(|_| columns_at_the_end_of_memory(columns + 2));
        let window = Window { above, middle, below };
        let inside = Inside { columns, rows: EDGE };
        for kernels in kernels::<K>() {
            let mut output = noise.columns(columns);
            kernels.body(&body, window, inside, &mut output, &mut Scratch::default());
            kernels.last(&last, window, &mut vec![[0.0; EDGE]; columns]);
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_read_behind_the_window() {
    expect_nothing_read_behind_the_window::<F32Kernels>();
    expect_nothing_read_behind_the_window::<Bf16Kernels>();
}

#[test]
fn a_path_that_is_not_there_is_refused_with_those_that_are() {
    let error = Path::named::<F32Kernels>("sse9").unwrap_err();
    assert!(
        error.to_string().contains("\"sse9\"; this processor has portable"),
        "{error}"
    );
    assert!(error.to_string().ends_with(" for f32"), "{error}");
    // Each precision has paths of its own.
    assert!(Path::named::<Bf16Kernels>("avx2").is_err());
    assert_eq!(Bf16Kernels::new(Path::Avx2).path(), Path::Portable);
    assert_eq!(Path::named::<F32Kernels>("portable").unwrap(), Path::Portable);
}
