//! Two keys: neither owner lists, reads, changes nor guesses what is the other's.

use clearfleet_tests::{Answer, Client, Server, World, film, photo};
use serde_json::{Value, json};

/// A server that wants keys, and clients with keys of two owners and of an admin.
struct Two {
    world: World,
    server: Server,
    anna: Client,
    ben: Client,
    admin: Client,
}

impl Two {
    fn new() -> Self {
        let world = World::new();
        photo(&world.path("annas-photo.png"));
        film(&world.path("annas-film.mp4"), 20, &["-preset", "ultrafast"]);
        let server = Server::with(&world.path("data"), "--engine bicubic --batch-frames 10 --require-keys");
        let first = std::fs::read_to_string(world.path("data/admin.key")).expect("the first key");
        let admin = server.client().with_key(first.trim());
        let key = |owner: &str| {
            let made = admin
                .json("POST", "/v1/keys", &json!({ "name": owner, "owner": owner }))
                .expect(201)
                .json();
            server.client().with_key(made["secret"].as_str().expect("a secret"))
        };
        let (anna, ben) = (key("anna"), key("ben"));
        Self {
            world,
            server,
            anna,
            ben,
            admin,
        }
    }
}

/// Every method and path of the document.
fn routes(client: &Client) -> Vec<(String, String)> {
    let document = client.get("/openapi.json").expect(200).json();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            routes.push((method.to_uppercase(), path.clone()));
        }
    }
    assert!(routes.len() > 20, "{routes:?}");
    routes
}

/// A request of a route about a job; a body where it takes one.
fn call(client: &Client, method: &str, path: &str, job: &str) -> Answer {
    let path = path.replace("{id}", job).replace("{n}", "0");
    match method {
        "PATCH" => client.json(method, &path, &json!({ "priority": "low" })),
        "POST" if path.ends_with("/redo") || path.ends_with("/preview") => client.json(method, &path, &json!({})),
        _ => client.send(method, &path, &[], b""),
    }
}

/// Without what differs from request to request.
fn told(answer: &Answer) -> Value {
    let mut problem = answer.json();
    problem["request_id"] = Value::Null;
    problem
}

#[test]
fn on_every_route_the_job_of_another_is_as_one_that_never_was() {
    let two = Two::new();
    let anna = &two.anna;
    let jobs = [
        anna.submit_with(&two.world.path("annas-photo.png"), &json!({})),
        anna.submit_with(&two.world.path("annas-film.mp4"), &json!({ "preset": "ultrafast" })),
    ];
    let jobs = jobs.map(|job| (anna.done(&job), job));
    let routes = routes(two.server.client());
    let of_jobs: Vec<_> = routes
        .iter()
        .filter(|(_, path)| path.starts_with("/v1/jobs/{id}"))
        .collect();
    assert!(of_jobs.len() >= 13, "{of_jobs:?}");
    let never = "018f0000-0000-7000-8000-000000000000";
    // Admins see everybody's dead letters, and nobody's jobs.
    for stranger in [&two.ben, &two.admin] {
        for (method, path) in &of_jobs {
            let none = call(stranger, method, path, never);
            assert_eq!(none.refusal(404), "not_found", "{method} {path}");
            for (_, job) in &jobs {
                let theirs = call(stranger, method, path, job);
                assert_eq!(theirs.refusal(404), "not_found", "{method} {path}");
                assert_eq!(told(&theirs), told(&none), "{method} {path}");
            }
        }
        let asked = stranger.json("POST", "/v1/jobs", &json!({ "source": { "job": jobs[0].1 } }));
        assert_eq!(asked.refusal(404), "not_found");
    }
    for (before, job) in &jobs {
        assert_eq!(&anna.job(job), before, "a stranger has changed something");
        anna.assert_verified(job);
    }
}

/// Lists, events, metrics and what else names no job.
#[test]
fn nothing_that_names_no_job_tells_of_those_of_others() {
    let two = Two::new();
    let mut heard = two.ben.events("/v1/events", None);
    let job = two.anna.submit_with(&two.world.path("annas-photo.png"), &json!({}));
    two.anna.done(&job);
    let own = two
        .ben
        .submit_with(&two.world.path("annas-film.mp4"), &json!({ "preset": "ultrafast" }));
    let of_others = heard.find(|event| event.data["id"] != own || event.data["state"] == "done");
    let of_others = of_others.expect("the stream goes on");
    assert_eq!(of_others.data["id"], own, "of another's job");
    for query in ["", "?q=annas-photo", "?state=done&kind=picture", "?limit=200"] {
        let listed = two.ben.get(&format!("/v1/jobs{query}")).expect(200).text();
        assert!(
            !listed.contains("annas-photo") && !listed.contains(&job),
            "{query}: {listed}"
        );
    }
    let open = ["/healthz", "/readyz", "/metrics", "/openapi.json"];
    for (method, path) in routes(two.server.client()) {
        if method != "GET" || path.contains('{') || path.ends_with("/events") {
            continue;
        }
        let query = if path == "/v1/estimate" {
            "?width=5&height=5"
        } else {
            ""
        };
        let answer = two.ben.get(&format!("{path}{query}"));
        assert!(matches!(answer.status, 200 | 403), "{path}: {}", answer.text());
        let text = answer.text();
        assert!(!text.contains("annas-photo") && !text.contains(&job), "{path}: {text}");
        let nobody = two.server.client().get(&format!("{path}{query}"));
        if !open.contains(&&*path) {
            assert_eq!(nobody.refusal(401), "unauthorized", "{path}");
        }
    }
}

/// A key is not guessed from what a server says, and a wrong one is as good as none.
#[test]
fn keys_that_open_nothing() {
    let two = Two::new();
    let job = two.anna.submit_with(&two.world.path("annas-photo.png"), &json!({}));
    let right = std::fs::read_to_string(two.world.path("data/admin.key")).expect("the first key");
    let right = right.trim();
    let client = two.server.client();
    let mut wrong: Vec<String> = vec![String::new(), "cf_".into(), "x".repeat(5000), format!("{right}x")];
    wrong.push(right[..right.len() - 1].to_owned());
    wrong.push(right.to_uppercase());
    let none = client.get("/v1/jobs");
    for key in wrong {
        let refused = client.with_key(&key).get("/v1/jobs");
        assert_eq!(refused.refusal(401), "unauthorized");
        assert_eq!(refused.header("www-authenticate"), none.header("www-authenticate"));
    }
    for (method, path) in routes(client) {
        // A session is begun and ended by whoever has none, and what uploads can do is no secret.
        let is_open = path == "/v1/session" || method == "OPTIONS";
        if !is_open && (path.contains("{id}") || method != "GET") {
            let refused = call(client, &method, &path, &job);
            if method == "HEAD" {
                assert_eq!(refused.status, 401, "{path}");
                continue;
            }
            assert_eq!(refused.refusal(401), "unauthorized", "{method} {path}");
        }
    }
    // Neither in the address nor twice.
    assert_eq!(client.get(&format!("/v1/jobs?key={right}")).status, 401);
    let value = format!("Bearer {right}");
    let twice = client
        .with_key(right)
        .send("GET", "/v1/jobs", &[("authorization", &value)], b"");
    assert_eq!(twice.status, 401);
    two.anna.done(&job);
}

/// The same idempotency key of two owners makes two jobs.
#[test]
fn idempotency_keys_are_each_owners_own() {
    let two = Two::new();
    let photo = std::fs::read(two.world.path("annas-photo.png")).expect("the photo");
    let send = |client: &Client| {
        let headers = [("idempotency-key", "one")];
        client
            .send("POST", "/v1/jobs?name=a.png", &headers, &photo)
            .expect(201)
            .json()["id"]
            .clone()
    };
    assert_ne!(send(&two.anna), send(&two.ben));
}

#[test]
fn what_is_an_admins_is_no_users() {
    let two = Two::new();
    for path in ["/v1/keys", "/v1/models", "/v1/dead-letters", "/v1/backup"] {
        assert_eq!(two.ben.get(path).refusal(403), "forbidden", "{path}");
    }
    let listed = two.admin.get("/v1/keys").expect(200).json();
    let keys = listed["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 3);
    for key in keys {
        let id = key["id"].as_str().expect("an id");
        let refused = two.ben.send("DELETE", &format!("/v1/keys/{id}"), &[], b"");
        assert_eq!(refused.refusal(403), "forbidden");
    }
    let own = json!({ "name": "mine", "owner": "anna", "role": "admin" });
    assert_eq!(two.ben.json("POST", "/v1/keys", &own).refusal(403), "forbidden");
    two.anna.get("/v1/jobs").expect(200);
    let secret = |client: &Client| client.get("/v1/webhook-secret").expect(200).text();
    assert_ne!(secret(&two.anna), secret(&two.ben));
}
