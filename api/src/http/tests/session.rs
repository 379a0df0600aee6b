use reqwest::{Method, StatusCode};
use serde_json::json;

use super::world::answer;
use super::{ALICE, Answer, NOBODY, World};

/// A name that is long enough to be a key, too.
const CAROL: &str = "carol-of-thirty-two-characters-1";

async fn begin(world: &World, key: &str, origin: &str) -> Answer {
    let request = world.request(NOBODY, Method::POST, "/v1/session");
    answer(request.header("origin", origin).json(&json!({ "key": key }))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_begins_a_session_that_asks_in_its_place() {
    let world = World::new().await;
    let own = format!("http://{}", world.address);
    let begun = begin(&world, CAROL, &own).await;
    assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
    let expected = json!({"owner": CAROL, "role": "user", "by_cookie": true});
    assert_eq!(begun.json(), expected);
    let cookie = begun.header("set-cookie");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split_once(';').unwrap().0;

    let with_cookie = |method, path: &str| world.request(NOBODY, method, path).header("cookie", cookie);
    let session = answer(with_cookie(Method::GET, "/v1/session")).await;
    assert_eq!(session.json(), expected);
    let job = world.upload(CAROL, "a.png").await;
    let path = format!("/v1/jobs/{job}/cancel");
    let others = answer(with_cookie(Method::POST, &path).header("origin", "https://evil.example")).await;
    assert_eq!(others.refusal(), (403, "forbidden".to_owned()));
    let owns = answer(with_cookie(Method::POST, &path).header("origin", own)).await;
    assert_eq!(owns.status, StatusCode::ACCEPTED, "{owns:?}");

    let ended = answer(with_cookie(Method::DELETE, "/v1/session")).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let cookie = ended.header("set-cookie");
    assert!(cookie.starts_with("clearfleet_key=; Path=/v1; Max-Age=0;"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_begins_without_a_key_or_from_another_site() {
    let world = World::new().await;
    let own = format!("http://{}", world.address);
    let unknown = (401, "unauthorized".to_owned());
    for key in [
        "",
        "short",
        "not a key, for keys have no spaces in them",
        "ключ-ключ-ключ-ключ-ключ-ключ-ключ",
    ] {
        let refused = begin(&world, key, &own).await;
        assert_eq!(refused.refusal(), unknown, "{key}");
        assert_eq!(refused.header("set-cookie"), "", "{key}");
    }
    let from_elsewhere = begin(&world, CAROL, "https://evil.example").await;
    assert_eq!(from_elsewhere.refusal(), (403, "forbidden".to_owned()));
    assert_eq!(world.get(NOBODY, "/v1/session").await.refusal(), unknown);
    let by_key = world.get(ALICE, "/v1/session").await;
    assert_eq!(
        by_key.json(),
        json!({"owner": ALICE, "role": "user", "by_cookie": false})
    );
}
