use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use clearfleet_common::job::{ClassName, JobId};
use clearfleet_common::storage::{KeyPrefix, Listed, ObjectKey, Storage};
use futures::{StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;

use crate::backend::property;

pub(crate) async fn long_lists_are_whole_and_in_order(storage: &Storage) {
    let jobs: BTreeSet<JobId> = (0..1_203).map(|_| JobId::new()).collect();
    let other = storage
        .put(ObjectKey::Class(ClassName::default()), Bytes::new())
        .await
        .unwrap();
    let writes = futures::stream::iter(jobs.iter().copied());
    writes
        .for_each_concurrent(16, async |job| {
            storage
                .put(ObjectKey::Active(job), Bytes::from_static(b"local"))
                .await
                .unwrap();
        })
        .await;

    let listed: Vec<Listed> = storage.list(KeyPrefix::Active).try_collect().await.unwrap();
    let keys: Vec<String> = jobs.iter().map(|job| ObjectKey::Active(*job).to_string()).collect();
    assert_eq!(listed.iter().map(|listed| listed.key.clone()).collect::<Vec<_>>(), keys);
    let stat = storage.stat(&keys[7]).await.unwrap().unwrap();
    assert_eq!((&listed[7].version, listed[7].bytes), (&stat.version, 5));
    assert!((stat.modified.as_second() - listed[7].modified.as_second()).abs() <= 1);

    assert_eq!(storage.delete_all(KeyPrefix::Active).await.unwrap(), 1_203);
    let left: Vec<Listed> = storage.list(KeyPrefix::All).try_collect().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].version, other);
    assert_eq!(storage.delete_all(KeyPrefix::Active).await.unwrap(), 0);
}

/// What is asked of a list.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) start_after: Option<String>,
    pub(crate) page: i32,
}

/// A line of an answer: a key, or a prefix that stands for several.
pub(crate) type Line = (String, bool);

/// What a sorted map would answer.
pub(crate) fn expected(keys: &BTreeMap<String, usize>, question: &Question) -> Vec<Line> {
    let mut lines = BTreeSet::new();
    let after = |key: &str| question.start_after.as_deref().is_none_or(|start| key > start);
    for key in keys
        .keys()
        .filter(|key| key.starts_with(&question.prefix) && after(key))
    {
        let rest = &key[question.prefix.len()..];
        let cut = question
            .delimiter
            .as_deref()
            .and_then(|d| Some(rest.find(d)? + d.len()));
        lines.insert(match cut {
            Some(cut) => (key[..question.prefix.len() + cut].to_owned(), true),
            None => (key.clone(), false),
        });
    }
    lines.into_iter().collect()
}

/// What a store answers, read page by page.
pub(crate) async fn answered(storage: &Storage, keys: &BTreeMap<String, usize>, question: &Question) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut token = None;
    loop {
        let page = storage
            .client()
            .list_objects_v2()
            .bucket(storage.bucket())
            .prefix(&question.prefix)
            .set_delimiter(question.delimiter.clone())
            .set_start_after(question.start_after.clone())
            .set_continuation_token(token)
            .max_keys(question.page)
            .send()
            .await
            .unwrap();
        let mut of_page = BTreeSet::new();
        for object in page.contents() {
            let key = object.key().unwrap().to_owned();
            assert_eq!(object.size().unwrap(), keys[&key] as i64);
            of_page.insert((key, false));
        }
        for prefix in page.common_prefixes() {
            of_page.insert((prefix.prefix().unwrap().to_owned(), true));
        }
        assert!(of_page.len() <= question.page as usize);
        assert_eq!(page.key_count(), Some(of_page.len() as i32));
        lines.extend(of_page);
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            return lines;
        }
    }
}

/// Writes objects of different lengths.
pub(crate) async fn fill(storage: &Storage, keys: &BTreeMap<String, usize>) {
    futures::stream::iter(keys)
        .for_each_concurrent(8, async |(key, bytes)| {
            let body = vec![0; *bytes].into();
            let put = storage
                .client()
                .put_object()
                .bucket(storage.bucket())
                .key(key)
                .body(body);
            put.send().await.unwrap();
        })
        .await;
}

pub(crate) async fn lists_are_those_of_a_map(storage: &Storage) {
    // Folders and files differ, since MinIO takes no key that is the folder of another.
    let keys: BTreeMap<String, usize> = (0..120_usize)
        .map(|n| {
            let folders = [["a", "b", "ab", "é"][n % 4], ["x", "y-", "z.z"][n % 3]];
            let depth = n % 3;
            let path: String = folders[..depth].iter().map(|folder| format!("{folder}/")).collect();
            (format!("{path}{}{}", ["f", "F", "g h", "+"][n / 3 % 4], n / 12), n)
        })
        .collect();
    fill(storage, &keys).await;

    let prefix = prop::sample::select(vec!["", "a", "a/", "ab/", "b/y", "f", "é/", "none", "a/x/f1"]);
    let start = prop::sample::select(keys.keys().cloned().collect::<Vec<_>>());
    // Not both: MinIO leaves out a prefix whose first keys come before the start.
    let from = prop_oneof![
        Just((None, None)),
        Just((Some("/".to_owned()), None)),
        start.prop_map(|start| (None, Some(start))),
    ];
    property(
        80,
        &(prefix, from, 1..130_i32),
        async |(prefix, (delimiter, start_after), page)| {
            let question = Question {
                prefix: prefix.to_owned(),
                delimiter,
                start_after,
                page,
            };
            assert_eq!(
                answered(storage, &keys, &question).await,
                expected(&keys, &question),
                "{question:?}"
            );
        },
    );
}
