//! The style sheet and the script. Their names contain the hash of their content, so browsers keep them for ever.

use std::sync::{Arc, OnceLock};

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::Ui;
use super::error::PageError;
use crate::files::{File, Keep};

/// Names of the files, for the frame of each page.
pub(super) struct Names {
    pub(super) style: String,
    pub(super) script: String,
}

static NAMES: OnceLock<Names> = OnceLock::new();

/// The names of the files.
pub(super) fn names() -> &'static Names {
    NAMES.get_or_init(|| Assets::new().names())
}

/// The files that all pages load.
pub(super) struct Assets {
    style: File,
    script: File,
}

impl Assets {
    pub(super) fn new() -> Self {
        let style = include_bytes!("../../assets/ui.css");
        let script = include_bytes!("../../assets/ui.js");
        Self {
            style: File::pack(style, "text/css; charset=utf-8", Keep::Forever),
            script: File::pack(script, "text/javascript; charset=utf-8", Keep::Forever),
        }
    }

    fn names(&self) -> Names {
        Names {
            style: self.style.name("ui", "css"),
            script: self.script.name("ui", "js"),
        }
    }
}

/// Sends a file.
pub(super) async fn show(
    State(ui): State<Arc<Ui>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let names = names();
    let file = match name {
        name if name == names.style => &ui.assets.style,
        name if name == names.script => &ui.assets.script,
        _ => return Err(PageError::Missing),
    };

    Ok(file.answer(&headers).into_response())
}
