//! Which engine, on which devices, with which weights.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clearfleet_common::ErrorCode;
use vdsr::{Engine, EngineKind, EngineOptions, Precision, Weights};

use crate::service::EngineBuilder;
use crate::{Error, Result};

/// What enlarges.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// What enlarges: the network, or bicubic for comparison.
    #[arg(long, env = "CLEARFLEET_ENGINE", value_enum, default_value_t = EngineKind::Cpu)]
    engine: EngineKind,
    /// Arithmetic of the engine `cpu`. With bf16 pictures differ by what nobody sees; it is several times as fast on
    /// processors with AMX, and slower on those without any bf16.
    #[arg(long, env = "CLEARFLEET_PRECISION", value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// Which GPUs work, each with an engine of its own: all, or numbers with commas. Engines of the processor are one
    /// device.
    #[arg(long, env = "CLEARFLEET_DEVICES", value_name = "all|0,1,…", default_value = "all")]
    devices: Chosen,
    /// Weights of the network in place of those in the program.
    #[arg(long, env = "CLEARFLEET_WEIGHTS", value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Edge of the network's tiles in pixels, or the width of the strips of the engine `cpu`; smaller ones need less memory.
    #[arg(long, env = "CLEARFLEET_TILE", value_name = "PIXELS")]
    tile: Option<u32>,
    /// What the engine `wait` takes for each frame, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = milliseconds, hide = true)]
    wait: Duration,
}

/// The devices to use.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chosen {
    All,
    /// The first and the others.
    Numbered(u32, Vec<u32>),
}

/// A device, and how to make an engine on it.
#[allow(missing_debug_implementations, reason = "it holds a closure")]
pub struct Device {
    /// What it is called in announcements and messages.
    pub name: String,
    /// Makes the engine, as often as need be.
    pub builder: EngineBuilder,
}

/// The devices of a process and the network that runs on them.
#[allow(missing_debug_implementations, reason = "devices hold closures")]
pub struct Devices {
    /// The first device.
    pub first: Device,
    /// Further ones.
    pub others: Vec<Device>,
    /// The weights.
    pub weights: Weights,
}

impl EngineArgs {
    /// The devices that are named, and the weights.
    ///
    /// # Errors
    /// `WeightsInvalid`; `SettingsInvalid` for devices that are not there, or that the engine does not run on.
    pub fn devices(&self) -> Result<Devices> {
        let weights = match &self.weights {
            Some(path) => Weights::load(path),
            None => Weights::embedded(),
        };
        let refused = |e: vdsr::Error| Error::new(ErrorCode::WeightsInvalid, "the weights cannot be used").because(e);
        let weights = weights.map_err(refused)?;
        let options = EngineOptions {
            kind: self.engine,
            precision: self.precision,
            tile: self.tile,
            wait: self.wait,
        };
        let device = |name: String| {
            let (options, weights) = (options.clone(), weights.clone());
            Device {
                name,
                builder: Arc::new(move || vdsr::build_engine(&options, &weights)),
            }
        };
        let (first, others) = self.device_names()?;
        Ok(Devices {
            first: device(first),
            others: others.into_iter().map(device).collect(),
            weights,
        })
    }

    /// The first and the others.
    fn device_names(&self) -> Result<(String, Vec<String>)> {
        match (&self.devices, self.engine) {
            (Chosen::All, _) => Ok(("cpu".to_owned(), Vec::new())),
            // It stands in for devices that are not there, so there are as many as one likes.
            (Chosen::Numbered(first, others), EngineKind::Wait) => {
                let name = |number: &u32| format!("wait:{number}");
                Ok((name(first), others.iter().map(name).collect()))
            }
            (Chosen::Numbered(..), engine) => {
                let message =
                    format!("the engine {engine} runs on the processor, which has no number: leave --devices away");
                Err(Error::new(ErrorCode::SettingsInvalid, message))
            }
        }
    }

    /// Pixels of a result that an engine makes in a second, roughly, before any was measured. `frame_pixels` are those of
    /// a frame of the result.
    pub fn pixels_per_second(&self, frame_pixels: f64) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        match self.engine {
            // Measured: 33 s a megapixel on two cores.
            EngineKind::Reference => 15_000.0 * cores,
            // Measured in f32 on a busy machine with AVX-512; with AVX2 it is three quarters.
            EngineKind::Cpu => 200_000.0 * cores,
            EngineKind::Bicubic => 20e6 * cores,
            EngineKind::Wait => frame_pixels / self.wait.as_secs_f64().max(1e-3),
        }
    }
}

impl Device {
    /// Makes the engine.
    ///
    /// # Errors
    /// `SettingsInvalid` if it cannot be made as it is asked for.
    pub fn engine(&self) -> Result<Arc<dyn Engine>> {
        (self.builder)().map_err(|e| {
            let message = format!("the engine cannot be started on {}", self.name);
            Error::new(ErrorCode::SettingsInvalid, message).because(e)
        })
    }
}

impl FromStr for Chosen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        let mut numbers: Vec<u32> = text
            .split(',')
            .map(|number| number.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| format!("{text:?} is neither all nor numbers such as 0,1"))?;
        numbers.sort_unstable();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("device {} is named twice", pair[0]));
        }
        match numbers.split_first() {
            Some((first, others)) => Ok(Self::Numbered(*first, others.to_vec())),
            None => Err("no device is named".to_owned()),
        }
    }
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_precision_reaches_the_engine() {
        #[derive(Parser)]
        struct Call {
            #[command(flatten)]
            engine: EngineArgs,
        }
        let engine = |kind| {
            let call = ["call", "--engine", kind, "--precision", "bf16"];
            let devices = Call::try_parse_from(call).unwrap().engine.devices().unwrap();
            devices.first.engine()
        };
        let fingerprint = engine("cpu").unwrap().fingerprint();
        assert!(fingerprint.starts_with("cpu/bf16/"), "{fingerprint}");
        assert_eq!(engine("reference").err().unwrap().code(), ErrorCode::SettingsInvalid);
    }

    #[test]
    fn devices_are_all_or_numbers() {
        assert_eq!("all".parse(), Ok(Chosen::All));
        assert_eq!("2, 0".parse(), Ok(Chosen::Numbered(0, vec![2])));
        for refused in ["", "gpu", "0,,1", "-1", "1,1"] {
            assert!(refused.parse::<Chosen>().is_err(), "{refused}");
        }
    }
}
