//! Both seals, on real files.

use super::*;

const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1 };

fn by_passphrase(path: &Path, passphrase: &str) -> PassphraseSeal {
    PassphraseSeal::with_cost(path, Zeroizing::new(passphrase.to_owned()), CHEAP).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_file_gives_the_same_node_at_every_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/node.key");
    let seal = KeyFileSeal::new(&path, &folder.path().join("data")).unwrap();
    assert!(matches!(seal.unlock(), Err(SealError::Absent(_))));
    let first = seal.unlock_or_create().unwrap();
    assert_eq!(seal.unlock_or_create().unwrap().public_key(), first.public_key());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(seal.store(&first), Err(SealError::Present(_))), "a node key is never replaced");
    assert!(seal.mode().stolen_machine_can_be_read());
    let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
}

#[test]
fn a_key_file_others_may_touch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    let seal = KeyFileSeal::new(&path, &folder.path().join("data")).unwrap();
    seal.unlock_or_create().unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o644] {
        set_mode(&path, mode);
        match seal.unlock() {
            Err(SealError::TooOpen { mode: named, .. }) => assert_eq!(named, mode),
            other => panic!("mode {mode:o}: {other:?}"),
        }
    }
    set_mode(&path, 0o400);
    seal.unlock().unwrap();
}

#[test]
fn a_key_file_in_the_data_folder_is_refused_links_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let link = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    for inside in [data.join("node.key"), data.join("new/folder/node.key"), link.join("node.key")] {
        assert!(matches!(KeyFileSeal::new(&inside, &data), Err(SealError::InsideDataFolder { .. })));
    }
    KeyFileSeal::new(folder.path().join("data-key"), &data).unwrap();
}

#[test]
fn a_damaged_key_file_is_named_not_guessed_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    let seal = KeyFileSeal::new(&path, &folder.path().join("data")).unwrap();
    seal.unlock_or_create().unwrap();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() - 1 {
        let mut changed = good.clone();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        fs::write(&path, &changed).unwrap();
        assert!(matches!(seal.unlock(), Err(SealError::Damaged { .. })), "byte {at}");
    }
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(matches!(seal.unlock(), Err(SealError::Damaged { .. })));
}

#[test]
fn a_passphrase_opens_and_another_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sealed");
    let secrets = by_passphrase(&path, "correct horse").unlock_or_create().unwrap();
    let again = by_passphrase(&path, "correct horse").unlock().unwrap();
    assert_eq!(again.public_key(), secrets.public_key());
    assert!(matches!(by_passphrase(&path, "correct house").unlock(), Err(SealError::WrongPassphrase)));
    let stored = fs::read(&path).unwrap();
    assert!(
        !stored.windows(32).any(|window| window == secrets.root()),
        "the root secret lies there in clear"
    );
    let empty = PassphraseSeal::new(&path, Zeroizing::new(String::new()));
    assert!(matches!(empty, Err(SealError::EmptyPassphrase)));
    let printed = format!("{:?}", by_passphrase(&path, "correct horse"));
    assert!(!printed.contains("horse"), "{printed}");
}

#[test]
fn a_changed_passphrase_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sealed");
    let seal = by_passphrase(&path, "correct horse");
    seal.unlock_or_create().unwrap();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        assert!(seal.unlock().is_err(), "byte {at}");
    }
}
