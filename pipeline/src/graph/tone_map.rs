//! The element that turns HDR pictures into BT.709 ones.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::subclass::prelude::ObjectSubclassIsExt;

use super::tone_curve::{DEFAULT_PEAK, ToneCurve};
use crate::tracks::DynamicRange;

glib::wrapper! {
    /// The element; made by [`ToneMap::of`].
    pub struct ToneMap(ObjectSubclass<element::ToneMap>)
        @extends gstreamer_video::VideoFilter, gstreamer_base::BaseTransform, gst::Element, gst::Object;
}

impl ToneMap {
    /// An element for pictures of this brightness curve, whose caps may tell their peak.
    pub(crate) fn of(range: DynamicRange, caps: &gst::Caps) -> Self {
        let element: Self = glib::Object::new();
        // A new object's cell is empty, so this cannot find it filled.
        let _ = element.imp().curve.set(ToneCurve::new(range, peak_of(caps)));
        element
    }
}

/// The brightest light of the source in cd/m²: its content's, else its mastering display's, else the usual.
fn peak_of(caps: &gst::Caps) -> f32 {
    let field = |name: &str| caps.structure(0).and_then(|structure| structure.get::<String>(name).ok());
    let number = |text: &str, position: usize| {
        text.split(':').nth(position).and_then(|part| part.trim().parse::<f32>().ok())
    };
    let content = field("content-light-level").and_then(|text| number(&text, 0));
    let mastering =
        field("mastering-display-info").and_then(|text| number(&text, 8)).map(|units| units / 10_000.0);
    content.filter(|peak| *peak > 0.0).or(mastering.filter(|peak| *peak > 0.0)).unwrap_or(DEFAULT_PEAK)
}

mod element {
    use std::sync::{LazyLock, OnceLock};

    use gstreamer as gst;
    use gstreamer::glib;
    use gstreamer::subclass::prelude::{ElementImpl, GstObjectImpl, ObjectImpl, ObjectSubclass};
    use gstreamer_base::subclass::BaseTransformMode;
    use gstreamer_base::subclass::prelude::BaseTransformImpl;
    use gstreamer_video::prelude::VideoFrameExt;
    use gstreamer_video::subclass::prelude::VideoFilterImpl;
    use gstreamer_video::{VideoFrameRef, VideoInfo};

    use super::ToneCurve;

    /// State of one element.
    #[derive(Debug, Default)]
    pub struct ToneMap {
        pub(super) curve: OnceLock<ToneCurve>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ToneMap {
        const NAME: &'static str = "MediakeepToneMap";
        type Type = super::ToneMap;
        type ParentType = gstreamer_video::VideoFilter;
    }

    impl ObjectImpl for ToneMap {}
    impl GstObjectImpl for ToneMap {}

    fn template(name: &str, direction: gst::PadDirection, format: &str) -> Option<gst::PadTemplate> {
        let caps = gst::Caps::builder("video/x-raw").field("format", format).build();
        // Made of constants; were it refused, every test of this element would fail.
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
    }

    impl ElementImpl for ToneMap {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Tone map",
                    "Filter/Converter/Video",
                    "HDR to BT.709",
                    "mediakeep",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let sink = template("sink", gst::PadDirection::Sink, "I420_10LE");
                sink.into_iter().chain(template("src", gst::PadDirection::Src, "I420")).collect()
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for ToneMap {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let mut other = caps.clone();
            for structure in other.make_mut().iter_mut() {
                structure.remove_fields([
                    "colorimetry",
                    "chroma-site",
                    "mastering-display-info",
                    "content-light-level",
                ]);
                if direction == gst::PadDirection::Sink {
                    structure.set("format", "I420");
                    structure.set("colorimetry", "bt709");
                } else {
                    structure.set("format", "I420_10LE");
                }
            }
            Some(filter.map_or(other.clone(), |filter| {
                filter.intersect_with_mode(&other, gst::CapsIntersectMode::First)
            }))
        }
    }

    impl VideoFilterImpl for ToneMap {
        fn set_info(
            &self,
            _: &gst::Caps,
            _: &VideoInfo,
            _: &gst::Caps,
            _: &VideoInfo,
        ) -> Result<(), gst::LoggableError> {
            Ok(())
        }

        fn transform_frame(
            &self,
            input: &VideoFrameRef<&gst::BufferRef>,
            output: &mut VideoFrameRef<&mut gst::BufferRef>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let curve = self.curve.get().ok_or(gst::FlowError::NotNegotiated)?;
            let (width, height) = (input.width() as usize, input.height() as usize);
            map_plane(curve, input, output, 0, (width, height)).ok_or(gst::FlowError::Error)?;
            let half = (width.div_ceil(2), height.div_ceil(2));
            map_plane(curve, input, output, 1, half).ok_or(gst::FlowError::Error)?;
            map_plane(curve, input, output, 2, half).ok_or(gst::FlowError::Error)?;
            Ok(gst::FlowSuccess::Ok)
        }
    }

    /// Rows of 10-bit samples.
    struct Samples<'frame> {
        bytes: &'frame [u8],
        stride: usize,
    }

    impl Samples<'_> {
        fn row(&self, row: usize) -> Option<&[[u8; 2]]> {
            Some(self.bytes.get(row * self.stride..)?.as_chunks::<2>().0)
        }
    }

    fn samples<'frame>(frame: &'frame VideoFrameRef<&gst::BufferRef>, plane: u32) -> Option<Samples<'frame>> {
        let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
        Some(Samples { bytes: frame.plane_data(plane).ok()?, stride })
    }

    /// Makes one plane of the output. Every sample looks at all three planes, since tone mapping mixes them.
    fn map_plane(
        curve: &ToneCurve,
        input: &VideoFrameRef<&gst::BufferRef>,
        output: &mut VideoFrameRef<&mut gst::BufferRef>,
        plane: u32,
        (width, height): (usize, usize),
    ) -> Option<()> {
        let [luma, blue, red] = [samples(input, 0)?, samples(input, 1)?, samples(input, 2)?];
        let stride = usize::try_from(*output.plane_stride().get(plane as usize)?).ok()?;
        let target = output.plane_data_mut(plane).ok()?;
        let (luma_step, chroma_shift) = if plane == 0 { (1, 1) } else { (2, 0) };
        for row in 0..height {
            let line = luma.row((row * luma_step).min(input.height() as usize - 1))?;
            let (blue, red) = (blue.row(row >> chroma_shift)?, red.row(row >> chroma_shift)?);
            let target = target.get_mut(row * stride..row * stride + width)?;
            for (column, sample) in target.iter_mut().enumerate() {
                let chroma = column >> chroma_shift;
                let code = [line.get(column * luma_step)?, blue.get(chroma)?, red.get(chroma)?]
                    .map(|two| u16::from_le_bytes(*two));
                *sample = curve.map(code)[plane as usize];
            }
        }
        Some(())
    }
}
