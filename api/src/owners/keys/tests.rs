use std::os::unix::fs::PermissionsExt;

use clearfleet_common::job::OwnerId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::owners::{Counted, Quota, Quotas, Space};
use crate::testing::{Site, until};
use crate::webhooks::HookSecrets;

fn new_key(role: Role) -> NewKey {
    NewKey {
        name: "Anna's laptop".parse().unwrap(),
        owner: "anna".parse().unwrap(),
        role,
        quota: Quota::default(),
    }
}

fn other_secret() -> KeySecret {
    KeySecret::generate().unwrap()
}

const QUICK: Ages = Ages {
    fresh: Duration::from_millis(100),
    usable: Duration::from_secs(3600),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_found_by_its_secret_and_stored_without_it() {
    let site = Site::new().await;
    let keys = Keys::new(site.storage.clone(), None);
    let AddedKey { record, secret } = keys.add(new_key(Role::User)).await.unwrap();
    assert_eq!(keys.find(secret.expose()).await.unwrap().as_deref(), Some(&record));
    assert_eq!(keys.find(other_secret().expose()).await.unwrap(), None);
    assert_eq!(site.keys().await, [ObjectKey::ApiKey(secret.digest()).to_string()]);
    let stored = site
        .storage
        .get(ObjectKey::ApiKey(secret.digest()))
        .await
        .unwrap()
        .unwrap();
    assert!(!String::from_utf8_lossy(&stored.body).contains(secret.expose()));
    assert_eq!(Keys::new(site.storage.clone(), None).list().await.unwrap(), [record]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_opens_nothing_at_once_here_and_soon_elsewhere() {
    let site = Site::new().await;
    let here = Keys::new(site.storage.clone(), None);
    let there = Keys::with_ages(site.storage.clone(), None, QUICK);
    let AddedKey { record, secret } = here.add(new_key(Role::User)).await.unwrap();
    assert!(here.find(secret.expose()).await.unwrap().is_some());
    assert!(there.find(secret.expose()).await.unwrap().is_some());
    let revoked = here.revoke(record.id).await.unwrap();
    assert_eq!(here.find(secret.expose()).await.unwrap(), None);
    until("the other process sees it", async || {
        there.find(secret.expose()).await.unwrap().is_none()
    })
    .await;
    // Once more changes nothing.
    assert_eq!(there.revoke(record.id).await.unwrap(), revoked);
    assert!(matches!(here.revoke(KeyId::new()).await, Err(KeyError::NoSuchKey(_))));
    // What others must see within is half a minute.
    assert!(Ages::default().usable <= Duration::from_secs(30) && Ages::default().fresh < Ages::default().usable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_refused_counts_once_it_is_made() {
    let site = Site::new().await;
    let keys = Keys::new(site.storage.clone(), None);
    let secret = other_secret();
    assert_eq!(keys.find(secret.expose()).await.unwrap(), None);
    let record = KeyRecord::new(new_key(Role::User), Timestamp::now());
    assert!(keys.store(&secret, &record).await.unwrap());
    assert!(keys.find(secret.expose()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_admin_stays() {
    let site = Site::new().await;
    let keys = Keys::new(site.storage.clone(), None);
    let first = keys.add(new_key(Role::Admin)).await.unwrap().record.id;
    assert!(matches!(keys.revoke(first).await, Err(KeyError::LastAdmin(id)) if id == first));
    let second = keys.add(new_key(Role::Admin)).await.unwrap().record.id;
    keys.revoke(first).await.unwrap();
    assert!(matches!(keys.revoke(second).await, Err(KeyError::LastAdmin(_))));
    // The operator's own counts too.
    let fixed = Keys::new(site.storage.clone(), Some(&other_secret()));
    fixed.revoke(second).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_known_keys_open_and_others_do_not() {
    let mut site = Site::new().await;
    let mut config = site.store.as_ref().unwrap().config();
    config.timeouts.attempts = 1;
    // Every look is one at the store, where that answers.
    let ages = Ages {
        fresh: Duration::ZERO,
        ..QUICK
    };
    let keys = Keys::with_ages(Storage::connect(&config).await.unwrap(), None, ages);
    let secret = keys.add(new_key(Role::User)).await.unwrap().secret;
    assert!(keys.find(secret.expose()).await.unwrap().is_some());
    site.store = None;
    assert!(keys.find(secret.expose()).await.unwrap().is_some());
    assert!(keys.find(other_secret().expose()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_key_is_written_where_its_user_finds_it() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(ADMIN_KEY_FILE);
    let start = || Keys::new(site.storage.clone(), None);
    let read = || std::fs::read_to_string(&path).unwrap().trim().to_owned();

    assert!(matches!(start().bootstrap(None).await, Err(KeyError::NoAdmin)));
    let made = start().bootstrap(Some(folder.path())).await.unwrap();
    assert_eq!(made, Bootstrap::Made(path.clone()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let first = start().find(&read()).await.unwrap().unwrap();
    assert_eq!((first.role, first.owner), (Role::Admin, OwnerId::default()));
    assert_eq!(
        start().bootstrap(Some(folder.path())).await.unwrap(),
        Bootstrap::Existing
    );

    // A start that died between the file and the store is gone on with.
    let secret = read();
    let stored = ObjectKey::ApiKey(secret::digest(&secret)).to_string();
    site.storage.delete(&stored).await.unwrap();
    start().bootstrap(Some(folder.path())).await.unwrap();
    assert_eq!(read(), secret);
    assert!(start().find(&secret).await.unwrap().is_some());

    // A file whose key was revoked holds none.
    let fixed = Keys::new(site.storage.clone(), Some(&other_secret()));
    let id = fixed.find(&secret).await.unwrap().unwrap().id;
    fixed.revoke(id).await.unwrap();
    assert_eq!(fixed.bootstrap(Some(folder.path())).await.unwrap(), Bootstrap::Chosen);
    start().bootstrap(Some(folder.path())).await.unwrap();
    assert_ne!(read(), secret);
    assert_eq!(start().find(&read()).await.unwrap().unwrap().role, Role::Admin);
}

/// A server that wants keys, and one of the role admin.
struct Guarded {
    address: String,
    admin: String,
    client: reqwest::Client,
    _site: Site,
}

impl Guarded {
    async fn new(defaults: Quota) -> Self {
        let site = Site::new().await;
        let keys = Arc::new(Keys::new(site.storage.clone(), None));
        let admin = keys.add(new_key(Role::Admin)).await.unwrap().secret;
        let records = site.records().await;
        let quotas = Quotas::new(defaults, Space::default(), Arc::clone(&records) as _);
        let counted = Counted::new(Arc::clone(&keys) as _, Arc::clone(&quotas));
        let secrets = HookSecrets::load(Some("s".repeat(32)), None).unwrap();
        let with = |state: crate::http::AppState| state.with_keys(keys).with_quotas(quotas).with_webhooks(secrets);
        Self {
            address: site.serve(records, Arc::new(counted), with).await,
            admin: admin.expose().to_owned(),
            client: reqwest::Client::new(),
            _site: site,
        }
    }

    async fn ask(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self
            .client
            .request(method, format!("{}{path}", self.address))
            .bearer_auth(key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        let (status, body) = (response.status(), response.bytes().await.unwrap());
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn add(&self, request: Value) -> (String, String) {
        let (status, made) = self.ask(&self.admin, Method::POST, "/v1/keys", Some(request)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_makes_lists_and_revokes_keys() {
    let server = Guarded::new(Quota::default()).await;
    let (id, secret) = server.add(json!({ "name": "b", "owner": "bob" })).await;
    let (status, jobs) = server.ask(&secret, Method::GET, "/v1/jobs", None).await;
    assert_eq!(status, StatusCode::OK, "{jobs}");
    let (status, list) = server.ask(&server.admin, Method::GET, "/v1/keys", None).await;
    assert_eq!(status, StatusCode::OK);
    let names: Vec<&str> = list["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Anna's laptop", "b"]);
    assert_eq!(
        (&list["keys"][1]["role"], &list["keys"][1]["revoked"]),
        (&json!("user"), &Value::Null)
    );
    assert!(!list.to_string().contains(&secret));
    let path = format!("/v1/keys/{id}");
    assert_eq!(
        server.ask(&server.admin, Method::DELETE, &path, None).await.0,
        StatusCode::NO_CONTENT
    );
    let (status, refused) = server.ask(&secret, Method::GET, "/v1/jobs", None).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::UNAUTHORIZED, &json!("unauthorized"))
    );
    let (_, list) = server.ask(&server.admin, Method::GET, "/v1/keys", None).await;
    assert!(list["keys"][1]["revoked"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_of_keys() {
    let server = Guarded::new(Quota::default()).await;
    let (id, user) = server.add(json!({ "name": "b" })).await;
    let path = format!("/v1/keys/{id}");
    let own = json!({ "name": "c", "role": "admin" });
    for (method, path, body) in [
        (Method::GET, "/v1/keys", None),
        (Method::POST, "/v1/keys", Some(own)),
        (Method::DELETE, path.as_str(), None),
    ] {
        let (status, refused) = server.ask(&user, method.clone(), path, body.clone()).await;
        assert_eq!(
            (status, &refused["code"]),
            (StatusCode::FORBIDDEN, &json!("forbidden")),
            "{method}"
        );
        let (status, _) = server.ask("cf_wrong", method.clone(), path, body).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method}");
    }
    let admin = &server.admin;
    for (body, code) in [
        (json!({ "name": "" }), "body_invalid"),
        (json!({ "name": "a", "owner": "../x" }), "body_invalid"),
        (json!({ "name": "a", "role": "root" }), "body_invalid"),
        (json!({ "name": "a", "colour": 1 }), "field_unknown"),
        (json!({ "name": "a", "quota": { "jobs": 1 } }), "field_unknown"),
        (json!({}), "body_invalid"),
    ] {
        let (status, refused) = server.ask(admin, Method::POST, "/v1/keys", Some(body.clone())).await;
        assert_eq!(
            (status, &refused["code"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{body}"
        );
    }
    for unknown in ["x", "..", "00000000-0000-0000-0000-000000000001"] {
        let (status, _) = server
            .ask(admin, Method::DELETE, &format!("/v1/keys/{unknown}"), None)
            .await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{unknown}");
    }
    let (_, list) = server.ask(admin, Method::GET, "/v1/keys", None).await;
    let last = format!("/v1/keys/{}", list["keys"][0]["id"].as_str().unwrap());
    let (status, refused) = server.ask(admin, Method::DELETE, &last, None).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::CONFLICT, &json!("state_conflict"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_own_limits_count() {
    let a_minute = Quota {
        requests_a_minute: std::num::NonZeroU32::new(1000),
        ..Quota::default()
    };
    let server = Guarded::new(a_minute).await;
    let (_, secret) = server
        .add(json!({ "name": "b", "owner": "bob", "quota": { "requests_a_minute": 2 } }))
        .await;
    for _ in 0..2 {
        assert_eq!(
            server.ask(&secret, Method::GET, "/v1/jobs", None).await.0,
            StatusCode::OK
        );
    }
    let (status, refused) = server.ask(&secret, Method::GET, "/v1/jobs", None).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("rate_limited"))
    );
    assert_eq!(refused["details"]["limit"], "2");
    assert_eq!(
        server.ask(&server.admin, Method::GET, "/v1/jobs", None).await.0,
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_bytes_are_limited_before_anything_is_stored() {
    let server = Guarded::new(Quota {
        stored_bytes: Some(1000),
        ..Quota::default()
    })
    .await;
    let upload = async |bytes: usize, chunked: bool| {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.resize(bytes, 7);
        let body = match chunked {
            true => reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(png)])),
            false => png.into(),
        };
        let request = server
            .client
            .post(format!("{}/v1/jobs?name=a.png", server.address))
            .bearer_auth(&server.admin);
        let response = request.body(body).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    for chunked in [false, true] {
        let (status, refused) = upload(1001, chunked).await;
        assert_eq!(
            (status, &refused["code"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &json!("quota_exceeded")),
            "{refused}"
        );
        assert_eq!(refused["details"], json!({ "limit": "1000", "found": "1001" }));
    }
    assert!(server._site.keys().await.iter().all(|key| key.starts_with("keys/")));
    assert_eq!(upload(600, false).await.0, StatusCode::CREATED);
    let (status, refused) = upload(401, false).await;
    assert_eq!(
        (status, &refused["details"]["found"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("1001"))
    );
    assert_eq!(upload(400, true).await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_owner_sees_the_secret_of_its_own_webhooks() {
    let server = Guarded::new(Quota::default()).await;
    let (_, bob) = server.add(json!({ "name": "b", "owner": "bob" })).await;
    let (_, bob_too) = server.add(json!({ "name": "c", "owner": "bob" })).await;
    let secret = async |key: &str| server.ask(key, Method::GET, "/v1/webhook-secret", None).await.1["secret"].clone();
    assert!(secret(&bob).await.as_str().unwrap().starts_with("whsec_"));
    assert_eq!(secret(&bob).await, secret(&bob_too).await);
    assert_ne!(secret(&bob).await, secret(&server.admin).await);
}
