use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{
    ClassName, Codec, Denoise, Filters, JobId, ObjectAddress, OutputFormat, Priority, Request, Settings, Sharpen,
    SourceKind, State, Stretch, Target,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::names::clean_name;
use crate::http::Problem;
use crate::http::config::{AllowedPlace, HttpConfig};
use crate::http::view::{CodecName, DenoiseName, OutputFormatName, PriorityName};
use crate::webhooks::HookUrl;

/// What a new job is asked for with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewJob {
    /// File name of the source, for people; of a path, its last part. What is left out is taken from the upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the result shall be like.
    pub settings: SettingsInput,
    /// Which part of a video, in seconds of its own clock: `[start, end)`, where null is the video's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 2, max_items = 2)]
    pub range: Option<[Option<f64>; 2]>,
    /// The pool of workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Who comes first among one owner's jobs.
    #[schema(inline, value_type = PriorityName)]
    pub priority: Priority,
    /// Where to say that it ended: an `http` or `https` address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// `false` makes a paused job, which `resume` starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<bool>,
    /// A source that is there already, in place of an upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceInput>,
    /// Where the result goes beside its place here: `s3://bucket/key` of a place that the operator allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// A source that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum SourceInput {
    /// That of another job of the same owner.
    Job(SourceOfJob),
    /// An object: `s3://bucket/key` of a place that the operator allows.
    Object(String),
}

/// The source of another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceOfJob {
    /// Which job.
    #[schema(value_type = String, format = Uuid)]
    pub job: JobId,
}

/// What a result shall be like; what is left out follows from the source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettingsInput {
    /// A factor from 1 to 8, such as `2` or `"4/3"`, or a size such as `"1920x1080"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetInput>,
    /// File format.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, value_type = Option<OutputFormatName>)]
    pub format: Option<OutputFormat>,
    /// Codec of a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, value_type = Option<CodecName>)]
    pub codec: Option<Codec>,
    /// Constant quality of a video, lower is better: 0 to 51 for h264 and h265, 0 to 63 for av1 and vp9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 63)]
    pub crf: Option<u8>,
    /// The encoder's own preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Quality of a JPEG.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub quality: Option<u8>,
    /// How much noise is taken away before it is enlarged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, value_type = Option<DenoiseName>)]
    pub denoise: Option<Denoise>,
    /// How much finer detail is raised before it is enlarged, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub sharpen: Option<f64>,
    /// Whether an interlaced video's frames are made progressive, one for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deinterlace: Option<bool>,
}

/// A factor or a size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum TargetInput {
    /// A factor from 1 to 8.
    Factor(f64),
    /// A factor or a size as a text.
    Text(String),
}

/// The same as parameters of an address, for an upload that is the whole body.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct NewJobQuery {
    /// File name of the source; the header `X-Clearfleet-Name` says the same.
    name: Option<String>,
    /// A factor from 1 to 8 or a size such as `1920x1080`.
    target: Option<String>,
    /// File format of the result.
    #[param(inline, value_type = Option<OutputFormatName>)]
    format: Option<OutputFormat>,
    /// Codec of a video.
    #[param(inline, value_type = Option<CodecName>)]
    codec: Option<Codec>,
    /// Constant quality of a video.
    #[param(maximum = 63)]
    crf: Option<u8>,
    /// The encoder's own preset.
    preset: Option<String>,
    /// Quality of a JPEG.
    #[param(minimum = 1, maximum = 100)]
    quality: Option<u8>,
    /// How much noise is taken away before it is enlarged.
    #[param(inline, value_type = Option<DenoiseName>)]
    denoise: Option<Denoise>,
    /// How much finer detail is raised before it is enlarged, from 0 to 1.
    #[param(minimum = 0, maximum = 1)]
    sharpen: Option<f64>,
    /// Whether an interlaced video's frames are made progressive.
    deinterlace: Option<bool>,
    /// First moment of a stretch of a video in seconds.
    from: Option<f64>,
    /// The moment at which the stretch ends.
    until: Option<f64>,
    /// The pool of workers.
    class: Option<String>,
    /// Who comes first among one owner's jobs.
    #[param(inline, value_type = Option<PriorityName>)]
    priority: Option<Priority>,
    /// Where to say that it ended.
    webhook: Option<String>,
    /// `false` makes a paused job.
    start: Option<bool>,
}

impl From<NewJobQuery> for NewJob {
    fn from(query: NewJobQuery) -> Self {
        let stretch = query.from.is_some() || query.until.is_some();
        Self {
            name: query.name,
            settings: SettingsInput {
                target: query.target.map(TargetInput::Text),
                format: query.format,
                codec: query.codec,
                crf: query.crf,
                preset: query.preset,
                quality: query.quality,
                denoise: query.denoise,
                sharpen: query.sharpen,
                deinterlace: query.deinterlace,
            },
            range: stretch.then_some([query.from, query.until]),
            class: query.class,
            priority: query.priority.unwrap_or_default(),
            webhook: query.webhook,
            start: query.start,
            source: None,
            destination: None,
        }
    }
}

impl NewJobQuery {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        NewJob::from(self.clone()) == NewJob::default()
    }
}

impl NewJob {
    /// The request that a record keeps, of a source that looks like `kind` and whose upload is called `uploaded_as`.
    ///
    /// # Errors
    /// `target_invalid`, `settings_invalid`, `body_invalid`.
    pub(super) fn request(
        &self,
        config: &HttpConfig,
        kind: SourceKind,
        uploaded_as: Option<&str>,
    ) -> Result<Request, Problem> {
        let name = self.name.as_deref().or(uploaded_as).unwrap_or_default();
        Ok(Request {
            name: clean_name(name)?,
            kind,
            settings: self.settings.read()?,
            stretch: self.range.map_or(Ok(Stretch::default()), stretch)?,
            retouches: Vec::new(),
            class: self.class(config)?,
            priority: self.priority,
            webhook: self.webhook.as_deref().map(|to| webhook(config, to)).transpose()?,
            destination: self.destination.as_deref().map(|to| object(config, to)).transpose()?,
            preview: None,
        })
    }

    /// Refuses what can be refused before there is a source.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub(super) fn check(&self, config: &HttpConfig) -> Result<(), Problem> {
        self.request(config, SourceKind::Picture, None).map(drop)
    }

    /// The state of the job once its source is there.
    pub(super) fn first_state(&self) -> State {
        match self.start {
            Some(false) => State::Paused,
            _ => State::Queued,
        }
    }

    /// Refuses one that names a source, where an upload brings it.
    ///
    /// # Errors
    /// `body_invalid`.
    pub(super) fn must_bring_its_source(&self) -> Result<(), Problem> {
        if self.source.is_none() {
            return Ok(());
        }
        let detail = "a request with an upload names no source; without one it is application/json";
        Err(Problem::new(ErrorCode::BodyInvalid, detail))
    }

    fn class(&self, config: &HttpConfig) -> Result<ClassName, Problem> {
        let Some(asked) = &self.class else {
            return Ok(config.classes.first().copied().unwrap_or_default());
        };
        let known = config.classes.iter().copied();
        known.into_iter().find(|class| class.as_str() == asked).ok_or_else(|| {
            let classes: Vec<&str> = config.classes.iter().map(ClassName::as_str).collect();
            invalid(format!("there is no class {asked:?}; there are {}", classes.join(", ")))
        })
    }
}

impl SettingsInput {
    /// The settings that a record keeps. Whether a codec takes a quality or a preset is the planner's to say.
    ///
    /// # Errors
    /// `target_invalid`, `settings_invalid`.
    pub(super) fn read(&self) -> Result<Settings, Problem> {
        let target = match &self.target {
            None => Settings::default().target,
            Some(TargetInput::Factor(factor)) => target(&factor.to_string())?,
            Some(TargetInput::Text(text)) => target(text)?,
        };
        if self.crf.is_some_and(|crf| crf > 63) {
            return Err(invalid("a crf is between 0 and 63"));
        }
        if self.quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
            return Err(invalid("a quality is between 1 and 100"));
        }
        if self.preset.as_ref().is_some_and(|preset| preset.len() > 32) {
            return Err(invalid("there is no preset with so long a name"));
        }
        let container = self.format.and_then(OutputFormat::container);
        if let (Some(container), Some(codec)) = (container, self.codec)
            && !container.holds(codec)
        {
            return Err(invalid(format!("{container} does not hold {codec}")));
        }
        Ok(Settings {
            target,
            format: self.format,
            codec: self.codec,
            crf: self.crf,
            preset: self.preset.clone(),
            quality: self.quality,
            filters: self.filters()?,
            deinterlace: self.deinterlace.unwrap_or_default(),
        })
    }

    /// What is done before the picture is enlarged.
    ///
    /// # Errors
    /// `settings_invalid`.
    pub(super) fn filters(&self) -> Result<Filters, Problem> {
        let sharpen = self.sharpen.map(Sharpen::try_from).transpose();
        Ok(Filters {
            denoise: self.denoise.unwrap_or_default(),
            sharpen: sharpen.map_err(|e| invalid(e.to_string()))?.unwrap_or_default(),
        })
    }

    /// Whether nothing is said but what is done before the picture is enlarged.
    pub(super) fn says_filters_only(&self) -> bool {
        let (denoise, sharpen) = (self.denoise, self.sharpen);
        let rest = Self {
            denoise,
            sharpen,
            ..Self::default()
        };
        *self == rest
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::SettingsInvalid, detail)
}

fn target(text: &str) -> Result<Target, Problem> {
    let target: Target = text
        .parse()
        .map_err(|e: clearfleet_common::job::TargetError| Problem::new(ErrorCode::TargetInvalid, e.to_string()))?;
    let edge = Limits::default().edge;
    match target {
        Target::Exact(width, height) if width.max(height) > edge => {
            let detail = format!("{width}x{height} has an edge of more than {edge} pixels");
            Err(Problem::new(ErrorCode::TargetInvalid, detail))
        }
        target => Ok(target),
    }
}

/// A stretch whose ends are moments in order.
pub(super) fn stretch([start, end]: [Option<f64>; 2]) -> Result<Stretch, Problem> {
    let moment = |moment: Option<f64>| moment.is_none_or(|moment| moment.is_finite() && moment >= 0.0);
    let in_order = start.zip(end).is_none_or(|(start, end)| start < end);
    if moment(start) && moment(end) && in_order && end != Some(0.0) {
        Ok(Stretch { start, end })
    } else {
        Err(invalid(
            "a range is two moments in seconds, the first before the second",
        ))
    }
}

/// Names are resolved, and what they stand for is checked, only when the webhook is sent.
fn webhook(config: &HttpConfig, text: &str) -> Result<String, Problem> {
    let url = HookUrl::parse(text, config.webhooks).map_err(|e| invalid(e.to_string()).with("field", "webhook"))?;
    Ok(url.to_string())
}

/// An object of a place that the operator allows.
///
/// # Errors
/// `settings_invalid` for what is no such address, `forbidden` for one that is not allowed.
pub(super) fn object(config: &HttpConfig, address: &str) -> Result<ObjectAddress, Problem> {
    let parsed = address.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let well_formed = |key: &str| {
        let parts = key.split('/');
        // Some stores and tools walk such parts as folders: then a prefix would not hold.
        parts.clone().all(|part| !matches!(part, "" | "." | "..")) && !key.contains(char::is_control)
    };
    let (bucket, key) = parsed
        .filter(|(bucket, key)| !bucket.is_empty() && well_formed(key) && key.len() <= 1024)
        .ok_or_else(|| invalid("an object is named as s3://bucket/key"))?;
    let allows = |place: &AllowedPlace| place.bucket == bucket && key.starts_with(&place.prefix);
    if config.places.iter().any(allows) {
        Ok(ObjectAddress {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    } else {
        let detail = "the operator of this server does not allow objects from there";
        Err(Problem::new(ErrorCode::Forbidden, detail))
    }
}
