use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use redb::ReadableTable as _;
use s3s::dto::{
    Bucket, CommonPrefix, EncodingType, ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
};
use s3s::{S3Result, s3_error};

use super::{Service, etag, timestamp};
use crate::storage::embedded::index::{BUCKETS, Index, Item, ListPage, ListQuery, Refusal, after};

/// The most that a page holds, as S3 says.
pub(super) const PAGE: usize = 1000;

/// What S3 leaves as it is in keys of lists.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'/')
    .remove(b'*');

/// How a client wants keys.
#[derive(Clone, Copy)]
struct Encoding(bool);

impl Encoding {
    fn of(wanted: Option<&EncodingType>) -> Self {
        Self(wanted.is_some_and(|wanted| wanted.as_str() == EncodingType::URL))
    }

    fn key(self, key: String) -> String {
        if self.0 {
            utf8_percent_encode(&key, KEPT).to_string()
        } else {
            key
        }
    }
}

/// How many lines a client wants; a negative number is refused.
pub(super) fn limit(wanted: Option<i32>) -> S3Result<usize> {
    match wanted {
        None => Ok(PAGE),
        Some(wanted) => usize::try_from(wanted)
            .map(|wanted| wanted.min(PAGE))
            .map_err(|_| s3_error!(InvalidArgument, "a page cannot have less than nothing")),
    }
}

impl Service {
    pub(super) async fn require_bucket(&self, bucket: String) -> S3Result<()> {
        let there = self
            .look(move |snapshot| Ok(snapshot.open_table(BUCKETS)?.get(bucket.as_str())?.is_some()))
            .await?;
        if there {
            Ok(())
        } else {
            Err(Refusal::NoSuchBucket.into())
        }
    }

    pub(super) async fn all_buckets(&self) -> S3Result<ListBucketsOutput> {
        let buckets = self
            .look(|snapshot| {
                let mut buckets = Vec::new();
                for bucket in snapshot.open_table(BUCKETS)?.iter()? {
                    let (name, made) = bucket?;
                    buckets.push(Bucket {
                        name: Some(name.value().to_owned()),
                        creation_date: Some(timestamp(made.value())),
                        ..Default::default()
                    });
                }
                Ok(buckets)
            })
            .await?;
        Ok(ListBucketsOutput {
            buckets: Some(buckets),
            ..Default::default()
        })
    }

    pub(super) async fn list_page(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let limit = limit(input.max_keys)?;
        let from = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => from_hex(token)?,
            (None, Some(start)) => after(start),
            (None, None) => Vec::new(),
        };
        let query = ListQuery {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            from,
            limit,
        };
        let bucket = input.bucket.clone();
        let page = self
            .look(move |snapshot| Index::list(snapshot, &bucket, &query))
            .await??;
        Ok(answer(input, limit, page))
    }
}

fn answer(input: ListObjectsV2Input, limit: usize, page: ListPage) -> ListObjectsV2Output {
    let encoding = Encoding::of(input.encoding_type.as_ref());
    let count = page.items.len() as i32;
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for item in page.items {
        match item {
            Item::Prefix(prefix) => prefixes.push(CommonPrefix {
                prefix: Some(encoding.key(prefix)),
            }),
            Item::Object(key, object) => objects.push(Object {
                e_tag: Some(etag(&object.etag)),
                key: Some(encoding.key(key)),
                last_modified: Some(timestamp(object.modified)),
                size: Some(object.bytes as i64),
                ..Default::default()
            }),
        }
    }
    // A page of nothing is the last one, as S3 has it: else its reader would never end.
    let next = page.next.filter(|_| limit > 0).map(|next| to_hex(&next));
    ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: input.prefix.map(|prefix| encoding.key(prefix)),
        delimiter: input.delimiter.map(|delimiter| encoding.key(delimiter)),
        start_after: input.start_after.map(|start| encoding.key(start)),
        encoding_type: input.encoding_type,
        max_keys: Some(limit as i32),
        key_count: Some(count),
        continuation_token: input.continuation_token,
        is_truncated: Some(next.is_some()),
        next_continuation_token: next,
        contents: Some(objects),
        common_prefixes: Some(prefixes),
        ..Default::default()
    }
}

/// Keys are any bytes between characters, tokens are text.
fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(token: &str) -> S3Result<Vec<u8>> {
    let refused = || s3_error!(InvalidArgument, "the continuation token is not one of ours");
    let digits = token.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    };
    digits.map(|pair| byte(pair).ok_or_else(refused)).collect()
}
