//! The authority survives restarts; an installed certificate is checked before it replaces anything.

use super::*;
use cluster::authority::Authority as ClusterAuthority;
use rustls_pki_types::pem::PemObject;
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

/// 2027-01-15, within the life of every certificate made here.
const NOW_MS: u64 = 1_800_000_000_000;

/// A certificate of its own making, changed before it is signed.
fn made(change: impl FnOnce(&mut rcgen::CertificateParams)) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec!["own.example".to_owned()]).unwrap();
    change(&mut params);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn own_certificate() -> (String, String) {
    made(|_| {})
}

fn opened(dir: &tempfile::TempDir) -> Tls {
    Tls::open(dir.path(), &names(), &Flip, None).unwrap()
}

fn install(tls: &Tls, dir: &tempfile::TempDir, chain: &str, key: &str) -> Result<(), TlsError> {
    tls.install(dir.path(), tls.prepare(chain, key, NOW_MS)?, &Flip)
}

#[test]
fn the_authority_stays_the_same_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (opened(&dir), opened(&dir));
    assert_eq!(first.authority_pem(), second.authority_pem());
    assert_ne!(first.fingerprint(), second.fingerprint());
    let facts = first.facts().unwrap();
    assert!(facts.covers("media.example") && facts.covers("192.0.2.7") && facts.covers("[::1]"));
    assert!(!facts.covers("not a host") && facts.key.starts_with("EC") && facts.chain_length == 2);
}

#[test]
fn no_private_key_lies_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let tls = opened(&dir);
    let (chain, key) = own_certificate();
    install(&tls, &dir, &chain, &key).unwrap();
    for entry in std::fs::read_dir(dir.path().join("tls")).unwrap() {
        let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("PRIVATE KEY"));
    }
    let prepared = tls.prepare(&chain, &key, NOW_MS).unwrap();
    assert!(!format!("{prepared:?}").contains(key.lines().nth(1).unwrap()));
}

#[test]
fn an_installed_certificate_is_served_at_once_and_after_a_restart_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let tls = opened(&dir);
    let before = tls.fingerprint();
    let (chain, key) = own_certificate();
    install(&tls, &dir, &chain, &key).unwrap();
    assert_ne!(tls.fingerprint(), before);
    assert_eq!(tls.source(), Source::Installed);
    assert_eq!(opened(&dir).fingerprint(), tls.fingerprint());

    tls.remove(dir.path(), &names(), &Flip).unwrap();
    assert_eq!((tls.source(), opened(&dir).source()), (Source::Own, Source::Own));
    assert!(tls.facts().unwrap().covers("localhost"));
    tls.remove(dir.path(), &names(), &Flip).unwrap();
}

#[test]
fn another_authority_is_served_by_at_once_with_what_leads_to_it_but_an_installed_certificate_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (before, next) = (ClusterAuthority::generate().unwrap(), ClusterAuthority::generate().unwrap());
    let by = |authority: &ClusterAuthority, from: Option<&ClusterAuthority>| Adopted {
        certificate: authority.certificate().to_vec(),
        key: authority.key_der(),
        crossed: from.map(|from| from.cross(authority).unwrap()),
    };
    let tls = Tls::open(dir.path(), &names(), &Flip, Some(by(&before, None))).unwrap();
    let adopts = |adopted| tls.adopt(dir.path(), &names(), &Flip, adopted).unwrap();
    let chain_length = || tls.facts().unwrap().chain_length;
    let (first, shown) = (tls.authority_pem(), tls.fingerprint());
    assert!(!adopts(by(&before, None)));
    assert_eq!((tls.fingerprint(), chain_length()), (shown.clone(), 2), "nothing is made anew for nothing");

    assert!(adopts(by(&next, Some(&before))));
    assert_eq!(chain_length(), 3, "who trusts the one before is led on");
    assert!(tls.authority_pem() != first && tls.fingerprint() != shown);
    assert_eq!(std::fs::read_to_string(dir.path().join("tls/ca.pem")).unwrap(), tls.authority_pem());
    // Given up again, seen by a node that came late: the authority it served by is led to from another.
    let late = Tls::open(dir.path(), &names(), &Flip, Some(by(&before, None))).unwrap();
    assert!(late.adopt(dir.path(), &names(), &Flip, by(&before, Some(&next))).unwrap());
    assert_eq!((late.authority_pem(), late.facts().unwrap().chain_length), (first.clone(), 3));

    let (chain, key) = own_certificate();
    install(&tls, &dir, &chain, &key).unwrap();
    let installed = tls.fingerprint();
    assert!(adopts(by(&before, None)));
    assert_eq!((tls.fingerprint(), tls.authority_pem()), (installed, first));
    tls.remove(dir.path(), &names(), &Flip).unwrap();
    assert_eq!(chain_length(), 2, "its own is by the authority of now");
}

#[test]
fn what_is_damaged_on_disk_does_not_keep_the_node_from_serving() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = own_certificate();
    install(&opened(&dir), &dir, &chain, &key).unwrap();
    std::fs::write(dir.path().join("tls/installed.sealed"), "damaged").unwrap();
    assert_eq!(opened(&dir).source(), Source::Own);
}

#[test]
fn what_is_not_fit_is_refused_by_name_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let tls = opened(&dir);
    let before = tls.fingerprint();
    let (chain, key) = own_certificate();
    let (other, _) = own_certificate();
    let year = |from, to| {
        made(move |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        })
    };
    let (expired, future) = (year(2020, 2021), year(2040, 2041));
    let nameless = made(|params| params.subject_alt_names.clear());
    let for_clients =
        made(|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]);
    let stranger = format!(
        "{chain}{other_issuer}",
        other_issuer = made(|params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "a stranger");
        })
        .0
    );
    let long = chain.repeat(200);
    let cases = [
        ("garbage", key.as_str(), "certificate_unreadable"),
        ("", &key, "certificate_unreadable"),
        (&chain, "garbage", "certificate_unreadable"),
        (&chain, "-----BEGIN ENCRYPTED PRIVATE KEY-----", "certificate_unreadable"),
        (&key, &key, "certificate_unreadable"),
        (&other, &key, "certificate_mismatch"),
        (&expired.0, &expired.1, "certificate_expired"),
        (&future.0, &future.1, "certificate_not_yet_valid"),
        (&nameless.0, &nameless.1, "certificate_nameless"),
        (&for_clients.0, &for_clients.1, "certificate_not_for_servers"),
        (&stranger, &key, "certificate_chain_broken"),
        (&long, &key, "certificate_too_large"),
        (&chain, &long, "certificate_too_large"),
    ];
    for (chain, key, code) in cases {
        let error = install(&tls, &dir, chain, key).unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
    }
    assert_eq!(tls.fingerprint(), before);
}

/// Made by `openssl req -x509 -newkey rsa:1024 -nodes -days 36500 -addext subjectAltName=DNS:own.example`.
const RSA_1024: &str = include_str!("testdata/rsa1024.pem");

#[test]
fn a_short_rsa_key_is_too_weak() {
    let dir = tempfile::tempdir().unwrap();
    let tls = opened(&dir);
    let error = install(&tls, &dir, RSA_1024, &own_certificate().1).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().contains("RSA 1024")),
        (Some("certificate_weak"), true),
        "{error}"
    );
}

#[test]
fn a_damaged_authority_is_mended_where_its_key_is_left_and_never_replaced_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let first = opened(&dir).authority_pem();
    let (pem, key) = (dir.path().join("tls/ca.pem"), dir.path().join("tls/ca.key.sealed"));
    let public = |pem: &str| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let parsed = x509_parser::parse_x509_certificate(&der).unwrap().1;
        (parsed.public_key().raw.to_vec(), parsed.subject().to_string())
    };
    let damages: [fn(&mut Vec<u8>); 4] = [
        Vec::clear,
        |bytes| bytes.truncate(200),
        // A changed character inside: still PEM, still a certificate, not the one that was signed.
        |bytes| bytes[300] = if bytes[300] == b'A' { b'B' } else { b'A' },
        |bytes| *bytes = vec![0xff; 100],
    ];
    for damage in damages {
        let mut bytes = std::fs::read(&pem).unwrap();
        damage(&mut bytes);
        std::fs::write(&pem, bytes).unwrap();
        let mended = opened(&dir).authority_pem();
        assert_eq!(public(&mended), public(&first), "whoever trusts the one before trusts this one");
        assert_eq!(opened(&dir).authority_pem(), mended, "and it stays");
    }
    std::fs::remove_file(&pem).unwrap();
    assert_eq!(public(&opened(&dir).authority_pem()), public(&first));

    std::fs::remove_file(&key).unwrap();
    let refused = Tls::open(dir.path(), &names(), &Flip, None).unwrap_err();
    assert!(matches!(&refused, TlsError::AuthorityDamaged { file, .. } if *file == key), "{refused}");
    assert!(refused.to_string().contains("ca.key.sealed back from a copy"), "{refused}");
    assert!(!key.exists(), "nothing was made in its place");
}
