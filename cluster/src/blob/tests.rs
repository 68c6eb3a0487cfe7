//! The format: round trips, the reference cipher, and damage of every kind.

use proptest::prelude::*;

use super::cipher::{BlobKeys, nonce};
use super::*;
use crate::keyring::{DataKey, TAG_LENGTH};

fn name(number: u8) -> BlobName {
    BlobName { asset: AssetId([number; 16]), blob: BlobId([number ^ 0xFF; 16]) }
}

fn keys() -> BlobKeys {
    BlobKeys::new(DataKey::random().unwrap(), name(1))
}

fn sealed_record(keys: &BlobKeys, epoch: u64, number: u64, last: bool, plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0; plaintext.len() + TAG_LENGTH];
    keys.records(epoch).unwrap().seal(number, last, plaintext, &mut sealed).unwrap();
    sealed
}

#[test]
fn a_record_opens_only_as_itself() {
    let data_key = DataKey::random().unwrap();
    let keys = BlobKeys::new(data_key.clone(), name(1));
    let plaintext = vec![7; 1000];
    let sealed = sealed_record(&keys, 3, 5, false, &plaintext);
    let mut opened = vec![0; 1000];
    keys.records(3).unwrap().open(5, false, &sealed, &mut opened).unwrap();
    assert_eq!(opened, plaintext);

    let mut refused = |keys: &BlobKeys, epoch, number, last| {
        let outcome = keys.records(epoch).unwrap().open(number, last, &sealed, &mut opened);
        assert!(
            outcome.is_err() && opened.iter().all(|byte| *byte == 0),
            "nothing of a bad record may be seen"
        );
    };
    refused(&keys, 4, 5, false);
    refused(&keys, 3, 6, false);
    refused(&keys, 3, 5, true);
    refused(&BlobKeys::new(data_key, name(2)), 3, 5, false);
    refused(&self::keys(), 3, 5, false);
}

/// The bulk path and the independent `aes-gcm` crate agree byte for byte.
#[test]
fn the_reference_cipher_gives_the_same_records() {
    use aes_gcm::aead::{Aead, KeyInit, Payload};
    use aes_gcm::{Aes256Gcm, Key, Nonce};
    let data_key = DataKey::random().unwrap();
    let keys = BlobKeys::new(data_key.clone(), name(1));
    let subkey = data_key.subkey(b"record", name(1).blob.as_bytes(), 9).unwrap();
    let reference = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*subkey));
    for (number, last, length) in [(0, false, RECORD), (1, true, 0), (u64::from(u32::MAX), true, 12_345)] {
        let plaintext: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let context = keys.records(9).unwrap().context(number, last);
        let payload = Payload { msg: &plaintext, aad: &context };
        let expected = reference.encrypt(&Nonce::from(nonce(number, last)), payload).unwrap();
        assert!(sealed_record(&keys, 9, number, last, &plaintext) == expected);
    }
}

#[test]
fn epochs_only_go_up() {
    let mut epochs = Epochs::default();
    assert!(!epochs.push(0, 0), "epoch 0 is never granted");
    assert!(!epochs.push(1, 1), "the first epoch begins at the first record");
    assert!(epochs.push(2, 0));
    assert!(!epochs.push(2, 5));
    assert!(!epochs.push(1, 5));
    assert!(epochs.push(7, 5));
    assert!(!epochs.push(8, 4));
    assert!(epochs.push(8, 5), "an epoch may seal nothing");
    let of = |number| epochs.of_record(number).unwrap();
    assert_eq!([of(0), of(4), of(5), of(u64::MAX)], [2, 2, 8, 8]);
}

#[test]
fn a_header_names_its_blob_and_survives_no_change() {
    let header = Header { name: name(1), kind: BlobKind::Caption };
    let bytes = header.encode(HeaderKind::Records);
    let decode = |bytes: &[u8]| Header::decode(bytes, HeaderKind::Records, name(1));
    assert_eq!(decode(&bytes).unwrap(), header);
    assert_eq!(Header::decode(&bytes, HeaderKind::Records, name(2)), Err(FormatError::OtherBlob));
    assert!(Header::decode(&bytes, HeaderKind::Open, name(1)).is_err());
    for at in 0..bytes.len() {
        let mut changed = bytes;
        changed[at] ^= 1;
        assert!(decode(&changed).is_err(), "a change at byte {at}");
        assert!(decode(&bytes[..at]).is_err(), "a cut at byte {at}");
    }
}

#[test]
fn every_kind_has_its_own_byte() {
    let written: Vec<u8> = KINDS.iter().map(|kind| kind_to_byte(*kind)).collect();
    assert_eq!(written, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "bytes on disk never change their meaning");
    assert!(KINDS.iter().all(|kind| kind_from_byte(kind_to_byte(*kind)) == Some(*kind)));
    assert_eq!([kind_from_byte(0), kind_from_byte(11)], [None, None]);
}

fn tail_with(bytes: Vec<u8>) -> Tail {
    Tail { sequence: 8, epoch: 2, records: 3, frames_length: 400, frames: 5, bytes }
}

#[test]
fn a_changed_or_torn_tail_is_refused() {
    let keys = keys();
    let slot = seal_tail(&keys, &tail_with(vec![9; 700])).unwrap();
    for at in 0..slot.len() {
        let mut changed = slot.clone();
        changed[at] ^= 4;
        assert!(open_tail(&keys, &changed).is_err(), "a change at byte {at}");
        assert!(open_tail(&keys, &slot[..at]).is_err(), "a cut at byte {at}");
    }
    let longer = [slot.as_slice(), &[1; 50]].concat();
    assert_eq!(
        open_tail(&keys, &longer).unwrap(),
        tail_with(vec![9; 700]),
        "an older, longer slot lies below"
    );
    assert!(seal_tail(&keys, &tail_with(vec![0; RECORD])).is_err(), "a full record is no tail");
}

fn mark_frame(number: u64, length: usize) -> Frame {
    let mark = Mark { length: number * 10, bytes: vec![3; length].into() };
    Frame { epoch: 1, number, body: FrameBody::Mark(mark) }
}

#[test]
fn frames_are_read_in_order_up_to_the_first_bad_one() {
    let keys = keys();
    let frames: Vec<Vec<u8>> =
        (0..4).map(|number| seal_frame(&keys, &mark_frame(number, 20)).unwrap()).collect();
    let read = |bytes: &[u8]| {
        let mut reader = FrameReader::new(&keys, bytes);
        while reader.read().is_ok() {}
        (reader.count(), reader.position())
    };
    let area = frames.concat();
    assert_eq!(read(&area), (4, area.len()));
    let swapped = [&frames[0], &frames[2], &frames[1], &frames[3]].map(Vec::as_slice).concat();
    assert_eq!(read(&swapped), (1, frames[0].len()), "reordered");
    let spliced = [&frames[0], &frames[1], &frames[3]].map(Vec::as_slice).concat();
    assert_eq!(read(&spliced).0, 2, "one left out");
    for at in 0..area.len() {
        let mut changed = area.clone();
        changed[at] ^= 1;
        let whole_before = frames.iter().scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        });
        let expected = whole_before.filter(|end| *end <= at).count() as u64;
        assert_eq!(read(&changed).0, expected, "a change at byte {at}");
    }
    assert!(seal_frame(&keys, &mark_frame(0, MAX_MARK)).is_ok());
    assert!(seal_frame(&keys, &mark_frame(0, MAX_MARK + 100)).is_err());
    assert!(seal_frame(&keys, &mark_frame(0, MAX_MARK)).unwrap().len() <= MAX_FRAME);
}

fn footer(length: u64) -> Footer {
    let mut epochs = Epochs::default();
    assert!(epochs.push(1, 0) && epochs.push(4, 0));
    let marks = vec![Mark { length: length / 2, bytes: b"half"[..].into() }];
    Footer { length, epochs, marks }
}

#[test]
fn an_index_opens_only_where_it_belongs() {
    let keys = keys();
    let footer = footer(200_000);
    let sealed = seal_footer(&keys, 4, &footer).unwrap();
    assert_eq!(open_footer(&keys, 4, footer.position(), &sealed).unwrap(), footer);
    assert!(open_footer(&keys, 4, footer.position() + 1, &sealed).is_err(), "bytes were put in before it");
    assert!(open_footer(&keys, 1, footer.position(), &sealed).is_err());
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open_footer(&keys, 4, footer.position(), &changed).is_err(), "a change at byte {at}");
    }
}

#[test]
fn a_trailer_survives_no_change() {
    let trailer = Trailer { epoch: 4, footer_length: 99, hash: [5; 32] };
    let bytes = trailer.encode();
    assert_eq!(read_trailer(&bytes).unwrap(), trailer);
    for at in 0..bytes.len() {
        let mut changed = bytes;
        changed[at] ^= 1;
        assert!(read_trailer(&changed).is_err(), "a change at byte {at}");
    }
    let absurd = Trailer { footer_length: u64::MAX, ..trailer.clone() };
    assert!(absurd.footer_at(u64::MAX).is_err());
    assert!(trailer.footer_at(100).is_err(), "longer than the file");
    assert_eq!(trailer.footer_at(1000).unwrap(), 1000 - 64 - 99);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_round_trip(plaintext in proptest::collection::vec(any::<u8>(), 0..3000), number: u32, last: bool) {
        let keys = keys();
        let sealed = sealed_record(&keys, 1, u64::from(number), last, &plaintext);
        let mut opened = vec![0; plaintext.len()];
        keys.records(1).unwrap().open(u64::from(number), last, &sealed, &mut opened).unwrap();
        prop_assert_eq!(opened, plaintext);
    }

    #[test]
    fn tails_round_trip(sequence: u64, epoch: u64, records: u32, bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let keys = keys();
        let records = u64::from(records);
        let tail = Tail { sequence, epoch, records, frames_length: 77, frames: 2, bytes };
        prop_assert_eq!(open_tail(&keys, &seal_tail(&keys, &tail).unwrap()).unwrap(), tail);
    }

    #[test]
    fn footers_round_trip(length in 0..10_000_000_u64) {
        let (keys, footer) = (keys(), footer(length));
        let sealed = seal_footer(&keys, 4, &footer).unwrap();
        prop_assert_eq!(open_footer(&keys, 4, footer.position(), &sealed).unwrap(), footer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Arbitrary bytes, with the right first bytes half of the time, never break a parser.
    #[test]
    fn no_bytes_break_the_parsers(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        magic in prop_oneof![Just(&b""[..]), Just(&b"MKT1"[..]), Just(&b"MKF1"[..]), Just(&b"MKSEALED"[..]), Just(&b"MKBLOB\r\n\x01"[..])],
    ) {
        let length = magic.len().min(bytes.len());
        bytes[..length].copy_from_slice(&magic[..length]);
        let keys = keys();
        prop_assert!(open_tail(&keys, &bytes).is_err());
        prop_assert!(FrameReader::new(&keys, &bytes).read().is_err());
        prop_assert!(open_footer(&keys, 1, 64, &bytes).is_err());
        prop_assert!(Header::decode(&bytes, HeaderKind::Records, name(1)).is_err());
        if let Ok(trailer) = read_trailer(&bytes) {
            let _ = trailer.footer_at(bytes.len() as u64);
        }
    }

    /// Bytes that are authentic but not what they should be (a key holder's bug) do not break the index reader either.
    #[test]
    fn no_authentic_index_breaks_the_reader(body in proptest::collection::vec(any::<u8>(), 0..200), version in 0..3_u8) {
        let keys = keys();
        let mut body = body;
        body.insert(0, version);
        let context = keys.name().context(b"indx", &[&1_u64.to_be_bytes(), &80_u64.to_be_bytes()]);
        let sealed = keys.small(b"indx", 1).unwrap().seal(&context, &body).unwrap();
        let _ = open_footer(&keys, 1, 80, &sealed);
    }
}
