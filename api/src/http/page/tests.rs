use std::borrow::Cow;

use axum::body::to_bytes;

use super::*;

/// A page of few bytes.
#[derive(RustEmbed)]
#[folder = "src/http/page/testing"]
struct Built;

/// What a program without the page has.
struct Unbuilt;

impl RustEmbed for Unbuilt {
    fn get(path: &str) -> Option<EmbeddedFile> {
        Files::get(path).filter(|_| !path.starts_with("built/"))
    }

    fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
        Files::iter()
    }
}

fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = sent.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_str(value).unwrap())
    });
    pairs.collect()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn text(answer: Response) -> String {
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn asset_named(name: &str, sent: &[(&'static str, &str)]) -> Response {
    asset::<Built>(Path(name.to_owned()), headers(sent)).await
}

#[tokio::test]
async fn assets_are_served_in_the_form_that_a_client_takes_and_kept_for_good() {
    for (accepted, encoding, expected) in [
        ("gzip, br", "br", "as brotli"),
        ("gzip", "gzip", "as gzip"),
        ("identity", "", "plain"),
    ] {
        let answer = asset_named("a-1.js", &[("accept-encoding", accepted)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{accepted}");
        assert_eq!(header(&answer, "content-encoding"), encoding, "{accepted}");
        assert_eq!(header(&answer, "content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header(&answer, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&answer, "vary"), "accept-encoding");
        assert_eq!(text(answer).await, expected, "{accepted}");
    }
}

#[tokio::test]
async fn the_page_is_asked_for_each_time_and_sent_only_when_it_is_another() {
    let first = page::<Built>(headers(&[])).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(header(&first, "cache-control"), "no-cache");
    assert_eq!(header(&first, "referrer-policy"), "no-referrer");
    let policy = header(&first, "content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let etag = header(&first, "etag").to_owned();
    assert_eq!(text(first).await, "<!doctype html><title>page</title>");

    let again = page::<Built>(headers(&[("if-none-match", &etag)])).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(text(again).await, "");
    let other = page::<Built>(headers(&[("if-none-match", "\"0\"")])).await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_file_of_the_page_is_not_served() {
    for name in ["a-2.js", "a-1.js.br", "a-1.exe", "../index.html", "../../../mod.rs", ""] {
        let answer = asset_named(name, &[]).await;
        let missing = name != "../index.html";
        assert_eq!(answer.status() == StatusCode::NOT_FOUND, missing, "{name}");
    }
}

#[tokio::test]
async fn without_a_built_page_one_says_how_to_build_it() {
    let answer = page::<Unbuilt>(headers(&[])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let text = text(answer).await;
    assert!(text.contains("make page") && text.contains("\"/docs\""), "{text}");
}
