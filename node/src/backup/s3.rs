//! An S3-compatible store as a place for backups, by this program's one HTTP client.
//!
//! Requests are signed by `rusty-s3`; what it has no action for (locks) are the same requests with other queries. An
//! object is there whole or not at all: a small one is one request, a large one becomes visible when its parts are put
//! together. With Object Lock each version is locked in COMPLIANCE mode, and the lock is read back.

mod answer;
mod exchange;
mod place;

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cluster::backup::{ByteStream, Entry, Stored, Target, TargetError, TargetLogin};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use reqwest::{Method, Response};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, DeleteObject, GetObject,
    HeadObject, ListObjectsV2, PutObject, UploadPart,
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

use super::look_up;
use crate::outbound::Guard;
use answer::{checksum, date, element, header, odd, refusal};
use exchange::text_of;
pub(super) use place::Place;
use place::client;

/// How long a signature counts.
const SIGNED_FOR: Duration = Duration::from_secs(3600);
/// An object up to this is sent in one request; larger ones in parts of at least this.
const PART: usize = 16 * 1024 * 1024;
/// Parts that an object may have, with some room to the store's own limit.
const MOST_PARTS: u64 = 9_000;
/// How often a request is made when the store does not answer well.
const TRIES: u32 = 4;

/// A store.
#[derive(Clone)]
pub(super) struct S3Target {
    http: reqwest::Client,
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    object_lock: bool,
}

impl std::fmt::Debug for S3Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "S3Target({}, redacted)", self.bucket.base_url())
    }
}

/// One request, still to be signed: each try is signed anew.
type Signing<'a> = dyn Fn() -> Url + Send + Sync + 'a;

impl S3Target {
    /// Opens a store, and looks whether it lets us in.
    pub(super) async fn open(
        place: Place<'_>,
        login: &TargetLogin,
        guard: &Guard,
    ) -> Result<Self, TargetError> {
        let bad = |what: &str| TargetError::Forbidden(format!("`{}` is not {what}", place.endpoint));
        let endpoint = Url::parse(place.endpoint).map_err(|_| bad("an address"))?;
        let host = endpoint.host_str().ok_or_else(|| bad("an address"))?.to_owned();
        let port = endpoint.port_or_known_default().ok_or_else(|| bad("an address"))?;
        let addresses = look_up(guard, &host, port).await?;
        let listed = addresses.iter().all(|address| guard.is_listed(address.ip()));
        let encrypted = endpoint.scheme() == "https";
        if !(encrypted || endpoint.scheme() == "http" && listed) {
            let sentence =
                "a store that is not reached by https must be in a network that the operator has listed";
            return Err(TargetError::Forbidden(sentence.to_owned()));
        }
        let http = client(&place, &host, &addresses)?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, place.bucket.to_owned(), place.region.to_owned());
        let bucket = bucket.map_err(|_| bad("the address of a store"))?;
        let credentials = Credentials::new(place.access_key.to_owned(), login.as_str().to_owned());
        let prefix = place.prefix.trim_matches('/').to_owned();
        let target = Self { http, bucket, credentials, prefix, object_lock: place.object_lock };
        if target.object_lock {
            target.expect_lock().await?;
        }
        Ok(target)
    }

    fn key(&self, name: &str) -> Result<String, TargetError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.split('/').all(plain) {
            return Err(TargetError::Failed(format!("`{name}` is not a name")));
        }
        Ok(if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) })
    }

    /// A bucket that cannot lock is refused at once, not found out about after thirty days.
    async fn expect_lock(&self) -> Result<(), TargetError> {
        let sign = || {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            let query = action.query_mut();
            for name in ["list-type", "encoding-type"] {
                query.remove(name);
            }
            query.insert("object-lock", "");
            action.sign(SIGNED_FOR)
        };
        let text = match self.call(Method::GET, &sign, &[], None).await {
            Ok(answer) => text_of(answer).await?,
            Err(TargetError::Absent(_)) => String::new(),
            Err(error) => return Err(error),
        };
        if element(&text, "ObjectLockEnabled") == Some("Enabled") {
            Ok(())
        } else {
            Err(TargetError::NotLocked { name: self.bucket.name().to_owned(), asked_ms: 0, kept_ms: None })
        }
    }

    /// Makes a request, again and again when the store does not answer or says that it cannot just now.
    async fn call(
        &self,
        method: Method,
        sign: &Signing<'_>,
        headers: &[(&'static str, String)],
        body: Option<Bytes>,
    ) -> Result<Response, TargetError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let mut request = self.http.request(method.clone(), sign());
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let failed = match exchange::send(request, body.clone(), exchange::SILENCE).await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => refusal(answer).await,
                Err(error) => error,
            };
            match failed {
                TargetError::Unreachable(_) if tried < TRIES => {
                    tokio::time::sleep(Duration::from_millis(250) * (1 << tried)).await;
                }
                failed => return Err(failed),
            }
        }
    }

    fn lock_headers(&self, until_ms: Option<u64>) -> Result<Vec<(&'static str, String)>, TargetError> {
        let Some(until_ms) = until_ms.filter(|_| self.object_lock) else { return Ok(Vec::new()) };
        Ok(vec![
            ("x-amz-object-lock-mode", "COMPLIANCE".to_owned()),
            ("x-amz-object-lock-retain-until-date", date(until_ms)?),
        ])
    }

    async fn put_small(
        &self,
        key: &str,
        body: Bytes,
        lock: Vec<(&'static str, String)>,
    ) -> Result<String, TargetError> {
        let mut headers = lock;
        headers.push(("x-amz-checksum-crc32c", checksum(&body)));
        headers.push(("x-amz-sdk-checksum-algorithm", "CRC32C".to_owned()));
        let sign = || {
            let mut action = PutObject::new(&self.bucket, Some(&self.credentials), key);
            for (name, value) in &headers {
                action.headers_mut().insert(*name, value.clone());
            }
            action.sign(SIGNED_FOR)
        };
        let answer = self.call(Method::PUT, &sign, &headers, Some(body)).await?;
        Ok(header(&answer, "x-amz-version-id").unwrap_or_default())
    }

    async fn put_large(
        &self,
        key: &str,
        length: u64,
        first: BytesMut,
        rest: ByteStream,
        lock: Vec<(&'static str, String)>,
    ) -> Result<String, TargetError> {
        let mut headers = lock;
        headers.push(("x-amz-checksum-algorithm", "CRC32C".to_owned()));
        headers.push(("x-amz-sdk-checksum-algorithm", "CRC32C".to_owned()));
        let begin = || {
            let mut action = CreateMultipartUpload::new(&self.bucket, Some(&self.credentials), key);
            for (name, value) in &headers {
                action.headers_mut().insert(*name, value.clone());
            }
            action.sign(SIGNED_FOR)
        };
        let begun = text_of(self.call(Method::POST, &begin, &headers, None).await?).await?;
        let upload = element(&begun, "UploadId").ok_or_else(|| odd("no upload id"))?.to_owned();
        let sent = self.send_parts(key, &upload, length, first, rest).await;
        let ended = match sent {
            Ok(parts) => self.put_together(key, &upload, &parts).await,
            Err(error) => Err(error),
        };
        if ended.is_err() {
            let abort = || {
                AbortMultipartUpload::new(&self.bucket, Some(&self.credentials), key, &upload)
                    .sign(SIGNED_FOR)
            };
            // What cannot be taken back is invisible, and goes by the store's own rules.
            drop(self.call(Method::DELETE, &abort, &[], None).await);
        }
        ended
    }

    /// Sends the parts, one after another; gives the tag and checksum of each.
    async fn send_parts(
        &self,
        key: &str,
        upload: &str,
        length: u64,
        first: BytesMut,
        mut rest: ByteStream,
    ) -> Result<Vec<(String, String)>, TargetError> {
        let part_length = usize::try_from(length.div_ceil(MOST_PARTS)).unwrap_or(usize::MAX).max(PART);
        let mut parts: Vec<(String, String)> = Vec::new();
        let mut gathered = first;
        let mut total = gathered.len() as u64;
        loop {
            let ended = match rest.try_next().await? {
                Some(piece) => {
                    total += piece.len() as u64;
                    gathered.extend_from_slice(&piece);
                    false
                }
                None => true,
            };
            while gathered.len() >= part_length || (ended && !gathered.is_empty()) {
                let part = gathered.split_to(gathered.len().min(part_length)).freeze();
                let number = u16::try_from(parts.len() + 1).map_err(|_| odd("too many parts"))?;
                let sum = checksum(&part);
                let headers = [("x-amz-checksum-crc32c", sum.clone())];
                let sign = || {
                    let mut action =
                        UploadPart::new(&self.bucket, Some(&self.credentials), key, number, upload);
                    action.headers_mut().insert("x-amz-checksum-crc32c", sum.clone());
                    action.sign(SIGNED_FOR)
                };
                let answer = self.call(Method::PUT, &sign, &headers, Some(part)).await?;
                let tag = header(&answer, "etag").ok_or_else(|| odd("no tag of a part"))?;
                parts.push((tag, sum));
            }
            if ended {
                break;
            }
        }
        if total == length {
            Ok(parts)
        } else {
            Err(TargetError::Source(format!("{total} bytes came, not {length}")))
        }
    }

    async fn put_together(
        &self,
        key: &str,
        upload: &str,
        parts: &[(String, String)],
    ) -> Result<String, TargetError> {
        let one = |(number, (tag, sum)): (usize, &(String, String))| {
            let tag = tag.replace('&', "&amp;").replace('<', "&lt;");
            format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><ChecksumCRC32C>{sum}</ChecksumCRC32C></Part>"
            )
        };
        let parts: String = (1..).zip(parts).map(one).collect();
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
        );
        let sign = || {
            let tags = std::iter::empty::<&str>();
            CompleteMultipartUpload::new(&self.bucket, Some(&self.credentials), key, upload, tags)
                .sign(SIGNED_FOR)
        };
        let answer = self.call(Method::POST, &sign, &[], Some(Bytes::from(body))).await?;
        let version = header(&answer, "x-amz-version-id").unwrap_or_default();
        // A store may say 200 before it knows, and what went wrong in the body.
        let text = text_of(answer).await?;
        match element(&text, "Code") {
            Some(code) => Err(TargetError::Failed(code.to_owned())),
            None => Ok(version),
        }
    }

    /// Until when a version is locked.
    async fn locked_until_ms(&self, name: &str, version: &str) -> Result<Option<u64>, TargetError> {
        let key = self.key(name)?;
        let sign = || {
            let mut action = HeadObject::new(&self.bucket, Some(&self.credentials), &key);
            if !version.is_empty() {
                action.query_mut().insert("versionId", version.to_owned());
            }
            action.sign(SIGNED_FOR)
        };
        // The headers of the object say it, too, and more stores do that than answer a question of its own.
        let answer = self.call(Method::HEAD, &sign, &[], None).await?;
        if header(&answer, "x-amz-object-lock-mode").as_deref() != Some("COMPLIANCE") {
            return Ok(None);
        }
        let until = header(&answer, "x-amz-object-lock-retain-until-date");
        let until = until.and_then(|text| text.parse::<Timestamp>().ok());
        Ok(until.and_then(|until| u64::try_from(until.as_millisecond()).ok()))
    }

    async fn expect_locked(&self, name: &str, version: &str, until_ms: u64) -> Result<u64, TargetError> {
        let kept_ms = self.locked_until_ms(name, version).await?;
        // Stores keep whole seconds.
        match kept_ms {
            Some(kept_ms) if kept_ms + 1000 > until_ms => Ok(kept_ms),
            _ => Err(TargetError::NotLocked { name: name.to_owned(), asked_ms: until_ms, kept_ms }),
        }
    }

    async fn page(
        &self,
        prefix: String,
        after: Option<String>,
    ) -> Result<(Vec<Entry>, Option<String>), TargetError> {
        let sign = || {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            action.with_prefix(prefix.clone());
            if let Some(token) = &after {
                action.with_continuation_token(token.clone());
            }
            action.sign(SIGNED_FOR)
        };
        let text = text_of(self.call(Method::GET, &sign, &[], None).await?).await?;
        let listed = ListObjectsV2::parse_response(&text).map_err(|error| odd(&error.to_string()))?;
        let own = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let entry = |key: &str, length: u64| {
            let name = key.strip_prefix(&own)?.to_owned();
            Some(Entry { name, length, version: String::new() })
        };
        let entries = listed
            .contents
            .iter()
            .filter_map(|found| entry(&found.key, found.size.unwrap_or_default()))
            .collect();
        Ok((entries, listed.next_continuation_token))
    }
}

#[async_trait]
impl Target for S3Target {
    async fn put(
        &self,
        name: &str,
        length: u64,
        mut bytes: ByteStream,
        lock_until_ms: Option<u64>,
    ) -> Result<Stored, TargetError> {
        let key = self.key(name)?;
        let lock = self.lock_headers(lock_until_ms)?;
        let mut first = BytesMut::new();
        while first.len() <= PART {
            match bytes.try_next().await? {
                Some(piece) => first.extend_from_slice(&piece),
                None if first.len() as u64 == length => {
                    let version = self.put_small(&key, first.freeze(), lock).await?;
                    return self.stored(name, version, lock_until_ms).await;
                }
                None => return Err(TargetError::Source(format!("{} bytes came, not {length}", first.len()))),
            }
        }
        let version = self.put_large(&key, length, first, bytes, lock).await?;
        self.stored(name, version, lock_until_ms).await
    }

    async fn find(&self, name: &str) -> Result<Option<Entry>, TargetError> {
        let key = self.key(name)?;
        let sign = || HeadObject::new(&self.bucket, Some(&self.credentials), &key).sign(SIGNED_FOR);
        match self.call(Method::HEAD, &sign, &[], None).await {
            Ok(answer) => {
                let length = header(&answer, "content-length").and_then(|text| text.parse().ok());
                let length = length.ok_or_else(|| odd("no length"))?;
                let version = header(&answer, "x-amz-version-id").unwrap_or_default();
                Ok(Some(Entry { name: name.to_owned(), length, version }))
            }
            Err(TargetError::Absent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, name: &str, version: &str) -> Result<ByteStream, TargetError> {
        let key = self.key(name)?;
        let sign = || {
            let mut action = GetObject::new(&self.bucket, Some(&self.credentials), &key);
            if !version.is_empty() {
                action.query_mut().insert("versionId", version.to_owned());
            }
            action.sign(SIGNED_FOR)
        };
        let answer = match self.call(Method::GET, &sign, &[], None).await {
            Err(TargetError::Absent(_)) => return Err(TargetError::Absent(name.to_owned())),
            other => other?,
        };
        Ok(exchange::pieces(answer))
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Entry, TargetError>> {
        let own =
            if self.prefix.is_empty() { prefix.to_owned() } else { format!("{}/{prefix}", self.prefix) };
        let walk = (self.clone(), own, Some(None));
        let pages = stream::try_unfold(walk, |(target, prefix, after)| async move {
            let Some(after) = after else { return Ok(None) };
            let (entries, next) = target.page(prefix.clone(), after).await?;
            Ok::<_, TargetError>(Some((entries, (target, prefix, next.map(Some)))))
        });
        pages.map_ok(|entries| stream::iter(entries.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn remove(&self, name: &str, version: &str) -> Result<(), TargetError> {
        let key = self.key(name)?;
        let mut version = version.to_owned();
        if version.is_empty() && self.object_lock {
            // Without a version the store would only hide it.
            version = match self.find(name).await? {
                Some(found) => found.version,
                None => return Ok(()),
            };
        }
        let sign = || {
            let mut action = DeleteObject::new(&self.bucket, Some(&self.credentials), &key);
            if !version.is_empty() {
                action.query_mut().insert("versionId", version.clone());
            }
            action.sign(SIGNED_FOR)
        };
        match self.call(Method::DELETE, &sign, &[], None).await {
            Ok(_) | Err(TargetError::Absent(_)) => Ok(()),
            Err(TargetError::Denied(_)) if self.object_lock => Err(TargetError::Locked(name.to_owned())),
            Err(error) => Err(error),
        }
    }

    fn locks(&self) -> bool {
        self.object_lock
    }

    async fn lock(&self, name: &str, version: &str, until_ms: u64) -> Result<u64, TargetError> {
        let key = self.key(name)?;
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>COMPLIANCE</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            date(until_ms)?
        );
        let body = Bytes::from(body);
        let headers = [("x-amz-checksum-crc32c", checksum(&body))];
        let sign = || {
            let mut action = PutObject::new(&self.bucket, Some(&self.credentials), &key);
            action.query_mut().insert("retention", "");
            if !version.is_empty() {
                action.query_mut().insert("versionId", version.to_owned());
            }
            action.headers_mut().insert("x-amz-checksum-crc32c", headers[0].1.clone());
            action.sign(SIGNED_FOR)
        };
        self.call(Method::PUT, &sign, &headers, Some(body)).await?;
        self.expect_locked(name, version, until_ms).await
    }
}

impl S3Target {
    async fn stored(
        &self,
        name: &str,
        version: String,
        lock_until_ms: Option<u64>,
    ) -> Result<Stored, TargetError> {
        let locked_until_ms = match lock_until_ms.filter(|_| self.object_lock) {
            Some(until_ms) => Some(match self.expect_locked(name, &version, until_ms).await {
                // Not every store locks what comes in parts as it is told with the first of them.
                Err(TargetError::NotLocked { .. }) => self.lock(name, &version, until_ms).await?,
                kept => kept?,
            }),
            None => None,
        };
        Ok(Stored { version, locked_until_ms })
    }
}
