//! The authority survives restarts; an installed certificate is checked before it replaces anything.

use super::*;
use zeroize::Zeroizing;

/// A vault that only flips bits: enough to see that nothing is stored in clear.
struct Flip;

impl Vault for Flip {
    fn seal(&self, _label: &str, plain: &[u8]) -> Result<Vec<u8>, TlsError> {
        Ok(plain.iter().map(|byte| byte ^ 0x5a).collect())
    }
    fn open(&self, _label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        Ok(Zeroizing::new(sealed.iter().map(|byte| byte ^ 0x5a).collect()))
    }
}

fn names() -> Names {
    Names::of_this_machine(&["media.example".to_owned(), "192.0.2.7".to_owned(), "not a host".to_owned()])
}

fn own_certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["own.example".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn the_authority_stays_the_same_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let first = Tls::open(dir.path(), &names(), &Flip).unwrap();
    let second = Tls::open(dir.path(), &names(), &Flip).unwrap();
    assert_eq!(first.authority_pem(), second.authority_pem());
    assert_ne!(first.fingerprint(), second.fingerprint());
}

#[test]
fn no_private_key_lies_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::open(dir.path(), &names(), &Flip).unwrap();
    let (chain, key) = own_certificate();
    tls.install(dir.path(), &chain, &key, &Flip).unwrap();
    for entry in std::fs::read_dir(dir.path().join("tls")).unwrap() {
        let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("PRIVATE KEY"));
    }
}

#[test]
fn an_installed_certificate_is_served_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::open(dir.path(), &names(), &Flip).unwrap();
    let before = tls.fingerprint();
    let (chain, key) = own_certificate();
    tls.install(dir.path(), &chain, &key, &Flip).unwrap();
    assert_ne!(tls.fingerprint(), before);
    assert_eq!(Tls::open(dir.path(), &names(), &Flip).unwrap().fingerprint(), tls.fingerprint());
}

#[test]
fn a_certificate_with_another_key_is_refused_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::open(dir.path(), &names(), &Flip).unwrap();
    let before = tls.fingerprint();
    let (chain, _) = own_certificate();
    let (_, key) = own_certificate();
    let error = tls.install(dir.path(), &chain, &key, &Flip).unwrap_err();
    assert!(matches!(error, TlsError::Mismatch), "{error}");
    assert!(tls.install(dir.path(), "garbage", &key, &Flip).is_err());
    assert_eq!(tls.fingerprint(), before);
    assert!(!dir.path().join("tls/own.pem").exists());
}

#[test]
fn names_keep_hosts_and_addresses_apart() {
    let names = names();
    assert!(names.hosts.contains(&"media.example".to_owned()));
    assert!(names.addresses.contains(&"192.0.2.7".parse().unwrap()));
    assert!(!names.hosts.iter().any(|host| host.contains(' ')));
}
