//! The mathematics of tone mapping: HDR code values (BT.2100, PQ or HLG, 10 bits, narrow range) to BT.709 code values (8 bits).
//!
//! It follows the chain that is customary with ffmpeg, `zscale=t=linear:npl=100,zscale=p=bt709,tonemap=hable:desat=0,
//! zscale=t=bt709:m=bt709`: display light relative to 100 cd/m², BT.709 primaries, Hable's curve on the strongest component
//! with the source's peak mapped to white, BT.1886 display gamma. The whole function is tabulated once on a lattice and read
//! by interpolation, so that the cost of a picture does not depend on it.

use crate::tracks::DynamicRange;

/// Points of the lattice along each axis: 26 MB in all. With half as many, saturated dark colours are off by six code values.
const POINTS: usize = 129;
/// Display light of 1.0, in cd/m².
const REFERENCE_WHITE: f32 = 100.0;
/// The peak of a source that names none, in cd/m².
pub(crate) const DEFAULT_PEAK: f32 = 1000.0;

/// A tabulated tone curve.
#[derive(Debug, Clone)]
pub(crate) struct ToneCurve {
    lattice: Vec<[f32; 3]>,
}

impl ToneCurve {
    /// The curve of a source with this brightness curve and peak in cd/m².
    pub(crate) fn new(range: DynamicRange, peak: f32) -> Self {
        let peak = (peak / REFERENCE_WHITE).clamp(1.0, 100.0);
        let axis = |position: usize| position as f32 * 1023.0 / (POINTS - 1) as f32;
        let mut lattice = Vec::with_capacity(POINTS * POINTS * POINTS);
        for y in 0..POINTS {
            for cb in 0..POINTS {
                for cr in 0..POINTS {
                    lattice.push(exact([axis(y), axis(cb), axis(cr)], range, peak));
                }
            }
        }
        Self { lattice }
    }

    /// The 8-bit code values for 10-bit ones.
    pub(crate) fn map(&self, code: [u16; 3]) -> [u8; 3] {
        let scale = (POINTS - 1) as f32 / 1023.0;
        let place = code.map(|value| f32::from(value.min(1023)) * scale);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside the lattice")]
        let cell = place.map(|value| (value as usize).min(POINTS - 2));
        let share: [f32; 3] = std::array::from_fn(|axis| place[axis] - cell[axis] as f32);
        let mut sum = [0.0_f32; 3];
        for corner in 0..8_usize {
            let step = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
            let weight: f32 =
                (0..3).map(|axis| if step[axis] == 1 { share[axis] } else { 1.0 - share[axis] }).product();
            let [y, cb, cr] = std::array::from_fn(|axis| cell[axis] + step[axis]);
            let value = self.lattice[(y * POINTS + cb) * POINTS + cr];
            for (total, part) in sum.iter_mut().zip(value) {
                *total += part * weight;
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "code values lie between 16 and 240"
        )]
        sum.map(|value| (value + 0.5) as u8)
    }
}

/// The function itself.
fn exact(code: [f32; 3], range: DynamicRange, peak: f32) -> [f32; 3] {
    let light = match range {
        DynamicRange::Hlg => hlg_light(rgb_of(code)),
        DynamicRange::Pq | DynamicRange::Standard => {
            rgb_of(code).map(|value| pq_light(value) * 10_000.0 / REFERENCE_WHITE)
        }
    };
    let light = to_bt709_primaries(light);
    let strongest = light.into_iter().fold(1e-6_f32, f32::max);
    let factor = hable(strongest) / hable(peak) / strongest;
    code_of(light.map(|value| (value * factor).clamp(0.0, 1.0).powf(1.0 / 2.4)))
}

/// BT.2020 non-linear R'G'B' of 10-bit narrow-range code values.
fn rgb_of([y, cb, cr]: [f32; 3]) -> [f32; 3] {
    let y = (y - 64.0) / 876.0;
    let (cb, cr) = ((cb - 512.0) / 896.0, (cr - 512.0) / 896.0);
    let (red, blue) = (y + 1.4746 * cr, y + 1.8814 * cb);
    let green = (y - 0.2627 * red - 0.0593 * blue) / 0.6780;
    [red, green, blue].map(|value| value.clamp(0.0, 1.0))
}

/// SMPTE ST 2084: light as a part of 10,000 cd/m².
fn pq_light(value: f32) -> f32 {
    const M1: f32 = 0.159_301_76;
    const M2: f32 = 78.84375;
    const C1: f32 = 0.835_937_5;
    const C2: f32 = 18.851_563;
    const C3: f32 = 18.6875;
    let power = value.powf(1.0 / M2);
    ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1)
}

/// ARIB STD-B67 on a display of 1,000 cd/m²: the scene's light, brightened by the system gamma of 1.2.
fn hlg_light(rgb: [f32; 3]) -> [f32; 3] {
    const A: f32 = 0.178_832_77;
    const B: f32 = 0.284_668_92;
    const C: f32 = 0.559_910_7;
    let scene = rgb
        .map(|value| if value <= 0.5 { value * value / 3.0 } else { (((value - C) / A).exp() + B) / 12.0 });
    let luminance = (0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2]).max(1e-6);
    let gain = luminance.powf(0.2) * 1000.0 / REFERENCE_WHITE;
    scene.map(|value| value * gain)
}

fn to_bt709_primaries([red, green, blue]: [f32; 3]) -> [f32; 3] {
    [
        1.660_491 * red - 0.587_641_1 * green - 0.072_849_86 * blue,
        -0.124_550_48 * red + 1.132_899_9 * green - 0.008_349_42 * blue,
        -0.018_150_76 * red - 0.100_578_9 * green + 1.118_729_7 * blue,
    ]
}

/// Hable's filmic curve.
fn hable(light: f32) -> f32 {
    let (a, b, c, d, e, f) = (0.15, 0.50, 0.10, 0.20, 0.02, 0.30);
    (light * (light * a + b * c) + d * e) / (light * (light * a + b) + d * f) - e / f
}

/// 8-bit narrow-range BT.709 code values of non-linear R'G'B'.
fn code_of([red, green, blue]: [f32; 3]) -> [f32; 3] {
    let y = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    [16.0 + 219.0 * y, 128.0 + 224.0 * (blue - y) / 1.8556, 128.0 + 224.0 * (red - y) / 1.5748]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_stays_black_and_grey_stays_grey() {
        let curve = ToneCurve::new(DynamicRange::Pq, DEFAULT_PEAK);
        assert_eq!(curve.map([64, 512, 512]), [16, 128, 128]);
        let mut last = 0;
        for code in (64..=900).step_by(20) {
            let [y, cb, cr] = curve.map([code, 512, 512]);
            assert!(y >= last && cb.abs_diff(128) <= 1 && cr.abs_diff(128) <= 1, "{code}: {y} {cb} {cr}");
            last = y;
        }
        assert!(last >= 230, "{last}");
    }

    #[test]
    fn the_table_is_true_to_the_function() {
        for range in [DynamicRange::Pq, DynamicRange::Hlg] {
            let curve = ToneCurve::new(range, DEFAULT_PEAK);
            for code in [[100, 500, 530], [333, 480, 600], [512, 512, 512], [700, 420, 560], [610, 600, 430]]
            {
                let wanted = exact(code.map(f32::from), range, DEFAULT_PEAK / REFERENCE_WHITE);
                for (got, wanted) in curve.map(code).into_iter().zip(wanted) {
                    assert!((f32::from(got) - wanted).abs() <= 2.0, "{range:?} {code:?}: {got} {wanted}");
                }
            }
        }
    }
}
