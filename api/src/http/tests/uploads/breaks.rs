use clearfleet_common::job::{JobId, State};
use clearfleet_common::storage::Arrival;
use reqwest::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{BYTES, begun, bring, of_uploads, offset, patch, source_of, view};
use crate::http::tests::world::{answer, until};
use crate::http::tests::{ALICE, World, png};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_a_connection_was_lost_is_kept() {
    let world = World::new().await;
    let content = png(20 << 20);
    let job = begun(&world, content.len(), "a.png").await;
    let mut from = 0;
    for end in [100, 5000, 9 << 20, 19 << 20] {
        let mut stream = TcpStream::connect(&world.address).await.unwrap();
        let head = format!(
            "PATCH /v1/uploads/{job} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\ntus-resumable: 1.0.0\r\n\
             content-type: {BYTES}\r\nupload-offset: {from}\r\ncontent-length: {}\r\n\r\n",
            content.len() - from
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&content[from..end]).await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        until(async || offset(&world, job).await == end).await;
        from = end;
    }
    bring(&world, job, from, &content[from..]).await;
    assert!(source_of(&world, job).await == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_server_goes_on_and_all_see_how_far_it_is() {
    let world = World::new().await;
    let another = world.another_server().await;
    let content = png(9 << 20);
    let job = begun(&world, content.len(), "a.png").await;
    bring(&another, job, 0, &content[..10]).await;
    until(async || view(&world, job).await["source"]["received"] == 10).await;
    bring(&world, job, 10, &content[10..8 << 20]).await;
    bring(&another, job, 8 << 20, &content[8 << 20..]).await;
    assert_eq!(offset(&world, job).await, content.len());
    until(async || view(&world, job).await["state"] == "queued").await;
    assert!(source_of(&world, job).await == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_requests_at_once_lose_nothing() {
    let world = World::new().await;
    let another = world.another_server().await;
    let content = png(18 << 20);
    for (one, other) in [
        (17 << 20, 12 << 20),
        (3 << 20, content.len()),
        (content.len(), content.len()),
    ] {
        let job = begun(&world, content.len(), "a.png").await;
        let both = (
            answer(patch(&world, job, 0, &content[..one])),
            answer(patch(&another, job, 0, &content[..other])),
        );
        let (first, second) = tokio::join!(both.0, both.1);
        for answer in [&first, &second] {
            assert!(matches!(answer.status.as_u16(), 204 | 409), "{answer:?}");
        }
        let from = offset(&world, job).await;
        let taken = [(one, &first), (other, &second)].map(|(end, answer)| match answer.status {
            StatusCode::NO_CONTENT => end,
            _ => 0,
        });
        assert_eq!(from, taken[0].max(taken[1]));
        if from < content.len() {
            bring(&world, job, from, &content[from..]).await;
        }
        assert!(source_of(&world, job).await == content);
        until(async || view(&another, job).await["state"] == "queued").await;
    }
}

/// All bytes of an upload, brought by a server that died then.
async fn brought(world: &World, content: &[u8]) -> JobId {
    let job = begun(world, content.len(), "a.png").await;
    let upload = world.storage.upload(job).await.unwrap().unwrap();
    let Arrival::Partial(received) = world.storage.received(&upload).await.unwrap() else {
        panic!("nothing has come");
    };
    let mut appender = world.storage.append(upload, &received);
    appender.write(content.to_vec().into()).await.unwrap();
    appender.keep().await.unwrap();
    job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_at_the_end_leaves_it_to_whoever_asks_next() {
    let world = World::new().await;
    let content = png(100);
    for places in [false, true] {
        let job = brought(&world, &content).await;
        let upload = world.storage.upload(job).await.unwrap().unwrap();
        if places {
            world.storage.complete_upload(&upload).await.unwrap().unwrap();
        }
        assert_eq!(world.record(ALICE, job).await.unwrap().state, State::Uploading);
        assert_eq!(offset(&world, job).await, content.len());
        assert_eq!(world.record(ALICE, job).await.unwrap().state, State::Queued);
        assert_eq!(source_of(&world, job).await, content);
        assert_eq!(of_uploads(&world).await, 0);
    }
}
