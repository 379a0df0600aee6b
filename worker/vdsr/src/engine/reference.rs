//! The plain graph, tile by tile.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::{Engine, EngineKind, Session, Watch, bicubic::BicubicSession, report};
use crate::{
    error::Result,
    geometry::{Geometry, Size},
    network::Network,
    plane::{Plane, expect_finite},
    tiles::{Tile, Tiles},
    weights::{Weights, hex},
};

/// With a halo of 20 this computes 22% more than an untiled plane (256: 34%); a tile then takes 140 MB (256: 70 MB)
/// and, on two cores, 7 s.
const DEFAULT_CORE: u32 = 384;

/// The engine: a network that all sessions share.
pub(super) struct Reference {
    network: Arc<Network>,
    core: u32,
    arithmetic: String,
}

impl Reference {
    /// Refuses tiles below 8 pixels.
    pub(super) fn new(weights: &Weights, tile: Option<u32>) -> Result<Self> {
        let core = tile.unwrap_or(DEFAULT_CORE);
        Tiles::new(Size { width: 1, height: 1 }, core, 0)?;
        let network = Arc::new(Network::from_weights(weights, &Device::Cpu)?);
        Ok(Self {
            network,
            core,
            arithmetic: arithmetic()?,
        })
    }
}

impl Engine for Reference {
    fn kind(&self) -> EngineKind {
        EngineKind::Reference
    }

    fn fingerprint(&self) -> String {
        format!("reference/f32/{}/tile{}", self.arithmetic, self.core)
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn Session>> {
        Ok(Box::new(ReferenceSession {
            network: Arc::clone(&self.network),
            bicubic: BicubicSession::new(geometry)?,
            enlarged: Plane::new(geometry.target, 0.0),
            tiles: Tiles::new(geometry.target, self.core, self.network.radius() as u32)?,
            input: Vec::new(),
        }))
    }
}

struct ReferenceSession {
    network: Arc<Network>,
    bicubic: BicubicSession,
    /// The network's input. Not the target: a tile's halo must not see what another tile has written.
    enlarged: Plane<f32>,
    tiles: Tiles,
    /// One tile's input.
    input: Vec<f32>,
}

impl Session for ReferenceSession {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> Result<()> {
        target.expect_size("target plane", self.enlarged.size())?;
        self.bicubic.enlarge(source, &mut self.enlarged)?;
        for (index, tile) in self.tiles.iter().enumerate() {
            self.run_tile(tile, target)?;
            report(watch, index + 1, self.tiles.count())?;
        }
        Ok(())
    }
}

impl ReferenceSession {
    fn run_tile(&mut self, Tile { core, input }: Tile, target: &mut Plane<f32>) -> Result<()> {
        self.input.clear();
        for y in input.y..input.y + input.height {
            self.input
                .extend_from_slice(&self.enlarged.row(y)[input.x..][..input.width]);
        }
        let tensor = Tensor::from_slice(&self.input, (1, 1, input.height, input.width), &Device::Cpu)?;
        let output = self.network.forward(&tensor)?;
        let output = output
            .narrow(2, core.y - input.y, core.height)?
            .narrow(3, core.x - input.x, core.width)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        expect_finite(&output)?;
        for (y, row) in (core.y..).zip(output.chunks_exact(core.width)) {
            target.row_mut(y)[core.x..][..core.width].copy_from_slice(row);
        }
        Ok(())
    }
}

/// The kernels that candle's matrix product chooses on this machine, and a digest of what they make of a fixed
/// convolution: they split sums by the sizes of the caches, so machines of one instruction set can differ.
fn arithmetic() -> Result<String> {
    #[cfg(target_arch = "x86_64")]
    let path = match (
        std::arch::is_x86_feature_detected!("avx512f"),
        std::arch::is_x86_feature_detected!("fma"),
    ) {
        (true, _) => "avx512",
        (false, true) => "fma",
        (false, false) => "sse2",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let path = std::env::consts::ARCH;
    let mut state = 1u32;
    let mut noise = |count: usize| -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    };
    // As many channels and pixels as the network's own products have.
    let input = Tensor::from_vec(noise(64 * 32 * 32), (1, 64, 32, 32), &Device::Cpu)?;
    let kernel = Tensor::from_vec(noise(64 * 64 * 9), (64, 64, 3, 3), &Device::Cpu)?;
    let output = input.conv2d(&kernel, 1, 1, 1, 1)?.flatten_all()?.to_vec1::<f32>()?;
    let bytes: Vec<u8> = output.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(format!("{path}-{}", &hex(&Sha256::digest(&bytes))[..8]))
}
