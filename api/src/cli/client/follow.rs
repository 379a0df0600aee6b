use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::JobId;
use reqwest::header;

use super::sse::Reader;
use super::{Backoff, CONNECT, Client, ClientError, IDLE, JobView, Result, answered};

/// How often a job is looked at where its events cannot be had.
const POLL: Duration = Duration::from_secs(2);
/// How long the server may be away: it is perhaps being replaced by a newer one.
const OUTAGE: Duration = Duration::from_secs(600);
/// How soon a connection that ended by itself is made anew.
const REJOIN: Duration = Duration::from_millis(250);
/// Connections to a job's events that brought none, in a row, until it is only looked at.
const FRUITLESS: u32 = 3;

/// Where a job's events were heard last.
#[derive(Debug, Default)]
struct Ear {
    last_event: Option<String>,
    fruitless: u32,
}

impl Client {
    /// Follows a job until it ends; `told` hears of each change. Events are heard where the server or what lies between
    /// lets them through, else the job is looked at every two seconds.
    ///
    /// # Errors
    /// `NotFound` where the job was deleted; `Unavailable` where the server is not there for a while.
    pub(in crate::cli) async fn follow(&self, id: JobId, told: &mut (dyn FnMut(&JobView) + Send)) -> Result<JobView> {
        let (mut ear, mut backoff) = (Ear::default(), Backoff::for_at_most(OUTAGE));
        loop {
            if ear.fruitless < FRUITLESS {
                match self.hear(id, &mut ear, told).await {
                    Ok(Some(ended)) => return Ok(ended),
                    Ok(None) => {}
                    Err(error) => {
                        ear.fruitless += 1;
                        tracing::info!(job = %id, %error, causes = ?error.failure().causes, "its events cannot be heard");
                    }
                }
            }
            match self.job(id).await {
                Ok(job) => {
                    backoff.progressed();
                    told(&job);
                    if job.state.is_ended() {
                        return Ok(job);
                    }
                    let pause = if ear.fruitless == 0 { REJOIN } else { POLL };
                    tokio::time::sleep(pause).await;
                }
                Err(e) => {
                    backoff.wait_after(e).await?;
                    // It was the server that was away, not its events.
                    ear.fruitless = 0;
                }
            }
        }
    }

    /// Hears a job's events until the connection ends or the job does.
    async fn hear(&self, id: JobId, ear: &mut Ear, told: &mut (dyn FnMut(&JobView) + Send)) -> Result<Option<JobView>> {
        let mut request = self.http.get(self.job_route(id, "/events"));
        request = request.header(header::ACCEPT, "text/event-stream");
        if let Some(last) = &ear.last_event {
            request = request.header("Last-Event-ID", last);
        }
        let late =
            |what: &str| ClientError::new(ErrorCode::Timeout, format!("{what} did not come in time")).transient();
        let response = tokio::time::timeout(CONNECT + IDLE, answered(request)).await;
        let mut response = response.map_err(|_| late("the server's answer"))??;
        let media_type = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(|media_type| media_type.starts_with("text/event-stream")) {
            return Err(ClientError::new(ErrorCode::NotOffered, "the server sends no events"));
        }
        let (mut reader, mut heard) = (Reader::default(), false);
        loop {
            let piece = tokio::time::timeout(IDLE, response.chunk()).await;
            let piece = piece
                .map_err(|_| late("an event, or a sign of life,"))?
                .map_err(ClientError::unreachable)?;
            let Some(piece) = piece else {
                // A server that ends at once each time is asked no faster than one that sends none.
                ear.fruitless += u32::from(!heard);
                return Ok(None);
            };
            let events = reader.take(&piece);
            let events = events.map_err(|e| ClientError::new(ErrorCode::Internal, "no event").because(&e))?;
            for event in events {
                ear.last_event = event.id.or(ear.last_event.take());
                // Other events than views may come one day; the job is looked at when the connection ends.
                let Ok(job) = serde_json::from_str::<JobView>(&event.data) else {
                    tracing::debug!(job = %id, data = event.data, "an event that says nothing of the job's state");
                    continue;
                };
                (heard, ear.fruitless) = (true, 0);
                told(&job);
                if job.state.is_ended() {
                    return Ok(Some(job));
                }
            }
        }
    }
}
