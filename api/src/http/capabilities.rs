//! What the server takes and makes, so that clients need not ask for what it refuses.

use axum::Json;
use axum::extract::State as Extracted;
use clearfleet_common::job::{ClassName, Codec, Denoise, OutputFormat};
use serde::Serialize;
use strum::VariantArray;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ProblemBody;
use super::jobs::{SOURCES, SourceFormat, UPLOAD_CHECKSUMS, UPLOAD_EXTENSIONS};
use super::view::{CodecName, DenoiseName, OutputFormatName};
use super::{AppState, Caller};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(capabilities))
}

/// What the server takes and makes.
#[derive(Debug, Serialize, ToSchema)]
struct Capabilities {
    /// The server's version.
    version: &'static str,
    /// File formats of results.
    formats: Vec<FormatView>,
    /// Codecs of videos.
    #[schema(inline, value_type = Vec<CodecName>)]
    codecs: Vec<Codec>,
    /// The constant qualities of codecs that have them.
    qualities: Vec<QualityView>,
    /// File formats of sources that are known by their names. Others may be taken: what counts is what is in them.
    sources: &'static [SourceFormat],
    /// Factors from and to.
    scale: [f64; 2],
    /// What can be done before it is enlarged.
    filters: FiltersView,
    /// Uploads that go on after a break, by the tus protocol.
    uploads: UploadsView,
    /// What a source may be at most.
    limits: LimitsView,
    /// Pools of workers; the first is that of jobs that name none.
    #[schema(value_type = Vec<String>)]
    classes: Vec<ClassName>,
    /// Engines that this build has; empty where all work is done by workers elsewhere.
    engines: Vec<String>,
    /// Whether sources and results in an operator's buckets can be used in place.
    objects_in_place: bool,
}

/// A file format of results.
#[derive(Debug, Serialize, ToSchema)]
struct FormatView {
    /// Its name, which is its file extension.
    #[schema(inline, value_type = OutputFormatName)]
    name: OutputFormat,
    /// Its media type.
    content_type: &'static str,
    /// Codecs of a video in it; empty for a picture.
    #[schema(inline, value_type = Vec<CodecName>)]
    codecs: Vec<Codec>,
}

/// The constant qualities of a codec.
#[derive(Debug, Serialize, ToSchema)]
struct QualityView {
    /// The codec.
    #[schema(inline, value_type = CodecName)]
    codec: Codec,
    /// From the best to the worst.
    crf: [u8; 2],
    /// What a result gets when none is asked for.
    usual: u8,
}

/// What can be done before a picture is enlarged.
#[derive(Debug, Serialize, ToSchema)]
struct FiltersView {
    /// How much noise can be taken away.
    #[schema(inline, value_type = Vec<DenoiseName>)]
    denoise: Vec<Denoise>,
    /// How much finer detail can be raised, from and to.
    sharpen: [f64; 2],
    /// Whether interlaced videos can be made progressive.
    deinterlace: bool,
}

/// Uploads that go on after a break.
#[derive(Debug, Serialize, ToSchema)]
struct UploadsView {
    /// Where they begin.
    path: &'static str,
    /// Version of the protocol.
    version: &'static str,
    /// What of it is offered beside its core.
    extensions: &'static [&'static str],
    /// Algorithms of checksums.
    checksums: &'static [&'static str],
    /// Seconds after which one ends of which nothing more comes.
    expires_seconds: u64,
}

/// What a source may be at most.
#[derive(Debug, Serialize, ToSchema)]
struct LimitsView {
    /// Bytes.
    bytes: u64,
    /// Width or height of source and result, in pixels.
    edge: u32,
    /// Pixels of one frame of source and result.
    pixels: u64,
    /// Frames.
    frames: u64,
    /// Seconds.
    seconds: u64,
}

/// What the server can do.
#[utoipa::path(
    get,
    path = "/v1/capabilities",
    tag = "server",
    responses(
        (status = 200, description = "What it can do.", body = Capabilities),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn capabilities(Extracted(state): Extracted<AppState>, _: Caller) -> Json<Capabilities> {
    let limits = &state.config.limits;
    let formats = OutputFormat::VARIANTS.iter().map(|format| FormatView {
        name: *format,
        content_type: format.content_type(),
        codecs: match format.container().filter(|container| !container.is_animation()) {
            Some(container) => Codec::VARIANTS
                .iter()
                .copied()
                .filter(|codec| container.holds(*codec))
                .collect(),
            None => Vec::new(),
        },
    });
    Json(Capabilities {
        version: env!("CARGO_PKG_VERSION"),
        formats: formats.collect(),
        codecs: Codec::VARIANTS.to_vec(),
        qualities: Codec::VARIANTS.iter().filter_map(|codec| quality(*codec)).collect(),
        sources: &SOURCES,
        scale: [1.0, 8.0],
        filters: FiltersView {
            denoise: Denoise::VARIANTS.to_vec(),
            sharpen: [0.0, 1.0],
            deinterlace: true,
        },
        uploads: UploadsView {
            path: "/v1/uploads",
            version: "1.0.0",
            extensions: &UPLOAD_EXTENSIONS,
            checksums: &UPLOAD_CHECKSUMS,
            expires_seconds: state.config.upload_ttl.as_secs(),
        },
        limits: LimitsView {
            bytes: limits.bytes,
            edge: limits.edge,
            pixels: limits.pixels,
            frames: limits.frames,
            seconds: limits.seconds,
        },
        classes: state.config.classes.clone(),
        engines: engines(),
        objects_in_place: !state.config.places.is_empty(),
    })
}

fn quality(codec: Codec) -> Option<QualityView> {
    codec.crf().map(|crf| QualityView {
        codec,
        crf: [0, crf.worst],
        usual: crf.usual,
    })
}

fn engines() -> Vec<String> {
    #[cfg(feature = "standalone")]
    {
        use clap::ValueEnum;
        let kinds = vdsr::EngineKind::value_variants().iter();
        kinds
            .filter_map(ValueEnum::to_possible_value)
            .map(|kind| kind.get_name().to_owned())
            .collect()
    }
    #[cfg(not(feature = "standalone"))]
    Vec::new()
}
