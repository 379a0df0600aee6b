//! Films that are looked at in the page before all of them is made.

use clearfleet_tests::{Server, World, film_of};
use serde_json::json;

use super::run;

/// Bytes of a size as the page says it: `The result has about 1.2 MB.`
fn said_bytes(said: &str) -> f64 {
    let words: Vec<&str> = said.trim_end_matches('.').split_whitespace().collect();
    let [.., number, unit] = words.as_slice() else {
        panic!("{said} says no size");
    };
    let factor = if *unit == "kB" { 1e3 } else { 1e6 };
    number.parse::<f64>().expect("a number") * factor
}

#[test]
fn a_film_that_waits_is_previewed_with_what_all_of_it_costs() {
    let world = World::new();
    let server = Server::start(&world.path("data"));
    let path = world.path("film.mp4");
    film_of(&path, "320x180", 250, &["-preset", "ultrafast"]);
    let client = server.client();
    let film = client.submit(&path, &json!({ "start": false }));
    let Some(found) = run("page-preview.mjs", &server, &world, json!({ "at": 3.21 })) else {
        return;
    };
    assert_eq!(found["frame"]["size"], json!([640, 360]));
    // A frame earlier or later, it is over five.
    let difference = found["difference"].as_f64().unwrap();
    assert!(difference < 4.0, "the sides differ by {difference}");
    assert_eq!(found["seconds"]["size"], json!([640, 360]));
    let seconds = found["seconds"]["seconds"].as_f64().unwrap();
    assert!((seconds - 5.0).abs() < 0.05, "it lasts {seconds} s");
    assert_eq!(found["names"], json!(["film.mp4"]), "previews are no rows");
    assert_eq!(found["barriers"], json!([]));

    let costs = "All of it takes one worker about ";
    assert!(found["ofFrame"].as_str().unwrap().starts_with(costs), "{found}");
    let said = said_bytes(found["ofSeconds"][1].as_str().unwrap());
    client.command(&film, "resume");
    let bytes = client.done(&film)["result"]["bytes"].as_f64().unwrap();
    assert!((said / bytes - 1.0).abs() < 0.3, "{said} bytes were said of {bytes}");
}
