//! Lists of jobs.

use clearfleet_tests::{Client, id_of};
use serde_json::{Value, json};

use super::Setting;

fn ids(page: &Value) -> Vec<String> {
    page["jobs"].as_array().expect("jobs").iter().map(id_of).collect()
}

/// All pages of a list.
fn all(client: &Client, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/jobs?{query}{cursor}")).expect(200).json();
        found.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Makes jobs of one source that are never started, but the first; the newest first.
fn several(setting: &Setting, names: &[&str]) -> Vec<String> {
    let client = setting.server.client();
    let source = setting.submit_photo();
    client.done(&source);
    let mut made = vec![source.clone()];
    for name in names {
        let request = json!({ "source": { "job": source }, "name": name, "start": false });
        made.push(id_of(&client.json("POST", "/v1/jobs", &request).expect(201).json()));
    }
    made.reverse();
    made
}

#[test]
fn jobs_are_listed_newest_first_in_pages() {
    let setting = Setting::new();
    let names: Vec<String> = (0..11).map(|n| format!("{n}.png")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut made = several(&setting, &names);
    let client = setting.server.client();
    for limit in [1, 5, 12, 200] {
        assert_eq!(all(client, &format!("limit={limit}")), made, "{limit}");
    }
    // What is made or deleted meanwhile moves nothing on later pages.
    let first = client.get("/v1/jobs?limit=4").json();
    let request = json!({ "source": { "job": made[0] }, "start": false });
    let newer = id_of(&client.json("POST", "/v1/jobs", &request).expect(201).json());
    client
        .send("DELETE", &format!("/v1/jobs/{}", made[3]), &[], b"")
        .expect(204);
    let cursor = first["next"].as_str().expect("more pages");
    assert_eq!(all(client, &format!("limit=200&cursor={cursor}")), made[4..]);
    made.remove(3);
    made.insert(0, newer);
    assert_eq!(all(client, "limit=3"), made);
}

#[test]
fn jobs_are_found_by_name_state_kind_and_priority() {
    let setting = Setting::new();
    let made = several(
        &setting,
        &["Summer holiday.png", "winter.png", "summer.jpeg", "Übung 100%.png"],
    );
    let client = setting.server.client();
    let film = setting.submit_film();
    client.done(&film);
    client
        .json(
            "PATCH",
            &format!("/v1/jobs/{}", made[2]),
            &json!({ "priority": "high" }),
        )
        .expect(200);
    client.command(&made[1], "cancel");
    let found = |query: &str| all(client, query);
    assert_eq!(found("q=SUMMER"), [made[1].clone(), made[3].clone()]);
    assert_eq!(found("q=%C3%BCbung%20100%25"), [made[0].clone()]);
    assert_eq!(found("q=nowhere"), Vec::<String>::new());
    assert_eq!(found("state=done"), [film.clone(), made[4].clone()]);
    assert_eq!(found("state=cancelled,done&q=summer"), [made[1].clone()]);
    assert_eq!(found("kind=video"), [film]);
    assert_eq!(found("priority=high"), [made[2].clone()]);
    assert_eq!(found("state=paused&kind=picture&limit=1").len(), 3);
    for refused in ["limit=0", "limit=201", "state=lost", "cursor=x", "kind=song"] {
        assert_eq!(
            client.get(&format!("/v1/jobs?{refused}")).refusal(400),
            "query_invalid",
            "{refused}"
        );
    }
    assert_eq!(client.get("/v1/jobs?colour=blue").refusal(400), "field_unknown");
}
