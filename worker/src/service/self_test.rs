//! A small picture through the engine before the first task: an engine that makes other pictures than it must takes none.

use std::f64::consts::TAU;

use clearfleet_common::ErrorCode;
use vdsr::{Engine, EngineKind, EngineOptions, Geometry, Plane, Size, Weights};

use crate::{Error, Result};

/// The picture's size; the result is twice as large.
const SOURCE: Size = Size { width: 48, height: 32 };

/// What the network that ships makes of the picture, and what bicubic enlargement makes of it: grey of 16 bits
/// that stand for -1 to 2, since edges overshoot. Made by the ignored test below.
const BY_NETWORK: &[u8] = include_bytes!("self_test/network.png");
const BY_BICUBIC: &[u8] = include_bytes!("self_test/bicubic.png");

/// By how much one sample may differ: two codes of 8 bits. A kernel that is wrong at a border or in one channel is off by
/// tens; arithmetic of 16 bits by less than one.
const MOST: f64 = 2.0 / 255.0;
/// By how much samples may differ on average: a quarter of a code.
const MEAN: f64 = 0.25 / 255.0;

/// Compares what the engine makes of a small picture with what is stored, or, where the weights are not those that ship,
/// with what the reference engine makes of it.
///
/// # Errors
/// `EngineFailed`, with the differences found and those allowed.
pub(super) fn run(engine: &dyn Engine, weights: &Weights) -> Result<()> {
    let source = picture()?;
    let found = enlarge(engine, &source)?;
    let expected = match engine.kind() {
        EngineKind::Bicubic | EngineKind::Wait => stored(BY_BICUBIC)?,
        _ if Weights::embedded().is_ok_and(|own| own.digest() == weights.digest()) => stored(BY_NETWORK)?,
        _ => {
            let reference = vdsr::build_engine(&EngineOptions::default(), weights).map_err(failed)?;
            enlarge(&*reference, &source)?.into_vec()
        }
    };
    compare(engine, &expected, found.data())
}

fn compare(engine: &dyn Engine, expected: &[f32], found: &[f32]) -> Result<()> {
    let differences = expected.iter().zip(found).map(|(e, f)| f64::from(e - f).abs());
    let (most, sum) = differences.fold((0.0f64, 0.0), |(most, sum), d| (most.max(d), sum + d));
    let mean = sum / expected.len().max(1) as f64;
    // What is not a number is not within anything.
    if expected.len() == found.len() && most <= MOST && mean <= MEAN && found.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let message = format!(
        "the engine {} makes another picture than it must: it is broken, or its device is",
        engine.kind()
    );
    let error = Error::new(ErrorCode::EngineFailed, message);
    Err(error
        .with("most_allowed", MOST)
        .with("most_found", most)
        .with("mean_allowed", MEAN)
        .with("mean_found", mean))
}

/// Waves of every direction that grow finer to the right, with a bright box and a dark line: edges and texture at each
/// border.
fn picture() -> Result<Plane<f32>> {
    let sample = |x: u32, y: u32| {
        let (u, v) = (
            f64::from(x) / f64::from(SOURCE.width),
            f64::from(y) / f64::from(SOURCE.height),
        );
        let waves = (TAU * (2.0 + 10.0 * u) * u).sin() * (TAU * 3.0 * (u + v)).cos();
        match (x, y) {
            (6..14, 5..12) => 0.75,
            _ if (x + y).is_multiple_of(23) => 0.25,
            _ => 0.5 + 0.2 * waves,
        }
    };
    let samples = (0..SOURCE.height).flat_map(|y| (0..SOURCE.width).map(move |x| sample(x, y) as f32));
    Plane::from_vec(SOURCE, samples.collect()).map_err(failed)
}

fn enlarge(engine: &dyn Engine, source: &Plane<f32>) -> Result<Plane<f32>> {
    let geometry = Geometry::scaled(SOURCE, 2.0).map_err(failed)?;
    let mut target = Plane::new(geometry.target, 0.0);
    let mut session = engine.open(geometry).map_err(failed)?;
    session.upscale(source, &mut target, &()).map_err(failed)?;
    Ok(target)
}

fn stored(png: &[u8]) -> Result<Vec<f32>> {
    let unreadable = |e| Error::internal("the self-test's picture cannot be read").because(e);
    let picture = image::load_from_memory(png).map_err(unreadable)?.into_luma16();
    Ok(picture
        .into_raw()
        .into_iter()
        .map(|code| f32::from(code) / f32::from(u16::MAX) * 3.0 - 1.0)
        .collect())
}

fn failed(error: vdsr::Error) -> Error {
    Error::new(ErrorCode::EngineFailed, "the engine does not get through its self-test").because(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use image::{ImageBuffer, Luma};
    use vdsr::{Precision, Session, Watch};

    use super::*;

    fn engine(kind: EngineKind) -> Arc<dyn Engine> {
        engine_in(kind, Precision::F32)
    }

    fn engine_in(kind: EngineKind, precision: Precision) -> Arc<dyn Engine> {
        let options = EngineOptions {
            kind,
            precision,
            ..EngineOptions::default()
        };
        vdsr::build_engine(&options, &Weights::embedded().unwrap()).unwrap()
    }

    /// An engine that does what another does, and then something to it.
    struct Spoilt(Arc<dyn Engine>, fn(&mut [f32]));

    struct SpoiltSession(Box<dyn Session>, fn(&mut [f32]));

    impl Engine for Spoilt {
        fn kind(&self) -> EngineKind {
            self.0.kind()
        }

        fn fingerprint(&self) -> String {
            self.0.fingerprint()
        }

        fn open(&self, geometry: Geometry) -> vdsr::Result<Box<dyn Session>> {
            Ok(Box::new(SpoiltSession(self.0.open(geometry)?, self.1)))
        }
    }

    impl Session for SpoiltSession {
        fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> vdsr::Result<()> {
            self.0.upscale(source, target, watch)?;
            (self.1)(target.data_mut());
            Ok(())
        }
    }

    #[test]
    fn sound_engines_pass() {
        let weights = Weights::embedded().unwrap();
        for kind in [
            EngineKind::Reference,
            EngineKind::Cpu,
            EngineKind::Bicubic,
            EngineKind::Wait,
        ] {
            run(&*engine(kind), &weights).unwrap_or_else(|e| panic!("{kind}: {e:?}"));
        }
        run(&*engine_in(EngineKind::Cpu, Precision::Bf16), &weights).unwrap();
    }

    #[test]
    fn an_engine_without_its_network_is_found_out() {
        // Bicubic pixels from what says to be the network.
        struct Liar(Arc<dyn Engine>);
        impl Engine for Liar {
            fn kind(&self) -> EngineKind {
                EngineKind::Reference
            }
            fn fingerprint(&self) -> String {
                String::new()
            }
            fn open(&self, geometry: Geometry) -> vdsr::Result<Box<dyn Session>> {
                self.0.open(geometry)
            }
        }
        let error = run(&Liar(engine(EngineKind::Bicubic)), &Weights::embedded().unwrap()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::EngineFailed);
        assert!(
            error.details()["mean_found"].parse::<f64>().unwrap() > MEAN,
            "{error:?}"
        );
    }

    #[test]
    fn one_wrong_border_one_wrong_sample_and_no_number_are_found() {
        let weights = Weights::embedded().unwrap();
        let faults: [fn(&mut [f32]); 4] = [
            |samples| samples[17] += 0.01,
            |samples| samples[..96].fill(0.0),
            |samples| samples.iter_mut().for_each(|s| *s += 0.002),
            |samples| samples[0] = f32::NAN,
        ];
        for fault in faults {
            let error = run(&Spoilt(engine(EngineKind::Bicubic), fault), &weights).unwrap_err();
            assert_eq!(error.code(), ErrorCode::EngineFailed);
        }
        run(
            &Spoilt(engine(EngineKind::Bicubic), |samples| samples[17] += 0.005),
            &weights,
        )
        .unwrap();
    }

    /// `cargo test -p clearfleet-worker write_the_stored_pictures -- --ignored` after a change of the weights that ship.
    #[test]
    #[ignore = "writes into the source tree"]
    fn write_the_stored_pictures() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/self_test");
        for (name, kind) in [
            ("network.png", EngineKind::Reference),
            ("bicubic.png", EngineKind::Bicubic),
        ] {
            let target = enlarge(&*engine(kind), &picture().unwrap()).unwrap();
            let (width, height) = (target.size().width, target.size().height);
            let codes = target
                .data()
                .iter()
                .map(|v| ((v + 1.0) / 3.0 * 65535.0).round() as u16)
                .collect();
            let pixels: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_raw(width, height, codes).unwrap();
            pixels.save(folder.join(name)).unwrap();
        }
    }
}
