//! The reports in `fixtures/gitlab`, and the bodies that are composed from them.

use std::fs;
use std::path::{Path, PathBuf};

use quickdraw_domain::compose::{ComposeError, Happened, Instance, Scene, UploadLinks, User};
use quickdraw_domain::report::compose;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{GroupId, ProjectId, Timestamp, Trigger};
use serde_json::Value;
use serde_json::value::RawValue;

/// The folder of the reports, relative to the crate.
const FOLDER: &str = "../../fixtures/gitlab";

/// The instance that all bodies are composed for.
pub(crate) const INSTANCE: Instance<'_> = Instance {
    base_url: "https://git.example.com",
    upload_links: UploadLinks::ProjectPath,
};
/// The time of all reports.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_773_649_800);

/// A report and the body that is composed from it.
pub(crate) struct Report {
    /// The name of its trigger, which is the name of its folder.
    pub(crate) trigger: String,

    /// The rest of the name of its file, empty for `report.json`.
    pub(crate) variant: String,

    /// The composed body, as the sample beside the report has it.
    pub(crate) text: String,
}

impl Report {
    /// The composed body.
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).expect("a composed body is JSON")
    }
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)
}

pub(crate) fn project() -> Project {
    Project {
        id: ProjectId(15),
        group: GroupId(3),
        name: "Rope".into(),
        path_with_namespace: "gear/rope".into(),
        namespace: "Gear".into(),
        description: Some(String::new()),
        default_branch: Some("main".into()),
        visibility_level: 0,
        created_at: Timestamp::default(),
    }
}

fn group() -> Group {
    Group {
        id: GroupId(3),
        parent: None,
        name: "Gear".into(),
        full_path: "gear".into(),
        description: None,
        visibility_level: 0,
        created_at: Timestamp::default(),
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("JSON")
}

/// Composes the body of a report, which is the content of a fixture.
pub(crate) fn composed(trigger: Trigger, report: &Value) -> Result<Vec<u8>, ComposeError> {
    let user: User = serde_json::from_value(report["user"].clone()).unwrap_or_default();
    let (object, previous) = (raw(&report["object"]), report.get("previous").map(raw));
    let (project, group) = (project(), group());

    let scene = match report["scene"].as_str() {
        Some("group") => Scene::Group(&group),
        Some("instance") => Scene::Instance,
        _ => Scene::Project(&project),
    };

    let previous = previous.as_deref();
    compose(&Happened {
        trigger,
        scene,
        user: &user,
        object: &object,
        previous,
        instance: INSTANCE,
        at: NOW,
    })
}

/// Every report, in the order of triggers and variants.
pub(crate) fn reports() -> Vec<Report> {
    let accepts = std::env::var_os("QUICKDRAW_ACCEPT_SAMPLES").is_some();
    let mut found = Vec::new();

    for folder in entries(&fixtures()).into_iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let trigger = Trigger::by_name(&name).unwrap_or_else(|| panic!("{name} is no trigger"));

        for file in entries(&folder) {
            let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let Some(variant) = stem.strip_prefix("report") else {
                continue;
            };

            let report: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
            let body = composed(trigger, &report).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let text = serde_json::to_string_pretty(&body).expect("JSON") + "\n";

            if accepts {
                fs::write(folder.join(format!("sample{variant}.json")), &text).expect("written");
            }

            let variant = variant.trim_start_matches('-').to_owned();
            found.push(Report {
                trigger: name.clone(),
                variant,
                text,
            });
        }
    }

    found.sort_by(|a, b| (&a.trigger, &a.variant).cmp(&(&b.trigger, &b.variant)));
    found
}

/// The report of a variant of a trigger.
pub(crate) fn find<'a>(reports: &'a [Report], trigger: &str, variant: &str) -> &'a Report {
    let found = reports
        .iter()
        .find(|report| report.trigger == trigger && report.variant == variant);
    found.unwrap_or_else(|| panic!("{trigger} has no report {variant:?}"))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}
