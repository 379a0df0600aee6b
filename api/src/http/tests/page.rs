use reqwest::StatusCode;

use super::{NOBODY, World};

/// The files that a page names.
fn named(page: &str) -> Vec<String> {
    let after = page.split("=\"/").skip(1);
    after
        .filter_map(|rest| rest.split_once('"').map(|(path, _)| format!("/{path}")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_served_with_all_that_it_names() {
    let world = World::new().await;
    let answer = world.get(NOBODY, "/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    let page = String::from_utf8(answer.body).unwrap();
    assert!(
        !page.contains("://") && !page.contains("<script>") && !page.contains("style="),
        "{page}"
    );
    let names = named(&page);
    assert!(!names.is_empty(), "{page}");
    for name in names {
        assert_eq!(world.get(NOBODY, &name).await.status, StatusCode::OK, "{name}");
    }
    let none = world.get(NOBODY, "/assets/none.js").await;
    assert_eq!(none.refusal(), (404, "not_found".to_owned()));
}
