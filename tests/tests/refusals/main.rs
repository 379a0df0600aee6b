//! Every way in which a command line is refused or fails: what a script and a person are told, and that nothing is left
//! behind. The snapshots are the event `failed` of `--json`, one a file, named after the code.

mod inputs;
mod requests;
mod work;

use std::collections::BTreeSet;
use std::path::Path;

use clearfleet_common::ErrorCode;
use clearfleet_tests::{Call, Ended, World, film, photo};
use serde_json::Value;
use strum::VariantArray;

/// Codes that no command line can provoke at will.
const NOT_PROVOKED: [(ErrorCode, &str); 3] = [
    (ErrorCode::DeadlineExceeded, "the shortest deadline is 10 minutes"),
    (ErrorCode::WorkerDied, "one process dies with its worker"),
    (
        ErrorCode::Internal,
        "a fault of Clearfleet itself: there is none that is known",
    ),
];

/// Codes of requests to a server; the tests of the API provoke each of them.
const OF_THE_API: [ErrorCode; 24] = [
    ErrorCode::NotFound,
    ErrorCode::NotReady,
    ErrorCode::Gone,
    ErrorCode::StateConflict,
    ErrorCode::IdempotencyConflict,
    ErrorCode::BodyInvalid,
    ErrorCode::BodyIncomplete,
    ErrorCode::FieldUnknown,
    ErrorCode::QueryInvalid,
    ErrorCode::TooLarge,
    ErrorCode::QuotaExceeded,
    ErrorCode::MethodNotAllowed,
    ErrorCode::MediaTypeUnsupported,
    ErrorCode::RangeUnsatisfiable,
    ErrorCode::PreconditionFailed,
    ErrorCode::RateLimited,
    ErrorCode::Unauthorized,
    ErrorCode::Forbidden,
    ErrorCode::NotOffered,
    ErrorCode::InsufficientStorage,
    ErrorCode::Timeout,
    ErrorCode::Unavailable,
    ErrorCode::OffsetConflict,
    ErrorCode::ChecksumMismatch,
];

/// The call is refused with `code` in both voices, leaves nothing behind, and tells what the snapshot `name` says.
fn refused(world: &World, code: ErrorCode, variant: &str, call: impl Fn() -> Call) {
    let before = world.names();
    let told = call().arg("--json").run();
    assert_eq!(world.names(), before, "{told:#?}");
    let said = call().run();
    assert_eq!(world.names(), before, "{said:#?}");
    assert_eq!(said.code(), told.code(), "{said:#?}");
    assert_eq!(said.stdout, Vec::<String>::new());
    tells(world, code, variant, &told, &said.stderr);
}

/// What is told of a failure, to a script in `told` and to a person in `said`.
fn tells(world: &World, code: ErrorCode, variant: &str, told: &Ended, said: &str) {
    let failed = told.event("failed");
    assert_eq!(failed["code"], code.as_str(), "{told:#?}");
    for text in [said, &told.stderr] {
        assert!(!text.contains("panicked"), "{text}");
    }
    let said = world.normalised(said);
    let message = world.normalised(failed["message"].as_str().expect("a message"));
    let first = format!("{message} [{code}]");
    assert!(said.contains(&first), "no {first:?} in {said}");
    let causes = texts(&failed["causes"]);
    for cause in &causes {
        let cause = world.normalised(&format!("because: {cause}"));
        assert!(said.contains(&cause), "no {cause:?} in {said}");
    }
    snapshot(world, code, variant, told, &failed);
}

fn snapshot(world: &World, code: ErrorCode, variant: &str, told: &Ended, failed: &Value) {
    let exit = told.code().expect("an exit code");
    let field = |name: &str| failed[name].as_str().unwrap_or("-").to_owned();
    let mut lines = vec![
        format!("exit: {exit}"),
        format!("code: {}", field("code")),
        format!("input: {}", field("input")),
        format!("message: {}", field("message")),
    ];
    lines.extend(texts(&failed["causes"]).iter().map(|cause| format!("cause: {cause}")));
    let details = failed["details"].as_object().expect("details");
    lines.extend(
        details
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or("-"))),
    );
    // Its words differ from version to version.
    lines.extend(texts(&failed["ffmpeg"]).first().map(|_| "ffmpeg: …".to_owned()));
    let name = [code.as_str(), variant].join(if variant.is_empty() { "" } else { "-" });
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, world.normalised(&lines.join("\n")));
    });
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|text| text.as_str().expect("of texts").to_owned())
        .collect()
}

/// `clearfleet upscale IN OUT` with both in the world.
fn upscale(world: &World, input: &str, output: &str) -> Call {
    Call::upscale().arg(world.path(input)).arg(world.path(output))
}

/// A world with a film of ten frames, 0.4 s.
fn with_film() -> World {
    let world = World::new();
    film(&world.path("film.mp4"), 10, &[]);
    world
}

/// A world with a photo.
fn with_photo() -> World {
    let world = World::new();
    photo(&world.path("photo.png"));
    world
}

/// The weights that the program has built in.
fn built_in_weights() -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../worker/vdsr/models");
    let mut files = std::fs::read_dir(models)
        .expect("the models")
        .map(|f| f.expect("a model").path());
    let file = files.find(|file| file.extension().is_some_and(|e| e == "safetensors"));
    std::fs::read(file.expect("weights")).expect("weights that can be read")
}

/// What is neither in a snapshot nor excused is not tested.
#[test]
fn every_code_is_provoked_or_excused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals/snapshots");
    let mut seen = BTreeSet::from(["verify_mismatch".to_owned()]);
    for file in std::fs::read_dir(folder).expect("the snapshots") {
        let snapshot = std::fs::read_to_string(file.expect("a snapshot").path()).expect("a snapshot");
        seen.extend(
            snapshot
                .lines()
                .filter_map(|line| line.strip_prefix("code: "))
                .map(str::to_owned),
        );
    }
    let excused = |code: &ErrorCode| OF_THE_API.contains(code) || NOT_PROVOKED.iter().any(|(c, _)| c == code);
    for code in ErrorCode::VARIANTS {
        let provoked = seen.remove(code.as_str());
        assert_ne!(
            provoked,
            excused(code),
            "{code}: provoked {provoked}, excused {}",
            excused(code)
        );
    }
    assert!(seen.is_empty(), "codes that there are not: {seen:?}");
}
