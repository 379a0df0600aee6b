//! What becomes of calls when the network or the store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearfleet_common::job::JobId;
use clearfleet_common::storage::{ObjectKey, Secret, Storage, StorageConfig, StorageError, StorageTimeouts};
use futures::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::noise;
use crate::writes::content;

/// Passes on what goes to a store, and cuts connections.
struct Proxy {
    endpoint: String,
    /// Answers to swallow, connection and all.
    swallow: Arc<AtomicUsize>,
    /// Bytes that a connection carries back before it is cut; 0 for any number.
    cut_after: Arc<AtomicUsize>,
}

impl Proxy {
    async fn before(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = endpoint.strip_prefix("http://").unwrap().to_owned();
        let (swallow, cut_after) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let flags = (Arc::clone(&swallow), Arc::clone(&cut_after));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let store = TcpStream::connect(&store).await.unwrap();
                tokio::spawn(carry(client, store, flags.clone()));
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            swallow,
            cut_after,
        }
    }
}

async fn carry(client: TcpStream, store: TcpStream, (swallow, cut_after): (Arc<AtomicUsize>, Arc<AtomicUsize>)) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_store, mut to_store) = store.into_split();
    let forth = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_store).await });
    let mut buffer = vec![0; 64 << 10];
    let mut carried = 0;
    while let Ok(bytes @ 1..) = from_store.read(&mut buffer).await {
        let less = |left: usize| left.checked_sub(1);
        if swallow.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            break;
        }
        if to_client.write_all(&buffer[..bytes]).await.is_err() {
            break;
        }
        carried += bytes;
        let most = cut_after.load(Ordering::SeqCst);
        if most > 0 && carried > most {
            break;
        }
    }
    forth.abort();
}

/// The store, reached directly and through a proxy.
async fn with_proxy(config: &StorageConfig) -> (Storage, Storage, Proxy) {
    let proxy = Proxy::before(&config.endpoint).await;
    let behind = StorageConfig {
        endpoint: proxy.endpoint.clone(),
        ..config.clone()
    };
    let behind = Storage::connect(&behind).await.unwrap();
    (Storage::connect(config).await.unwrap(), behind, proxy)
}

pub(crate) async fn wrong_credentials_are_denied(config: &StorageConfig) {
    let config = StorageConfig {
        secret_key: Secret::from("another".to_owned()),
        ..config.clone()
    };
    let refused = Storage::connect(&config).await.unwrap_err();
    assert!(matches!(refused, StorageError::Denied { .. }), "{refused:?}");
    assert!(!refused.is_transient());
}

pub(crate) async fn a_lost_answer_to_a_conditional_write_is_found_out(config: &StorageConfig) {
    let (storage, behind, proxy) = with_proxy(config).await;
    let key = ObjectKey::Source(JobId::new());

    proxy.swallow.store(1, Ordering::SeqCst);
    let version = behind.create(key, Bytes::from_static(b"ours")).await.unwrap().unwrap();
    assert_eq!(proxy.swallow.load(Ordering::SeqCst), 0);
    assert_eq!(storage.get(key).await.unwrap().unwrap().version, version);

    // Somebody else's object stays somebody else's, though the content is the same.
    proxy.swallow.store(1, Ordering::SeqCst);
    assert_eq!(behind.create(key, Bytes::from_static(b"ours")).await.unwrap(), None);

    proxy.swallow.store(1, Ordering::SeqCst);
    let version = behind
        .replace(key, Bytes::from_static(b"newer"), &version)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(storage.get(key).await.unwrap().unwrap().version, version);

    let key = ObjectKey::Source(JobId::new());
    let data = noise(3, 9 << 20);
    let mut writer = behind.write(key, "video/mp4").await.unwrap();
    writer.write(data.clone()).await.unwrap();
    // Of the last part or of its completion.
    proxy.swallow.store(1, Ordering::SeqCst);
    assert!(writer.finish_new().await.unwrap().is_some());
    assert!(content(&storage, &key.to_string()).await == data);

    let key = ObjectKey::Source(JobId::new());
    let mut writer = behind.write(key, "video/mp4").await.unwrap();
    writer.write(data.clone()).await.unwrap();
    // Of both, the completion for certain among them.
    proxy.swallow.store(2, Ordering::SeqCst);
    assert!(writer.finish().await.is_ok());
    assert!(content(&storage, &key.to_string()).await == data);
}

pub(crate) async fn reading_goes_on_after_breaks(config: &StorageConfig) {
    let (storage, behind, proxy) = with_proxy(config).await;
    let key = ObjectKey::Source(JobId::new());
    let name = key.to_string();
    let data = noise(4, 20 << 20);
    let mut writer = storage.write(key, "video/mp4").await.unwrap();
    writer.write(data.clone()).await.unwrap();
    writer.finish().await.unwrap();

    proxy.cut_after.store(3 << 20, Ordering::SeqCst);
    assert!(content(&behind, &name).await == data);
    let mut part = behind.read(&name, Some(1_000_000..11_000_000), None).await.unwrap();
    let first = part.try_next().await.unwrap().unwrap();
    assert!(data[1_000_000..].starts_with(&first));

    // The rest is of the same version or of none.
    storage.put(key, Bytes::new()).await.unwrap();
    let rest: Result<Vec<Bytes>, _> = part.try_collect().await;
    let cause = rest.unwrap_err().downcast::<StorageError>().unwrap();
    assert!(matches!(cause, StorageError::Changed { .. }), "{cause:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_unavailable_in_time() {
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = StorageConfig {
        endpoint: format!("http://{}", silent.local_addr().unwrap()),
        region: "us-east-1".to_owned(),
        bucket: "b".to_owned(),
        access_key: "a".to_owned(),
        secret_key: Secret::from("s".to_owned()),
        path_style: true,
        signed_bodies: true,
        timeouts: StorageTimeouts {
            connect: Duration::from_millis(200),
            attempt: Duration::from_millis(200),
            attempts: 2,
            ..StorageTimeouts::default()
        },
    };
    let begun = Instant::now();
    let failed = Storage::connect(&config).await.unwrap_err();
    assert!(failed.is_transient(), "{failed:?}");
    drop(silent);
    let failed = Storage::connect(&config).await.unwrap_err();
    assert!(failed.is_transient(), "{failed:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}
