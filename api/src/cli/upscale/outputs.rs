//! Which input becomes which output, and what an output may not be.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Container, Target};
use clearfleet_worker::media::sniff::{Kind, Picture};
use clearfleet_worker::media::still::StillFormat;
use clearfleet_worker::{Error, Result};
use walkdir::WalkDir;

use super::UpscaleArgs;
use super::state::STATE_SUFFIX;

/// One input and where its result goes.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) input: PathBuf,
    pub(super) place: Place,
    /// Whether it was found in a folder rather than named.
    pub(super) from_folder: bool,
}

/// Where a result goes.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// To this file.
    File(PathBuf),
    /// Into this folder, under a name that says the size.
    Folder(PathBuf, Target),
}

/// The jobs of a command line, folders looked through.
pub(super) fn jobs(args: &UpscaleArgs, target: Target) -> Result<Vec<Job>> {
    let Some((out, inputs)) = args.paths.split_last() else {
        return Ok(Vec::new());
    };
    let slash = out.as_os_str().as_bytes().ends_with(b"/");
    let one_file = inputs.len() == 1 && !inputs[0].is_dir();
    if one_file && !slash {
        let place = Place::File(out.clone());
        return Ok(vec![Job {
            input: inputs[0].clone(),
            place,
            from_folder: false,
        }]);
    }
    make_folder(out)?;
    let mut jobs = Vec::new();
    for input in inputs {
        if input.is_dir() {
            walk(input, out, target, &mut jobs)?;
        } else {
            let place = Place::Folder(out.clone(), target);
            jobs.push(Job {
                input: input.clone(),
                place,
                from_folder: false,
            });
        }
    }
    Ok(jobs)
}

/// The files of a folder, in order of their names; results keep its inner folders.
fn walk(folder: &Path, out: &Path, target: Target, jobs: &mut Vec<Job>) -> Result<()> {
    let out_is = std::fs::canonicalize(out).ok();
    let skip = |path: &Path| {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        name.starts_with('.') || name.ends_with(STATE_SUFFIX) || std::fs::canonicalize(path).ok() == out_is
    };
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|e| e.depth() == 0 || !skip(e.path())) {
        let entry = entry.map_err(|e| Error::new(ErrorCode::InputUnreadable, "a folder cannot be read").because(e))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let inner = entry
            .path()
            .parent()
            .and_then(|p| p.strip_prefix(folder).ok())
            .unwrap_or(Path::new(""));
        let place = Place::Folder(out.join(inner), target);
        jobs.push(Job {
            input: entry.path().to_owned(),
            place,
            from_folder: true,
        });
    }
    Ok(())
}

fn make_folder(folder: &Path) -> Result<()> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => {
            let message = format!("{} is a file, and several results need a folder", folder.display());
            Err(Error::new(ErrorCode::OutputNotAFile, message))
        }
        Err(_) => std::fs::create_dir_all(folder)
            .map_err(|e| Error::write(format_args!("the folder {}", folder.display()), e)),
    }
}

/// The file that a job's result is written to.
pub(super) fn output(args: &UpscaleArgs, job: &Job, kind: Kind) -> Result<PathBuf> {
    match &job.place {
        Place::File(file) => Ok(file.clone()),
        Place::Folder(folder, target) => {
            make_folder(folder)?;
            let mut name = job.input.file_stem().unwrap_or_default().to_owned();
            name.push(match target {
                Target::Factor(scale) => format!("-{scale}x"),
                Target::Exact(width, height) => format!("-{width}x{height}"),
            });
            name.push(".");
            name.push(extension(args, &job.input, kind));
            Ok(folder.join(name))
        }
    }
}

/// The extension of a result that goes into a folder: the source's where that can be written.
fn extension(args: &UpscaleArgs, input: &Path, kind: Kind) -> OsString {
    let source = input.extension().unwrap_or_default().to_owned();
    let name = source.to_string_lossy();
    match kind {
        Kind::Still(_) if StillFormat::from_extension(&name).is_some() => source,
        Kind::Still(_) => "png".into(),
        _ => match (args.container, Container::from_extension(&name)) {
            (Some(container), _) => container.to_string().into(),
            (None, Some(_)) => source,
            (None, None) if matches!(kind, Kind::Animation(Picture::Png)) => "png".into(),
            (None, None) => "mkv".into(),
        },
    }
}

/// Refuses outputs that cannot be or must not be written, before any work is done.
pub(super) fn check(args: &UpscaleArgs, input: &Path, output: &Path) -> Result<()> {
    let shown = output.display();
    if output.file_name().is_none() {
        return Err(Error::new(ErrorCode::OutputName, format!("{shown} names no file")));
    }
    match std::fs::metadata(output) {
        Ok(found) => {
            let same = std::fs::metadata(input).is_ok_and(|i| (i.dev(), i.ino()) == (found.dev(), found.ino()));
            if same {
                return Err(Error::new(
                    ErrorCode::OutputIsInput,
                    format!("{shown} is the input itself"),
                ));
            }
            if !found.is_file() {
                let message = format!("{shown} is a folder; with a slash at its end, results go into it");
                return Err(Error::new(ErrorCode::OutputNotAFile, message));
            }
            if !args.overwrite {
                let message = format!("{shown} exists; --overwrite replaces it");
                return Err(Error::new(ErrorCode::OutputExists, message));
            }
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) if e.kind() == ErrorKind::InvalidFilename => {
            return Err(Error::new(ErrorCode::OutputName, "the output's name is too long").because(e));
        }
        Err(e) if e.kind() == ErrorKind::NotADirectory => {
            return Err(Error::new(ErrorCode::OutputNoFolder, format!("{shown} is not inside a folder")).because(e));
        }
        Err(e) => return Err(Error::write(shown, e)),
    }
    let folder = parent(output);
    if !folder.is_dir() {
        return Err(Error::new(
            ErrorCode::OutputNoFolder,
            format!("the folder {} does not exist", folder.display()),
        ));
    }
    Ok(())
}

/// The folder that a file is in.
pub(super) fn parent(file: &Path) -> &Path {
    file.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Refuses an extension that names nothing of what can be written.
pub(super) fn unsupported(output: &Path, what: &str, offered: &str) -> Error {
    let extension = output.extension().unwrap_or_default().to_string_lossy();
    let message = if extension.is_empty() {
        format!("the output's name has no extension; {what} is written as {offered}")
    } else {
        format!("{what} is not written as .{extension}; there are {offered}")
    };
    Error::new(ErrorCode::OutputUnsupported, message)
}
