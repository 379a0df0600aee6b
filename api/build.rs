//! Has the program built again when the page that it holds is another one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build reads the page's files when it is asked for them.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=web/embedded");
    }
}
