//! Makes a rendition's header the same whenever it is made: the muxer writes the time of day into it.

/// Sets all creation and modification times of a header to "unknown", so that a restart gives equal bytes.
pub(super) fn forget_time(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(&[a, b, c, d, e, f, g, h]) = bytes.get(at..at + 8).and_then(|head| head.first_chunk::<8>())
    {
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(inside) = bytes.get_mut(at + 8..at + size.max(8)) else {
            return;
        };
        match &[e, f, g, h] {
            b"moov" | b"trak" | b"mdia" => forget_time(inside),
            b"mvhd" | b"tkhd" | b"mdhd" => {
                let times = if inside.first() == Some(&1) { 16 } else { 8 };
                if let Some(times) = inside.get_mut(4..4 + times) {
                    times.fill(0);
                }
            }
            _ => {}
        }
        at += size.max(8);
    }
}

#[cfg(test)]
mod tests {
    use super::forget_time;

    fn boxed(kind: &[u8; 4], inside: &[u8]) -> Vec<u8> {
        let size = u32::try_from(inside.len() + 8).unwrap();
        [&size.to_be_bytes(), kind.as_slice(), inside].concat()
    }

    fn header(time: u8) -> Vec<u8> {
        let long = [&[1, 0, 0, 7][..], &[time; 16], &[9; 8]].concat();
        let short = [&[0, 0, 0, 7][..], &[time; 8], &[9; 8]].concat();
        let track =
            boxed(b"trak", &[boxed(b"tkhd", &long), boxed(b"mdia", &boxed(b"mdhd", &short))].concat());
        [boxed(b"ftyp", b"cmf2"), boxed(b"moov", &[boxed(b"mvhd", &long), track].concat())].concat()
    }

    #[test]
    fn only_the_times_are_forgotten() {
        let mut bytes = header(77);
        forget_time(&mut bytes);
        assert_eq!(bytes, header(0));
    }

    #[test]
    fn cut_headers_do_no_harm() {
        for length in 0..header(1).len() {
            forget_time(&mut header(1)[..length]);
        }
    }
}
