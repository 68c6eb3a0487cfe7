//! Assets: what people see and handle. Lists, one asset, its description, and what one does with it.

mod actions;
mod bulk;
mod detail;
mod list;
mod view;

pub use actions::{
    asset_cancel, asset_hold, asset_publish, asset_purge, asset_release_hold, asset_restore, asset_retry,
    asset_trash, asset_unpublish,
};
pub use bulk::asset_bulk;
pub use detail::asset_detail;
pub use list::asset_list;
pub use view::{AccessView, AssetView, asset_update, asset_view};

use crate::routes::Routes;

/// Adds the operations.
pub fn configure(routes: &mut Routes) {
    routes.api(list::__path_asset_list, asset_list);
    routes.api(bulk::__path_asset_bulk, asset_bulk);
    routes.api(view::__path_asset_view, asset_view);
    routes.api(view::__path_asset_update, asset_update);
    routes.api(detail::__path_asset_detail, asset_detail);
    routes.api(actions::__path_asset_publish, asset_publish);
    routes.api(actions::__path_asset_unpublish, asset_unpublish);
    routes.api(actions::__path_asset_trash, asset_trash);
    routes.api(actions::__path_asset_restore, asset_restore);
    routes.api(actions::__path_asset_purge, asset_purge);
    routes.api(actions::__path_asset_hold, asset_hold);
    routes.api(actions::__path_asset_release_hold, asset_release_hold);
    routes.api(actions::__path_asset_retry, asset_retry);
    routes.api(actions::__path_asset_cancel, asset_cancel);
}
