//! The inventory of cryptography (ASVS V11.1): every use of it in the product, with its key, how that is exchanged, and how it
//! stands now. Shown by `api::cryptography`.
//!
//! Numbers come from the constants that the code itself uses, TLS from the configurations in use, versions from `Cargo.lock`.
//! A test compares what is named here with the crates we depend on: a new one must be entered.

mod entry;
mod keys;
mod media;
mod network;
mod outward;
mod people;
mod present;
mod sealed;
mod tools;

use cluster::fips;

pub use entry::{
    CryptographyUse, KeyFacts, KeyId, PostQuantum, Provider, Rotated, Rotation, RunsIn, Scope, Standing,
};
pub use network::TlsFacts;
pub use present::Present;

use crate::app::App;
use crate::problem::Problem;

/// The crates that our own depend on, with the versions of `Cargo.lock`.
mod dependencies {
    include!(concat!(env!("OUT_DIR"), "/dependencies.rs"));
}

/// The crate that most is done by.
const PROVIDER: &str = "aws-lc-rs";

/// Everything.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Inventory {
    /// The crate that most is done by.
    pub provider: Provider,
    /// The validated module that it runs in, in a build for FIPS 140-3.
    pub module: Option<String>,
    /// Every TLS configuration says of itself that it is FIPS 140-3 through and through.
    pub fips: bool,
    /// The TLS configurations in use.
    pub tls: Vec<TlsFacts>,
    /// Every use.
    pub uses: Vec<CryptographyUse>,
}

/// The inventory of this node, as it is now.
///
/// # Errors
/// When a certificate, the audit log or the TLS settings cannot be read.
pub async fn inventory(app: &App) -> Result<Inventory, Problem> {
    let present = present::Facts::of(app).await?;
    let tls = network::in_use(app)?;
    let mut uses = uses(&present, &tls);
    if !fips::in_module() {
        // Whatever could run in the module does not: there is none.
        uses.iter_mut().for_each(|one| one.fips.runs = RunsIn::Outside);
    }
    Ok(Inventory {
        provider: Provider::of(PROVIDER),
        module: aws_lc_rs::fips_version().map(|version| format!("AWS-LC FIPS {version}")),
        fips: tls.iter().all(|one| one.fips),
        tls,
        uses,
    })
}

fn uses(present: &present::Facts, tls: &[TlsFacts]) -> Vec<CryptographyUse> {
    let mut uses = media::uses(present);
    uses.extend(sealed::uses(present));
    uses.extend(network::uses(present, tls));
    uses.extend(people::uses(present));
    uses.extend(outward::uses(present));
    uses.extend(tools::uses());
    uses
}

#[cfg(test)]
mod tests;
