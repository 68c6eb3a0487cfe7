//! A folder reached by SFTP as a place for backups.
//!
//! An object is written beside, synced where the server can, and renamed: what has its name is whole. The server is known
//! by its key, which the administrator gives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cluster::backup::{ByteStream, Entry, Stored, Target, TargetError, TargetLogin};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use russh::client::{self, Handle};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key};
use russh_sftp::client::SftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{OpenFlags, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::look_up;
use crate::outbound::Guard;

const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Silence for so long means that the server is gone.
const SILENCE_SECONDS: u64 = 60;
const PIECE: usize = 256 * 1024;
const HALF: &str = ".half";
/// With less room than this on the server, a write that failed means that it is full.
const FULL: u64 = 1024 * 1024;

/// Where a folder is, as State keeps it.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
    pub(super) username: &'a str,
    pub(super) host_key: &'a str,
}

/// A folder on a server.
#[derive(Clone)]
pub(super) struct SftpTarget {
    connection: Arc<Connection>,
    root: String,
}

/// The connection, open as long as it is held.
struct Connection {
    sftp: SftpSession,
    _handle: Handle<KnownServer>,
}

impl std::fmt::Debug for SftpTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SftpTarget({}, redacted)", self.root)
    }
}

/// Takes the one server whose key is known.
struct KnownServer {
    expected: String,
    /// The key that was shown instead.
    other: Arc<Mutex<Option<String>>>,
}

impl client::Handler for KnownServer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let fingerprint = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.fingerprint(HashAlg::Sha256).to_string(),
            PublicKeyOrCertificate::Certificate(_) => "a certificate".to_owned(),
        };
        let known = fingerprint.trim_end_matches('=') == self.expected.trim().trim_end_matches('=');
        if !known {
            *self.other.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        }
        Ok(known)
    }
}

fn unreachable(error: &dyn std::fmt::Display) -> TargetError {
    TargetError::Unreachable(error.to_string())
}

fn failed(error: &SftpError) -> TargetError {
    match error {
        SftpError::Status(status) => match status.status_code {
            StatusCode::PermissionDenied => TargetError::Denied(status.error_message.clone()),
            StatusCode::NoConnection | StatusCode::ConnectionLost => unreachable(error),
            _ => TargetError::Failed(error.to_string()),
        },
        SftpError::IO(_) | SftpError::Timeout | SftpError::UnexpectedBehavior(_) => unreachable(error),
        _ => TargetError::Failed(error.to_string()),
    }
}

fn is_absent(error: &SftpError) -> bool {
    matches!(error, SftpError::Status(status) if status.status_code == StatusCode::NoSuchFile)
}

impl SftpTarget {
    /// Connects and logs in, and looks that the folder is there.
    pub(super) async fn open(
        place: Place<'_>,
        login: &TargetLogin,
        guard: &Guard,
    ) -> Result<Self, TargetError> {
        let addresses = look_up(guard, place.host, place.port).await?;
        let opened = tokio::time::timeout(CONNECT_WITHIN, connect(&place, login, &addresses)).await;
        let connection = opened.map_err(|_| unreachable(&"it did not answer in time"))??;
        let root = place.path.trim_end_matches('/').to_owned();
        let target = Self { connection: Arc::new(connection), root };
        match target.connection.sftp.metadata(target.root.clone()).await {
            Ok(found) if found.is_dir() => Ok(target),
            Ok(_) => Err(TargetError::Unreachable(format!("{} is not a folder", place.path))),
            Err(error) if is_absent(&error) => {
                Err(TargetError::Unreachable(format!("there is no folder {}", place.path)))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn sftp(&self) -> &SftpSession {
        &self.connection.sftp
    }

    fn path(&self, name: &str) -> Result<String, TargetError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if name.split('/').all(plain) {
            Ok(format!("{}/{name}", self.root))
        } else {
            Err(TargetError::Failed(format!("`{name}` is not a name")))
        }
    }

    /// Makes the folders above `name` that are missing.
    async fn make_parents(&self, name: &str) -> Result<(), TargetError> {
        let mut path = self.root.clone();
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        for part in parts {
            path = format!("{path}/{part}");
            if self.sftp().metadata(path.clone()).await.is_ok() {
                continue;
            }
            match self.sftp().create_dir(path.clone()).await {
                Ok(()) => {}
                // Somebody else was quicker.
                Err(_) if self.sftp().metadata(path.clone()).await.is_ok() => {}
                Err(error) => return Err(self.or_full(failed(&error)).await),
            }
        }
        Ok(())
    }

    async fn write(&self, half: &str, length: u64, mut bytes: ByteStream) -> Result<(), TargetError> {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let mut file = self.sftp().open_with_flags(half, flags).await.map_err(|error| failed(&error))?;
        let io = |error: std::io::Error| TargetError::Failed(error.to_string());
        let mut written = 0;
        while let Some(piece) = bytes.try_next().await? {
            written += piece.len() as u64;
            file.write_all(&piece).await.map_err(io)?;
        }
        if written != length {
            return Err(TargetError::Source(format!("{written} bytes came, not {length}")));
        }
        file.flush().await.map_err(io)?;
        // A server that cannot sync says so; then its own care is all there is.
        match file.sync_all().await {
            Ok(()) => {}
            Err(SftpError::Status(status)) if status.status_code == StatusCode::OpUnsupported => {}
            Err(error) => return Err(failed(&error)),
        }
        file.shutdown().await.map_err(io)
    }

    /// A server says of a full disk only that something failed.
    async fn or_full(&self, error: TargetError) -> TargetError {
        if !matches!(error, TargetError::Failed(_)) {
            return error;
        }
        match self.sftp().fs_info(self.root.clone()).await {
            Ok(Some(info)) if info.blocks_avail.saturating_mul(info.fragment_size) < FULL => {
                TargetError::Full
            }
            _ => error,
        }
    }
}

fn settings() -> client::Config {
    client::Config {
        keepalive_interval: Some(Duration::from_secs(SILENCE_SECONDS / 3)),
        nodelay: true,
        ..client::Config::default()
    }
}

/// What is offered to a server: key exchange, ciphers and MACs, the preferred one first.
pub(crate) fn algorithms() -> String {
    let offered = settings().preferred;
    // Those that name no algorithm say what else this side can do.
    let is_exchange = |name: &&str| !name.starts_with("ext-info-") && !name.starts_with("kex-strict-");
    let exchange: Vec<&str> = offered.kex.iter().map(AsRef::as_ref).filter(is_exchange).collect();
    let ciphers: Vec<&str> = offered.cipher.iter().map(AsRef::as_ref).collect();
    let macs: Vec<&str> = offered.mac.iter().map(AsRef::as_ref).collect();
    [exchange, ciphers, macs].map(|names| names.join(", ")).join("; ")
}

async fn connect(
    place: &Place<'_>,
    login: &TargetLogin,
    addresses: &[std::net::SocketAddr],
) -> Result<Connection, TargetError> {
    let other = Arc::new(Mutex::new(None));
    let server = KnownServer { expected: place.host_key.to_owned(), other: other.clone() };
    let mut handle = match client::connect(Arc::new(settings()), addresses, server).await {
        Ok(handle) => handle,
        Err(error) => {
            let shown = other.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Err(match shown {
                Some(key) => {
                    TargetError::Forbidden(format!("the server's key is {key}, not the one that was given"))
                }
                None => unreachable(&error),
            });
        }
    };
    let authenticated = if login.contains("PRIVATE KEY") {
        let key = decode_secret_key(login, None)
            .map_err(|_| TargetError::Denied("the private key cannot be read".to_owned()))?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        handle.authenticate_publickey(place.username, key).await
    } else {
        handle.authenticate_password(place.username, login.as_str()).await
    };
    if !authenticated.map_err(|error| unreachable(&error))?.success() {
        return Err(TargetError::Denied(format!("the server does not let {} in", place.username)));
    }
    let channel = handle.channel_open_session().await.map_err(|error| unreachable(&error))?;
    channel.request_subsystem(true, "sftp").await.map_err(|error| unreachable(&error))?;
    let sftp = SftpSession::new(channel.into_stream()).await.map_err(|error| unreachable(&error))?;
    sftp.set_timeout(SILENCE_SECONDS);
    Ok(Connection { sftp, _handle: handle })
}

#[async_trait]
impl Target for SftpTarget {
    async fn put(
        &self,
        name: &str,
        length: u64,
        bytes: ByteStream,
        _lock_until_ms: Option<u64>,
    ) -> Result<Stored, TargetError> {
        let path = self.path(name)?;
        let half = format!("{path}{HALF}");
        self.make_parents(name).await?;
        if let Err(error) = self.write(&half, length, bytes).await {
            // What cannot be removed is written over by the next try.
            drop(self.sftp().remove_file(half).await);
            return Err(self.or_full(error).await);
        }
        // Renaming does not replace: what lies there was found wrong.
        if self.sftp().metadata(path.clone()).await.is_ok() {
            self.sftp().remove_file(path.clone()).await.map_err(|error| failed(&error))?;
        }
        self.sftp().rename(half, path).await.map_err(|error| failed(&error))?;
        Ok(Stored::default())
    }

    async fn find(&self, name: &str) -> Result<Option<Entry>, TargetError> {
        match self.sftp().metadata(self.path(name)?).await {
            Ok(found) => {
                let length = found.size.unwrap_or_default();
                Ok(Some(Entry { name: name.to_owned(), length, version: String::new() }))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn get(&self, name: &str, _version: &str) -> Result<ByteStream, TargetError> {
        let file = match self.sftp().open(self.path(name)?).await {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Err(TargetError::Absent(name.to_owned())),
            Err(error) => return Err(failed(&error)),
        };
        // The connection lives as long as somebody reads.
        let reading = (file, self.connection.clone());
        let pieces = stream::try_unfold(reading, |(mut file, connection)| async move {
            let mut piece = BytesMut::with_capacity(PIECE);
            let read = file.read_buf(&mut piece).await.map_err(|error| unreachable(&error))?;
            Ok::<_, TargetError>((read > 0).then(|| (Bytes::from(piece), (file, connection))))
        });
        Ok(pieces.boxed())
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<Entry, TargetError>> {
        let walk = (self.clone(), prefix.to_owned(), vec![String::new()]);
        let folders = stream::try_unfold(walk, |(target, prefix, mut folders)| async move {
            let Some(folder) = folders.pop() else { return Ok(None) };
            let (found, mut below) = target.folder(&folder, &prefix).await?;
            // The next one comes off the end.
            below.sort_unstable_by(|one, two| two.cmp(one));
            folders.extend(below);
            Ok::<_, TargetError>(Some((found, (target, prefix, folders))))
        });
        folders.map_ok(|found| stream::iter(found.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn remove(&self, name: &str, _version: &str) -> Result<(), TargetError> {
        match self.sftp().remove_file(self.path(name)?).await {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(failed(&error)),
        }
        // A folder that is empty now goes, too; one that is not stays.
        let mut folder = name;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            if self.sftp().remove_dir(format!("{}/{parent}", self.root)).await.is_err() {
                break;
            }
            folder = parent;
        }
        Ok(())
    }
}

impl SftpTarget {
    /// The files in a folder, in order, and the folders in it, as far as they may lead to `prefix`.
    async fn folder(&self, folder: &str, prefix: &str) -> Result<(Vec<Entry>, Vec<String>), TargetError> {
        let path = if folder.is_empty() { self.root.clone() } else { format!("{}/{folder}", self.root) };
        let listed = match self.sftp().read_dir(path).await {
            Ok(listed) => listed,
            // Removed since it was seen.
            Err(error) if is_absent(&error) && !folder.is_empty() => return Ok((Vec::new(), Vec::new())),
            Err(error) => return Err(failed(&error)),
        };
        let (mut found, mut below) = (Vec::new(), Vec::new());
        for entry in listed {
            let file_name = entry.file_name();
            let name = if folder.is_empty() { file_name } else { format!("{folder}/{file_name}") };
            let inside = format!("{name}/");
            if entry.file_type().is_dir() && (inside.starts_with(prefix) || prefix.starts_with(&inside)) {
                below.push(name);
            } else if entry.file_type().is_file() && name.starts_with(prefix) {
                let length = entry.metadata().size.unwrap_or_default();
                found.push(Entry { name, length, version: String::new() });
            }
        }
        found.sort_unstable_by(|one, two| one.name.cmp(&two.name));
        Ok((found, below))
    }
}
