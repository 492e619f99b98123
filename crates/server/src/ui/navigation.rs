//! The navigation of a place: its sections, in the order in which they are shown.

use super::place::{Level, Place};

/// A section of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    Overview,
    Projects,
    Hooks,
    Events,
    Deliveries,
    Replays,
    Sources,
    Gaps,
    Streams,
    Alerts,
    Inspectors,
    Notifications,
    Members,
    Tokens,
    Settings,
}

impl Section {
    /// Checks whether visitors of a portal can open the section.
    const fn is_of_portals(self) -> bool {
        matches!(self, Self::Hooks | Self::Events | Self::Deliveries)
    }

    /// The sections of a level with their names and addresses.
    const fn of(level: Level) -> &'static [(Self, &'static str, &'static str)] {
        match level {
            Level::Project | Level::Group | Level::Instance => &[
                (Self::Overview, "Overview", "overview"),
                (Self::Projects, "Subgroups and projects", "projects"),
                (Self::Hooks, "Webhooks", "hooks"),
                (Self::Events, "Events", "events"),
                (Self::Deliveries, "Deliveries", "deliveries"),
                (Self::Replays, "Replays", "replays"),
                (Self::Sources, "Sources", "sources"),
                (Self::Gaps, "Gaps", "gaps"),
                (Self::Streams, "Streams", "streams"),
                (Self::Alerts, "Alerts", "alerts"),
                (Self::Inspectors, "Inspectors", "inspectors"),
                (Self::Notifications, "Notifications", "notifications"),
                (Self::Members, "Members", "members"),
                (Self::Tokens, "Access tokens", "access_tokens"),
                (Self::Settings, "Settings", "settings"),
            ],
        }
    }

    /// Checks whether places of a level have the section.
    const fn is_at(self, level: Level) -> bool {
        match self {
            Self::Overview | Self::Hooks | Self::Events | Self::Deliveries => true,
            Self::Replays | Self::Gaps | Self::Streams | Self::Inspectors | Self::Notifications => true,
            Self::Projects => matches!(level, Level::Group),
            Self::Sources | Self::Alerts => matches!(level, Level::Instance),
            Self::Members | Self::Tokens | Self::Settings => !matches!(level, Level::Instance),
        }
    }
}

/// The sections of a place, as the navigation shows them.
#[derive(Default)]
pub(super) struct Sections(pub(super) Vec<Entry>);

/// A section with its address.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) href: String,
    pub(super) is_current: bool,
}

impl Sections {
    /// The sections of a place. Visitors of a portal see only those that the link is for.
    pub(super) fn of(place: &Place, current: Section, is_portal: bool) -> Self {
        let all = Section::of(place.level).iter();
        let at_level = all.filter(|(section, ..)| section.is_at(place.level));
        let shown = at_level.filter(|(section, ..)| !is_portal || section.is_of_portals());
        let entries = shown.map(|(section, name, page)| Entry {
            name,
            href: place.page(page),
            is_current: *section == current,
        });
        Self(entries.collect())
    }
}
