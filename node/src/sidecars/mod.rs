//! Pictures and text beside a video: shown to whoever may see it, changed by whoever may edit it.

mod api;
mod change;

pub use change::{is_poster_chosen, loose_captions};

use crate::routes::Routes;

/// Adds the operations on pictures and captions.
pub fn configure(routes: &mut Routes) {
    routes.api(api::__path_poster_show, api::poster_show);
    routes.api(api::__path_poster_set, api::poster_set);
    routes.api(api::__path_storyboard_show, api::storyboard_show);
    routes.api(api::__path_storyboard_index, api::storyboard_index);
    routes.api(api::__path_waveform_show, api::waveform_show);
    routes.api(api::__path_captions_show, api::captions_show);
    routes.api(api::__path_captions_set, api::captions_set);
    routes.api(api::__path_captions_delete, api::captions_delete);
}
