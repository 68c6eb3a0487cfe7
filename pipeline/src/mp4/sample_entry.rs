//! RFC 6381 codec strings from sample entries.
use super::boxes::{Fields, Kind, Mp4Error, find, optional};

/// Bytes of a visual sample entry before its boxes.
const VISUAL: usize = 78;
/// Bytes of an audio sample entry before its boxes.
const AUDIO: usize = 28;

/// The codec string of the sample entry of that kind.
pub(super) fn codec_string(kind: Kind, entry: &[u8]) -> Result<String, Mp4Error> {
    let children = |skip: usize| entry.get(skip..).ok_or(Mp4Error::Cut);
    match &kind {
        b"avc1" | b"avc3" => avc(kind, find(children(VISUAL)?, "avcC")?.payload),
        b"hvc1" | b"hev1" => hevc(kind, find(children(VISUAL)?, "hvcC")?.payload),
        b"av01" => av1(find(children(VISUAL)?, "av1C")?.payload),
        b"vp09" => vp9(find(children(VISUAL)?, "vpcC")?.payload),
        b"mp4a" => mpeg4_audio(children(AUDIO)?),
        b"Opus" => Ok("Opus".to_owned()),
        b"fLaC" => Ok("fLaC".to_owned()),
        b"ac-3" | b"ec-3" | b"wvtt" | b"stpp" => Ok(String::from_utf8_lossy(&kind).into_owned()),
        _ => Err(Mp4Error::Unsupported("sample entry")),
    }
}

fn name(kind: Kind) -> String {
    String::from_utf8_lossy(&kind).into_owned()
}

/// `avc1.PPCCLL`: profile, constraints and level in hexadecimal.
fn avc(kind: Kind, config: &[u8]) -> Result<String, Mp4Error> {
    let [_, profile, constraints, level] = Fields::new(config).array()?;
    Ok(format!("{}.{profile:02x}{constraints:02x}{level:02x}", name(kind)))
}

/// `hvc1.1.6.L93.B0`: profile space and number, compatibility flags reversed, tier and level, constraints.
fn hevc(kind: Kind, config: &[u8]) -> Result<String, Mp4Error> {
    let mut fields = Fields::new(config);
    fields.u8()?;
    let first = fields.u8()?;
    let compatibility = fields.u32()?.reverse_bits();
    let constraints: [u8; 6] = fields.array()?;
    let level = fields.u8()?;
    let space = ["", "A", "B", "C"][usize::from(first >> 6)];
    let tier = if first & 0x20 == 0 { 'L' } else { 'H' };
    let mut text = format!("{}.{space}{}.{compatibility:X}.{tier}{level}", name(kind), first & 0x1f);
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        text.push_str(&format!(".{byte:X}"));
    }
    Ok(text)
}

/// `av01.P.LLT.DD`: profile, level, tier, depth.
fn av1(config: &[u8]) -> Result<String, Mp4Error> {
    let [_, second, third, _] = Fields::new(config).array()?;
    let (profile, level) = (second >> 5, second & 0x1f);
    let tier = if third & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (third & 0x40 != 0, third & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Ok(format!("av01.{profile}.{level:02}{tier}.{depth:02}"))
}

/// `vp09.PP.LL.DD`: profile, level, depth.
fn vp9(config: &[u8]) -> Result<String, Mp4Error> {
    let mut fields = Fields::new(config);
    fields.version_and_flags()?;
    let (profile, level, third) = (fields.u8()?, fields.u8()?, fields.u8()?);
    Ok(format!("vp09.{profile:02}.{level:02}.{:02}", third >> 4))
}

/// `mp4a.40.2`: object type of the elementary stream, and the audio object type of its configuration.
fn mpeg4_audio(children: &[u8]) -> Result<String, Mp4Error> {
    let esds = optional(children, "esds")?.ok_or(Mp4Error::Missing("esds"))?.payload;
    let mut fields = Fields::new(esds);
    fields.version_and_flags()?;
    descriptor(&mut fields, 0x03)?;
    fields.u16()?;
    let flags = fields.u8()?;
    if flags & 0x80 != 0 {
        fields.u16()?;
    }
    if flags & 0x40 != 0 {
        let length = fields.u8()?;
        fields.take(usize::from(length))?;
    }
    if flags & 0x20 != 0 {
        fields.u16()?;
    }
    descriptor(&mut fields, 0x04)?;
    let object_type = fields.u8()?;
    if object_type != 0x40 {
        return Ok(format!("mp4a.{object_type:02x}"));
    }
    fields.take(12)?;
    descriptor(&mut fields, 0x05)?;
    let config = fields.u16()?.to_be_bytes();
    let audio_object = match config[0] >> 3 {
        // 31 escapes to six more bits.
        31 => 32 + ((config[0] & 0x07) << 3 | config[1] >> 5),
        small => small,
    };
    Ok(format!("mp4a.40.{audio_object}"))
}

/// Reads the tag and the length (seven bits a byte) of a descriptor.
fn descriptor(fields: &mut Fields<'_>, tag: u8) -> Result<(), Mp4Error> {
    if fields.u8()? != tag {
        return Err(Mp4Error::Bad("esds"));
    }
    for _ in 0..4 {
        if fields.u8()? & 0x80 == 0 {
            return Ok(());
        }
    }
    Err(Mp4Error::Bad("esds"))
}
