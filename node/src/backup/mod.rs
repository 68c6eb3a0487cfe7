//! Opening places for backups: folders by `cluster`, stores on a network by the modules here, behind one guard.

mod s3;
mod sftp;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use cluster::backup::{Folders, OpenTargets, Target, TargetError, TargetLogin};
use cluster::command::{TargetPlace, TargetSettings};

pub(crate) use sftp::algorithms as ssh_algorithms;

use crate::config::Config;
use crate::outbound::{Guard, OutboundError};

/// Opens every kind of place that the operator allows.
#[derive(Debug, Clone)]
pub struct Targets {
    folders: Folders,
    guard: Guard,
}

impl Targets {
    /// As configured.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let refused = vec![config.dir.clone(), config.key_file()];
        let folders = Folders { allowed: config.backup.folders.clone(), refused };
        Self { folders, guard: Guard::public_and(&config.backup.networks) }
    }

    /// Whatever the operator of this machine names on the command line.
    #[must_use]
    pub fn anywhere() -> Self {
        Self { folders: Folders::default(), guard: Guard::anywhere() }
    }
}

#[async_trait]
impl OpenTargets for Targets {
    async fn open(
        &self,
        settings: &TargetSettings,
        login: &TargetLogin,
    ) -> Result<Arc<dyn Target>, TargetError> {
        match &settings.place {
            TargetPlace::Folder { .. } => self.folders.open(settings, login).await,
            TargetPlace::Sftp { host, port, path, username, host_key } => {
                let place = sftp::Place { host, port: *port, path, username, host_key };
                Ok(Arc::new(sftp::SftpTarget::open(place, login, &self.guard).await?))
            }
            TargetPlace::S3 { endpoint, region, bucket, prefix, access_key, authority, object_lock } => {
                let place = s3::Place {
                    endpoint,
                    region,
                    bucket,
                    prefix,
                    access_key,
                    authority: authority.as_deref(),
                    object_lock: *object_lock,
                };
                Ok(Arc::new(s3::S3Target::open(place, login, &self.guard).await?))
            }
        }
    }
}

/// Looks up where `host` is, if a backup may go there.
async fn look_up(guard: &Guard, host: &str, port: u16) -> Result<Vec<SocketAddr>, TargetError> {
    guard.look_up(host, port).await.map_err(|error| match error {
        OutboundError::UnknownName(_) => TargetError::Unreachable(error.to_string()),
        OutboundError::LeadsInside(_) => {
            TargetError::Forbidden(format!("{host} is in a private network that the operator has not listed"))
        }
        _ => TargetError::Forbidden(error.to_string()),
    })
}
