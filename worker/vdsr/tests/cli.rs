//! The command as people run it.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end at the first surprise")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;

fn vdsr(arguments: &[&str]) -> Output {
    vdsr_on("", arguments)
}

/// The command with the instructions of a path; the processor's fastest where it is empty.
fn vdsr_on(path: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vdsr"));
    for name in [
        "ENGINE",
        "WEIGHTS",
        "TILE",
        "WAIT_MS",
        "DATA",
        "SCALE",
        "JSON",
        "OVERWRITE",
        "SIZE",
        "PRECISION",
        "THREADS",
        "RUNS",
        "CPU_PATH",
    ] {
        command.env_remove(format!("VDSR_{name}"));
    }
    if !path.is_empty() {
        command.env("VDSR_CPU_PATH", path);
    }
    command.args(arguments).output().unwrap()
}

/// What a refused command says; it must have ended with 1.
fn refusal(arguments: &[&str]) -> String {
    let output = vdsr(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Two small pictures with edges and slopes, one in colour and one grey, and a file that is no picture.
fn pictures(folder: &Path) -> PathBuf {
    let data = folder.join("tiny");
    fs::create_dir(&data).unwrap();
    let wave = |x: u32, y: u32| (127.0 + 90.0 * (x as f32 * 0.4).sin() * (y as f32 * 0.3).cos()) as u8;
    RgbImage::from_fn(37, 34, |x, y| Rgb([wave(x, y), wave(y, x), 40]))
        .save(data.join("b.png"))
        .unwrap();
    GrayImage::from_fn(33, 35, |x, y| Luma([wave(x, y)]))
        .save(data.join("A.BMP"))
        .unwrap();
    fs::write(data.join("notes.txt"), "no picture").unwrap();
    data
}

#[test]
fn eval_prints_one_object_for_each_method_and_scale() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let output = vdsr(&["eval", "--data", text(&data), "--scale", "2,3", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("scale"), [2, 2, 3, 3]);
    assert_eq!(of("method"), ["bicubic", "vdsr", "bicubic", "vdsr"]);
    assert_eq!(of("dataset"), ["tiny"; 4]);
    assert_eq!(of("images"), [2; 4]);
    assert_eq!(of("better_than_bicubic")[0], 0);
    for row in &rows {
        let mut keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "better_than_bicubic",
                "dataset",
                "images",
                "method",
                "psnr",
                "scale",
                "ssim"
            ]
        );
        let (psnr, ssim) = (row["psnr"].as_f64().unwrap(), row["ssim"].as_f64().unwrap());
        assert!((25.0..60.0).contains(&psnr) && (0.8..1.0).contains(&ssim), "{row}");
        let decimals = |value: f64, unit: f64| (value * unit - (value * unit).round()).abs() < 1e-6;
        assert!(decimals(psnr, 1e3) && decimals(ssim, 1e4), "{row}");
    }
    // With no network both methods are bicubic.
    let output = vdsr(&[
        "eval",
        "--data",
        text(&data),
        "--scale",
        "2",
        "--json",
        "--engine",
        "bicubic",
    ]);
    let same: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&same[0]["psnr"], &same[1]["psnr"]),
        (&rows[0]["psnr"], &rows[0]["psnr"])
    );
    assert_eq!(same[1]["better_than_bicubic"], 0);
}

#[test]
fn eval_prints_a_table_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let output = vdsr(&["eval", "--data", text(&data), "--scale", "2", "--engine", "bicubic"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["dataset", "scale", "method", "PSNR", "dB", "SSIM", "better"]);
    assert_eq!(
        (cells[1][..3].to_vec(), cells[2][..3].to_vec()),
        (vec!["tiny", "2", "bicubic"], vec!["tiny", "2", "vdsr"])
    );
    assert_eq!(cells[2].last(), Some(&"0/2"));
}

#[test]
fn folders_and_files_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let said = refusal(&["eval", "--data", text(&missing)]);
    assert!(
        said.starts_with(&format!("error: {}: ", missing.display())) && said.contains("No such file"),
        "{said}"
    );
    let said = refusal(&["eval", "--data", text(folder.path())]);
    assert!(said.contains("holds no picture"), "{said}");
    fs::write(folder.path().join("broken.png"), "not a picture").unwrap();
    let said = refusal(&["eval", "--data", text(folder.path()), "--engine", "bicubic"]);
    assert!(said.contains("broken.png: "), "{said}");
    let said = refusal(&[
        "eval",
        "--data",
        text(folder.path()),
        "--weights",
        text(&folder.path().join("broken.png")),
    ]);
    assert!(
        said.contains("the weights") && said.contains("not a safetensors file"),
        "{said}"
    );
}

#[test]
fn upscale_writes_a_picture_of_the_size_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (source, result) = (folder.path().join("in.png"), folder.path().join("out.png"));
    RgbImage::from_pixel(12, 9, Rgb([200, 30, 90])).save(&source).unwrap();
    let common = ["upscale", text(&source), text(&result), "--engine", "bicubic"];
    let with = |extra: &[&'static str]| [&common[..], extra].concat();
    assert!(vdsr(&with(&["--scale", "1.5"])).status.success());
    assert_eq!(
        image::open(&result).unwrap(),
        DynamicImage::from(RgbImage::from_pixel(18, 14, Rgb([200, 30, 90])))
    );
    let said = refusal(&with(&["--scale", "2"]));
    assert!(said.contains("exists") && said.contains("--overwrite"), "{said}");
    assert_eq!(image::open(&result).unwrap().width(), 18);
    assert!(vdsr(&with(&["--size", "30x40", "--overwrite"])).status.success());
    let replaced = image::open(&result).unwrap();
    assert_eq!((replaced.width(), replaced.height()), (30, 40));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn upscale_refuses_impossible_targets() {
    let folder = tempfile::tempdir().unwrap();
    let (source, result) = (folder.path().join("in.png"), folder.path().join("out.png"));
    RgbImage::from_pixel(12, 9, Rgb([200, 30, 90])).save(&source).unwrap();
    let said = refusal(&[
        "upscale",
        text(&source),
        text(&result),
        "--size",
        "11x20",
        "--engine",
        "bicubic",
    ]);
    assert!(said.contains("from 12x9 to 11x20"), "{said}");
    // What clap refuses ends with 2.
    for arguments in [&["--scale", "9"][..], &["--scale", "2", "--size", "24x18"], &[]] {
        let output = vdsr(&[&["upscale", text(&source), text(&result)], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    assert!(!result.exists());
}

#[test]
fn bench_says_how_fast_an_engine_is_by_which_instructions() {
    let arguments = [
        "bench",
        "--engine",
        "cpu",
        "--size",
        "32x24",
        "--threads",
        "1",
        "--runs",
        "3",
    ];
    let output = vdsr_on("portable", &[&arguments[..], &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["engine"], "cpu-f32");
    assert_eq!(found["fingerprint"], "cpu/f32/portable/winograd4/strip2048");
    assert_eq!((&found["size"], &found["threads"]), (&"32x24".into(), &1.into()));
    let number = |key: &str| found[key].as_f64().unwrap();
    assert!(
        0.0 < number("best_s") && number("best_s") <= number("median_s"),
        "{found}"
    );
    // 2 operations for each of 664,704 weights and for each of 768 pixels.
    let operations = number("gflops") * number("median_s");
    assert!((operations - 1.020_985).abs() < 1e-5, "{operations} of {found}");
    assert!(
        (number("mpx_per_s") * number("median_s") - 768e-6).abs() < 1e-9,
        "{found}"
    );
    assert!((1e-9..1e-4).contains(&number("max_abs_diff")), "{found}");

    let output = vdsr_on("portable", &arguments);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .starts_with("cpu/f32/portable/")
    );
    let output = vdsr_on(
        "portable",
        &[&arguments[..], &["--json", "--precision", "bf16"]].concat(),
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["engine"], "cpu-bf16");
    assert_eq!(found["fingerprint"], "cpu/bf16/portable/direct/strip2048");
    let off = found["max_abs_diff"].as_f64().unwrap();
    assert!((1e-4..2e-2).contains(&off), "{found}");

    let output = vdsr_on("mmx", &arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error: VDSR_CPU_PATH is \"mmx\"; this processor has portable"),
        "{said}"
    );
}

#[test]
fn the_reference_engine_has_one_precision() {
    let said = refusal(&["bench", "--engine", "reference", "--precision", "bf16"]);
    assert_eq!(
        said,
        "error: the engine reference computes in f32 alone, not in bf16: take the engine cpu\n"
    );
}
