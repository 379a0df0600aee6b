use clap::Args;
use clearfleet_common::job::{ClassName, Codec, Denoise, OutputFormat, Priority, Scale, Sharpen, Target};
use clearfleet_common::storage::Secret;
use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::cli::values::{exact_size, moment};

/// Which server, and as whom.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(in crate::cli) struct ServerArgs {
    /// Address of the server, such as http://127.0.0.1:8080.
    #[arg(long, env = "CLEARFLEET_SERVER", value_name = "URL", value_parser = address)]
    pub(super) server: Url,
    /// Key that says who asks, where the server wants one. Better in the environment: command lines can be read by others.
    #[arg(long, env = "CLEARFLEET_KEY", value_name = "KEY", hide_env_values = true, value_parser = secret)]
    pub(super) key: Option<Secret>,
}

impl ServerArgs {
    /// As if the command line had named these.
    pub(in crate::cli) fn new(server: Url, key: Option<Secret>) -> Self {
        Self { server, key }
    }
}

/// What is asked of the server for each file.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Result")]
pub(in crate::cli) struct RequestArgs {
    /// How many times larger, 1 to 8, whole or not [default: 2].
    #[arg(long, value_name = "FACTOR", conflicts_with = "size")]
    scale: Option<Scale>,
    /// Exact size of the result, from 1 to 8 times the source.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = exact_size)]
    size: Option<Target>,
    /// File format of the result [default: the source's, where it can be written].
    #[arg(long, value_name = "png|jpg|webp|tiff|bmp|gif|apng|mp4|mov|mkv|webm")]
    format: Option<OutputFormat>,
    /// Codec of a video [default: h264, or what the format holds].
    #[arg(long, value_name = "h264|h265|av1|vp9|ffv1")]
    codec: Option<Codec>,
    /// Constant quality of a video, lower is better: 0 to 51 for h264 and h265, 0 to 63 for av1 and vp9.
    #[arg(long, value_name = "CRF", value_parser = clap::value_parser!(u8).range(..=63))]
    crf: Option<u8>,
    /// Preset of the encoder: ultrafast to placebo for h264 and h265, 0 to 13 for av1, 0 to 8 for vp9.
    #[arg(long, value_name = "PRESET")]
    preset: Option<String>,
    /// Quality of a JPEG, 1 to 100 [default: 95].
    #[arg(long, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// Take noise away before enlarging: what cameras add in good light, or in the dark [default: off].
    #[arg(long, value_name = "off|light|strong")]
    denoise: Option<Denoise>,
    /// Raise fine detail before enlarging, from 0 to 1 [default: 0].
    #[arg(long, value_name = "AMOUNT")]
    sharpen: Option<Sharpen>,
    /// Make the frames of an interlaced video progressive, one for each.
    #[arg(long)]
    deinterlace: bool,
    /// Where in a video to begin: seconds or [HH:]MM:SS, with a fraction if need be.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<f64>,
    /// Where in a video to end.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end: Option<f64>,
    /// Who comes first among your own jobs [default: normal].
    #[arg(long, value_name = "low|normal|high")]
    priority: Option<Priority>,
    /// Pool of workers [default: the server's first].
    #[arg(long, value_name = "CLASS")]
    class: Option<ClassName>,
}

impl RequestArgs {
    /// The request for a source of this name, as the API takes it. What was not said is left out.
    pub(in crate::cli) fn document(&self, name: &str) -> Value {
        let target = self.size.or(self.scale.map(Target::Factor));
        let settings = said([
            ("target", target.map(|target| json!(target))),
            ("format", self.format.map(|format| json!(format))),
            ("codec", self.codec.map(|codec| json!(codec))),
            ("crf", self.crf.map(|crf| json!(crf))),
            ("preset", self.preset.as_ref().map(|preset| json!(preset))),
            ("quality", self.quality.map(|quality| json!(quality))),
            ("denoise", self.denoise.map(|denoise| json!(denoise))),
            ("sharpen", self.sharpen.map(|sharpen| json!(sharpen))),
            ("deinterlace", self.deinterlace.then_some(json!(true))),
        ]);
        let range = (self.start.is_some() || self.end.is_some()).then(|| json!([self.start, self.end]));
        Value::Object(said([
            ("name", Some(json!(name))),
            ("settings", Some(Value::Object(settings))),
            ("range", range),
            ("priority", self.priority.map(|priority| json!(priority))),
            ("class", self.class.map(|class| json!(class))),
        ]))
    }
}

fn said<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let said = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    said.collect()
}

pub(in crate::cli) fn secret(text: &str) -> Result<Secret, String> {
    // Whatever is said of it must not show it.
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::from(text.to_owned())),
        false => Err("a key is of visible ASCII characters without spaces".to_owned()),
    }
}

/// The address that routes are appended to: it ends with a slash.
pub(in crate::cli) fn address(text: &str) -> Result<Url, String> {
    let refused = |why: &str| format!("not the address of a server, such as http://127.0.0.1:8080: {why}");
    let mut url = Url::parse(text).map_err(|e| refused(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("no user name goes there; --key says who asks"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("nothing goes behind the path"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        request: RequestArgs,
    }

    fn parse(args: &[&str]) -> Command {
        Command::try_parse_from([&["x", "--server", "http://h:1/base"], args].concat()).unwrap()
    }

    #[test]
    fn what_was_not_said_is_left_out() {
        let request = parse(&[]).request.document("a.png");
        assert_eq!(request, json!({ "name": "a.png", "settings": {} }));
    }

    #[test]
    fn what_was_said_is_asked() {
        let args = "--scale 1.5 --format mkv --codec h265 --crf 20 --preset slow --quality 80 --denoise light --sharpen 0.5 \
                    --deinterlace --start 1:00 --priority high --class gpu";
        let args: Vec<&str> = args.split_whitespace().collect();
        let expected = json!({
            "name": "a.mp4",
            "settings": {
                "target": "1.5", "format": "mkv", "codec": "h265", "crf": 20, "preset": "slow", "quality": 80,
                "denoise": "light", "sharpen": 0.5, "deinterlace": true,
            },
            "range": [60.0, null],
            "priority": "high",
            "class": "gpu",
        });
        assert_eq!(parse(&args).request.document("a.mp4"), expected);
        let size = parse(&["--size", "640x360", "--end", "2.5"]).request.document("a");
        assert_eq!(size["settings"]["target"], "640x360");
        assert_eq!(size["range"], json!([null, 2.5]));
    }

    #[test]
    fn a_key_is_never_shown() {
        let command = parse(&["--key", "open-sesame"]);
        assert!(!format!("{command:?}").contains("sesame"));
        assert!(!secret("open sesame").unwrap_err().contains("sesame"));
    }

    #[test]
    fn addresses_are_those_of_servers() {
        assert_eq!(address("http://h:1").unwrap().as_str(), "http://h:1/");
        assert_eq!(
            address("https://h/a/b").unwrap().join("v1/jobs").unwrap().as_str(),
            "https://h/a/b/v1/jobs"
        );
        for refused in [
            "",
            "h:1",
            "ftp://h",
            "http://u:p@h",
            "http://h/?q",
            "http://h/#f",
            "file:///x",
        ] {
            assert!(address(refused).is_err(), "{refused}");
        }
    }
}
