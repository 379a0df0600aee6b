//! Announcements of workers.

use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{Event, Topic};
use clearfleet_common::queue::{Queue, QueueError};
use clearfleet_common::schedule::Input;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The pause before another attempt to listen to a queue that is gone.
const PAUSE: Duration = Duration::from_secs(1);

/// Hands announcements to the loop until `stop`.
pub(super) async fn hear(queue: Arc<dyn Queue>, inputs: mpsc::Sender<Input>, stop: CancellationToken) {
    let again_and_again = async {
        loop {
            if let Err(e) = listen(&*queue, &inputs).await {
                tracing::warn!(
                    error = &e as &dyn std::error::Error,
                    "announcements of workers cannot be heard"
                );
            }
            sleep(PAUSE).await;
        }
    };
    stop.run_until_cancelled(again_and_again).await;
}

async fn listen(queue: &dyn Queue, inputs: &mpsc::Sender<Input>) -> Result<(), QueueError> {
    let mut listener = queue.listen(&[Topic::Workers]).await?;
    loop {
        let event = listener.next().await?;
        // Events of newer builds that this one does not know are no news for it.
        if let Ok(Event::Announced(announcement)) = serde_json::from_slice(&event)
            && inputs.send(Input::Announced(announcement)).await.is_err()
        {
            return Ok(());
        }
    }
}
