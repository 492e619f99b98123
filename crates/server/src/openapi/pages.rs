//! The description as JSON for programs, and as two pages for people: the viewer, and a plain page without scripts.

use std::collections::HashMap;

use bytes::Bytes;
use utoipa::openapi::OpenApi;

use super::complete;
use super::page::{Names, Page};
use crate::files::{File, Keep};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// All files of the description, ready to be sent.
pub(super) struct Pages {
    pub(super) description: File,
    pub(super) viewer: File,
    pub(super) plain: File,

    /// Scripts and styles by name. A name contains the hash of the content.
    pub(super) assets: HashMap<String, File>,
}

impl Pages {
    pub(super) fn of(description: OpenApi) -> Self {
        let description = complete(description);

        let mut assets = HashMap::new();
        let mut add = |file: File, stem: &str, end: &str| {
            let name = file.name(stem, end);
            assets.insert(name.clone(), file);
            name
        };

        let style = File::pack(include_bytes!("../../assets/api.css"), STYLE, Keep::Forever);
        let script = File::pack(include_bytes!("../../assets/api.js"), SCRIPT, Keep::Forever);
        let viewer = include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js.gz");
        let viewer = File::packed(Bytes::from_static(viewer), SCRIPT, Keep::Forever);
        let viewer_style = include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz");
        let viewer_style = File::packed(Bytes::from_static(viewer_style), STYLE, Keep::Forever);

        let names = Names {
            style: add(style, "api", "css"),
            script: add(script, "api", "js"),
            viewer: add(viewer, "swagger-ui", "js"),
            viewer_style: add(viewer_style, "swagger-ui", "css"),
        };
        let page = Page::of(&description, names);

        Self {
            description: File::pack(description.to_string().as_bytes(), "application/json", Keep::Ask),
            viewer: File::pack(page.viewer().as_bytes(), HTML, Keep::Ask),
            plain: File::pack(page.plain().as_bytes(), HTML, Keep::Ask),
            assets,
        }
    }
}
