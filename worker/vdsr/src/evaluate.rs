//! How well an engine restores pictures that were made small: the protocol of the super-resolution literature.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::DynamicImage;
use serde::Serialize;

use crate::{
    colour::studio_luma,
    engine::Engine,
    error::{Error, Result},
    geometry::{Geometry, Size},
    metrics::{psnr, ssim},
    picture::load_picture,
    plane::Plane,
    resample::Resampler,
};

/// Endings of the files that count as pictures.
const ENDINGS: [&str; 6] = ["png", "webp", "bmp", "jpg", "jpeg", "tif"];

/// White at 8 bits.
const PEAK: f64 = 255.0;

/// A folder of pictures.
#[derive(Debug, Clone)]
pub struct Dataset {
    name: String,
    pictures: Vec<PathBuf>,
}

impl Dataset {
    /// Lists a folder's pictures by name; folders within it are not looked into.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be listed, [`Error::EmptyDataset`] when it holds no picture.
    pub fn open(folder: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: folder.to_owned(),
            source,
        };
        let is_picture = |path: &PathBuf| {
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
        };
        let entries = fs::read_dir(folder)
            .map_err(io)?
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(io)?;
        let mut pictures: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(is_picture).collect();
        pictures.sort();
        if pictures.is_empty() {
            return Err(Error::EmptyDataset {
                path: folder.to_owned(),
            });
        }
        // "." and paths that end in ".." have a name, too.
        let whole = folder.canonicalize().map_err(io)?;
        let name = whole
            .file_name()
            .unwrap_or(whole.as_os_str())
            .to_string_lossy()
            .into_owned();
        Ok(Self { name, pictures })
    }

    /// The folder's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pictures' paths.
    pub fn pictures(&self) -> &[PathBuf] {
        &self.pictures
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Bicubic enlargement.
    Bicubic,
    /// The engine at hand.
    Vdsr,
}

/// One method's means over a dataset at one scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the folder.
    pub dataset: String,
    /// Factor of enlargement.
    pub scale: u32,
    /// What enlarged.
    pub method: Method,
    /// Mean PSNR in decibels, rounded to 3 decimals.
    pub psnr: f64,
    /// Mean SSIM, rounded to 4 decimals.
    pub ssim: f64,
    /// Pictures measured.
    pub images: usize,
    /// Pictures whose PSNR is above bicubic's.
    pub better_than_bicubic: usize,
}

/// PSNR and SSIM of one picture.
type Score = (f64, f64);

/// Measures bicubic and an engine on a dataset, in this order.
///
/// Y channel, single-channel pictures as stored; ground truth rounded to 8 bits and cropped to a multiple of the
/// scale; low resolution made from it by bicubic in float; output rounded to 8 bits; `scale` pixels cut from each
/// border; peak 255.
///
/// # Errors
/// [`Error::BadScale`] unless `scale` is 1 to 8; [`Error::InPicture`] around what went wrong with one of them.
pub fn evaluate(engine: &dyn Engine, dataset: &Dataset, scale: u32) -> Result<[Row; 2]> {
    if !(1..=8).contains(&scale) {
        return Err(Error::BadScale {
            found: scale.to_string(),
        });
    }
    let score = |path: &PathBuf| {
        let scored = load_picture(path).and_then(|picture| score_picture(engine, picture, scale));
        scored.map_err(|source| Error::InPicture {
            path: path.clone(),
            source: Box::new(source),
        })
    };
    let scores = dataset
        .pictures
        .iter()
        .map(score)
        .collect::<Result<Vec<[Score; 2]>>>()?;
    let mean = |of: &dyn Fn(&[Score; 2]) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
    let row = |method, index: usize| Row {
        dataset: dataset.name.clone(),
        scale,
        method,
        psnr: rounded(mean(&|scores| scores[index].0), 3),
        ssim: rounded(mean(&|scores| scores[index].1), 4),
        images: scores.len(),
        better_than_bicubic: scores.iter().filter(|scores| scores[index].0 > scores[0].0).count(),
    };
    Ok([row(Method::Bicubic, 0), row(Method::Vdsr, 1)])
}

/// Scores of bicubic and of the engine.
fn score_picture(engine: &dyn Engine, picture: DynamicImage, scale: u32) -> Result<[Score; 2]> {
    let truth = ground_truth(picture)?;
    let whole = truth.size();
    let small = Size {
        width: whole.width / scale,
        height: whole.height / scale,
    };
    if small.width == 0 || small.height == 0 {
        let least = Size {
            width: scale,
            height: scale,
        };
        return Err(Error::TooSmall {
            what: "a picture at this scale",
            least,
            found: whole,
        });
    }
    let size = Size {
        width: small.width * scale,
        height: small.height * scale,
    };
    let truth = part(&truth, 0, size)?;
    let unit = Plane::from_vec(size, truth.data().iter().map(|code| code / PEAK as f32).collect())?;
    let mut low = Plane::new(small, 0.0);
    Resampler::new(size, small).run(unit.data(), low.data_mut(), f32::MAX)?;
    let mut bicubic = Plane::new(size, 0.0);
    Resampler::new(small, size).run(low.data(), bicubic.data_mut(), f32::MAX)?;
    let mut enlarged = Plane::new(size, 0.0);
    engine
        .open(Geometry::new(small, size)?)?
        .upscale(&low, &mut enlarged, &())?;
    Ok([score(&bicubic, &truth, scale)?, score(&enlarged, &truth, scale)?])
}

/// PSNR and SSIM of a plane of luma against codes of 8 bits, without the borders.
fn score(luma: &Plane<f32>, truth: &Plane<f32>, border: u32) -> Result<Score> {
    let code = |luma: &f32| (luma * PEAK as f32).round().clamp(0.0, PEAK as f32);
    let codes = Plane::from_vec(luma.size(), luma.data().iter().map(code).collect())?;
    let side = |length: u32| length.saturating_sub(2 * border);
    let inner = Size {
        width: side(truth.size().width),
        height: side(truth.size().height),
    };
    let (codes, truth) = (
        part(&codes, border as usize, inner)?,
        part(truth, border as usize, inner)?,
    );
    Ok((psnr(&codes, &truth, PEAK)?, ssim(&codes, &truth, PEAK)?))
}

/// Y as codes of 8 bits.
fn ground_truth(picture: DynamicImage) -> Result<Plane<f32>> {
    let size = Size::new(picture.width(), picture.height())?;
    let codes: Vec<f32> = if picture.color().has_color() {
        let luma = |pixel: &[f32]| (studio_luma([pixel[0], pixel[1], pixel[2]]) * PEAK as f32).round();
        picture.into_rgb32f().as_raw().chunks_exact(3).map(luma).collect()
    } else {
        picture
            .into_luma16()
            .as_raw()
            .iter()
            .map(|stored| (f32::from(*stored) / 257.0).round())
            .collect()
    };
    Plane::from_vec(size, codes)
}

/// A part of a plane that starts `from` pixels from the left and the top.
fn part(plane: &Plane<f32>, from: usize, size: Size) -> Result<Plane<f32>> {
    let rows = (0..size.rows()).flat_map(|y| plane.row(from + y)[from..][..size.columns()].iter().copied());
    Plane::from_vec(size, rows.collect())
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}
