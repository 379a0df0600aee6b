use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::Value;

use super::{NOBODY, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_whole() {
    let world = World::new().await;
    let answer = world.get(NOBODY, "/openapi.json").await;
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let said = operation["summary"].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "{method} {path} says nothing");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{method} {path}"
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{method} {path}: {parameter}");
            }
        }
    }
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is nowhere");
    }
}

/// All references of a document.
fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    for path in ["/docs", "/docs/page.js", "/docs/page.css"] {
        let answer = world.get(NOBODY, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains("://") && !text.contains("innerHTML"), "{path}");
    }
    let page = String::from_utf8(world.get(NOBODY, "/docs").await.body).unwrap();
    let inline = page.contains("<script>") || page.contains("style=") || page.contains("onload");
    assert!(!inline, "the policy would refuse it");
}
