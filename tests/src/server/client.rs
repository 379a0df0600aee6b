//! A client of a server's HTTP API.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::request::Builder;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body, SendBody};

use super::events::Events;
use super::{Answer, id_of};
use crate::DEADLINE;

/// How often something is asked again that cannot be waited for.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    key: Option<String>,
    agent: Agent,
}

/// The parts of an upload, in the order in which they are sent.
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    /// What is wanted.
    pub request: Value,
    /// File name that the part `file` says; nothing for none.
    pub name: Option<&'a str>,
    /// The source.
    pub content: &'a [u8],
}

impl Upload<'_> {
    const BOUNDARY: &'static str = "clearfleet-tests-5f0e7c";

    fn body(&self) -> Vec<u8> {
        let boundary = Self::BOUNDARY;
        let name = self
            .name
            .map(|name| format!("; filename=\"{name}\""))
            .unwrap_or_default();
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"request\"\r\ncontent-type: application/json\r\n\r\n{}\r\n\
             --{boundary}\r\ncontent-disposition: form-data; name=\"file\"{name}\r\n\r\n",
            self.request
        );
        [
            head.as_bytes(),
            self.content,
            format!("\r\n--{boundary}--\r\n").as_bytes(),
        ]
        .concat()
    }
}

fn read(answer: Response<Body>) -> Result<Answer, ureq::Error> {
    let (parts, body) = answer.into_parts();
    let mut whole = Vec::new();
    body.into_reader().read_to_end(&mut whole)?;
    Ok(Answer::new(parts.status.as_u16(), parts.headers, whole))
}

impl Client {
    /// A client of the server at this address.
    pub fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // Tests kill servers; a connection is never taken up again.
            .max_idle_connections(0)
            .timeout_connect(Some(DEADLINE))
            .timeout_recv_response(Some(DEADLINE))
            .timeout_recv_body(Some(DEADLINE))
            .build();
        Self {
            url: url.to_owned(),
            key: None,
            agent: config.new_agent(),
        }
    }

    /// A client of the same server that shows this key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port of it.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Sends a request and reads the whole answer, or says what became of the connection.
    ///
    /// # Errors
    /// If there is no answer, or not all of it.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        self.ask(method, path, headers, body).and_then(read)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// If there is none.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.try_send(method, path, headers, body);
        answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    fn request(&self, method: &Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response<Body>, ureq::Error> {
        let method: Method = method.parse().expect("a method");
        let mut request = self.request(&method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let takes_body = matches!(method.as_str(), "POST" | "PUT" | "PATCH");
        if takes_body || !body.is_empty() {
            // With its length in the head: of a slice it is known.
            return self.agent.run(request.body(body).expect("a request"));
        }
        self.agent.run(request.body(()).expect("a request"))
    }

    /// Sends a file as the whole body, no more of it in memory than a piece.
    ///
    /// # Panics
    /// If it cannot be read, or there is no answer.
    pub fn upload_file(&self, path: &str, file: &Path) -> Answer {
        self.send_file(&Method::POST, path, &[], file)
    }

    /// Uploads a file by the tus protocol in one request, no more of it in memory than a piece; the upload's path, which
    /// ends in the job's id.
    ///
    /// # Panics
    /// If it cannot be read, or is refused.
    pub fn tus_upload_file(&self, metadata: &str, file: &Path) -> String {
        let length = file.metadata().expect("a file of the caller's own").len().to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("upload-length", &*length),
            ("upload-metadata", metadata),
        ];
        let begun = self.send("POST", "/v1/uploads", &headers, b"").expect(201);
        let upload = begun.header("location").to_owned();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("upload-offset", "0"),
            ("content-type", "application/offset+octet-stream"),
        ];
        self.send_file(&Method::PATCH, &upload, &headers, file).expect(204);
        upload
    }

    fn send_file(&self, method: &Method, path: &str, headers: &[(&str, &str)], file: &Path) -> Answer {
        let file = File::open(file).expect("a file of the caller's own");
        let length = file.metadata().expect("its length").len();
        let mut request = self.request(method, path).header("content-length", length);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(SendBody::from_owned_reader(file)).expect("a request");
        let answer = self.agent.run(request).and_then(read);
        answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// Reads.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// What a metric counts: the sum of the series with this name and, of the form `name{label="value",…}`, these labels;
    /// nothing where there is none.
    ///
    /// # Panics
    /// As [`send`](Self::send), or if there are no metrics.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (name, wanted) = series.split_once('{').unwrap_or((series, "}"));
        let wanted: Vec<_> = wanted.trim_end_matches('}').split_terminator(',').collect();
        let text = self.get("/metrics").expect(200).text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (found, value) = line.rsplit_once(' ')?;
            let (found, labels) = found.split_once('{').unwrap_or((found, ""));
            let fits = found == name && wanted.iter().all(|label| labels.contains(label));
            fits.then(|| value.parse::<f64>().expect("a number"))
        });
        values.reduce(|one, other| one + other)
    }

    /// Posts without a body.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn post(&self, path: &str) -> Answer {
        self.send("POST", path, &[], b"")
    }

    /// Sends JSON.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.send(method, path, &[("content-type", "application/json")], body.as_bytes())
    }

    /// Sends an upload with its request.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn upload(&self, upload: &Upload<'_>) -> Answer {
        let kind = format!("multipart/form-data; boundary={}", Upload::BOUNDARY);
        self.send("POST", "/v1/jobs", &[("content-type", &kind)], &upload.body())
    }

    /// Makes a job of a file; its id.
    ///
    /// # Panics
    /// If it is refused.
    pub fn submit(&self, file: &Path, request: &Value) -> String {
        let content = std::fs::read(file).expect("a file of the test's own");
        let name = file.file_name().and_then(|name| name.to_str());
        let upload = Upload {
            request: request.clone(),
            name,
            content: &content,
        };
        id_of(&self.upload(&upload).expect(201).json())
    }

    /// Makes a job of a file with the default settings but these; its id.
    ///
    /// # Panics
    /// If it is refused.
    pub fn submit_with(&self, file: &Path, settings: &Value) -> String {
        self.submit(file, &json!({ "settings": settings }))
    }

    /// A job.
    ///
    /// # Panics
    /// If there is none.
    pub fn job(&self, id: &str) -> Value {
        self.get(&format!("/v1/jobs/{id}")).expect(200).json()
    }

    /// Gives a job a command, which must be accepted; the job.
    ///
    /// # Panics
    /// If it is refused.
    pub fn command(&self, id: &str, command: &str) -> Value {
        self.post(&format!("/v1/jobs/{id}/{command}")).expect(202).json()
    }

    /// The events of an address.
    ///
    /// # Panics
    /// If there is no stream.
    pub fn events(&self, path: &str, last: Option<&str>) -> Events {
        let headers: Vec<(&str, &str)> = last.map(|last| ("last-event-id", last)).into_iter().collect();
        let answer = self.ask("GET", path, &headers, b"");
        let answer = answer.unwrap_or_else(|e| panic!("GET {path}: {e}"));
        assert_eq!(answer.status(), 200, "GET {path}");
        let kind = answer
            .headers()
            .get("content-type")
            .map(ureq::http::HeaderValue::as_bytes);
        assert_eq!(kind, Some(&b"text/event-stream"[..]));
        Events::new(answer.into_body().into_reader())
    }

    /// Follows a job until it is as it should be; the job then.
    ///
    /// # Panics
    /// If it ends before.
    pub fn until(&self, id: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut last = None;
        for event in self.events(&format!("/v1/jobs/{id}/events"), None) {
            assert_eq!(event.name, "job", "{event:?}");
            if wanted(&event.data) {
                return event.data;
            }
            last = Some(event.data);
        }
        panic!("it never became so: {last:#?}");
    }

    /// Follows a job to its end; the job then.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn ended(&self, id: &str) -> Value {
        self.until(id, |job| {
            matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled" | "expired"))
        })
    }

    /// Follows a job to its end, which must be a good one.
    ///
    /// # Panics
    /// If it fails.
    pub fn done(&self, id: &str) -> Value {
        let job = self.ended(id);
        assert_eq!(job["state"], "done", "{job:#}");
        job
    }

    /// What the server finds when it holds a result against its source.
    ///
    /// # Panics
    /// If it does not find out in time.
    pub fn verification(&self, id: &str) -> Value {
        let since = std::time::Instant::now();
        loop {
            let answer = self.get(&format!("/v1/jobs/{id}/verification"));
            if answer.status != 202 {
                return answer.expect(200).json();
            }
            assert!(since.elapsed() < DEADLINE, "no verification in {DEADLINE:?}");
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// Makes sure that a result holds what its source does.
    ///
    /// # Panics
    /// If it does not.
    pub fn assert_verified(&self, id: &str) {
        let found = self.verification(id);
        assert_eq!(found["verdict"], "holds", "{found:#}");
        let checks = found["checks"].as_array().expect("checks");
        // Of a video all frames were counted, of a picture its content was compared.
        let looked = |check: &Value| check["name"] == "frames" || check["name"] == "pictures";
        assert!(checks.iter().any(looked), "{found:#}");
    }

    /// Downloads into a file.
    ///
    /// # Panics
    /// If it cannot be had, or not whole.
    pub fn download(&self, path: &str, to: &Path) {
        let answer = self.ask("GET", path, &[], b"");
        let answer = answer.unwrap_or_else(|e| panic!("GET {path}: {e}"));
        assert_eq!(answer.status(), 200, "GET {path}");
        let mut file = File::create(to).expect("a file of the test's own");
        std::io::copy(&mut answer.into_body().into_reader(), &mut file).expect("all of it");
    }
}
