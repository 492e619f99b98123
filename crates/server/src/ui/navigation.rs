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
    Connect,
    Gaps,
    Streams,
    Alerts,
    Inspectors,
    Notifications,
    Members,
    Users,
    Tokens,
    Audit,
    Health,
    Guard,
    SupportBundle,
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
                (Self::Connect, "Connect GitLab", "connect"),
                (Self::Gaps, "Gaps", "gaps"),
                (Self::Streams, "Streams", "streams"),
                (Self::Alerts, "Alerts", "alerts"),
                (Self::Inspectors, "Inspectors", "inspectors"),
                (Self::Notifications, "Notifications", "notifications"),
                (Self::Members, "Members", "members"),
                (Self::Users, "Users", "users"),
                (Self::Tokens, "Access tokens", "access_tokens"),
                (Self::Audit, "Audit log", "audit"),
                (Self::Health, "Health", "health"),
                (Self::Guard, "Guard", "guard"),
                (Self::SupportBundle, "Support bundle", "support_bundle"),
                (Self::Settings, "Settings", "settings"),
            ],
        }
    }

    /// Checks whether places of a level have the section.
    const fn is_at(self, level: Level) -> bool {
        match self {
            Self::Overview | Self::Hooks | Self::Events | Self::Deliveries => true,
            Self::Replays | Self::Gaps | Self::Streams | Self::Inspectors | Self::Notifications => true,
            Self::Sources | Self::Connect | Self::Alerts => matches!(level, Level::Instance),
            Self::Tokens | Self::Settings => true,
            Self::Projects => matches!(level, Level::Group),
            Self::Members => !matches!(level, Level::Instance),
            Self::Users | Self::Audit | Self::Health | Self::Guard | Self::SupportBundle => {
                matches!(level, Level::Instance)
            }
        }
    }

    /// The heading above the section. Only the instance has so many sections that it needs headings.
    const fn part(self, level: Level) -> &'static str {
        if !matches!(level, Level::Instance) {
            return "";
        }

        match self {
            Self::Users
            | Self::Tokens
            | Self::Audit
            | Self::Health
            | Self::Guard
            | Self::SupportBundle
            | Self::Settings => "Administration",
            _ => "Relay",
        }
    }
}

/// The sections of a place, as the navigation shows them.
#[derive(Default)]
pub(super) struct Sections(pub(super) Vec<Entry>);

/// A section with its address.
#[derive(Default)]
pub(super) struct Entry {
    /// A heading above the entry; empty if it has none.
    pub(super) heading: &'static str,
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

        let mut entries = Vec::new();
        let mut heading = "";
        for (section, name, page) in shown {
            let part = section.part(place.level);
            entries.push(Entry {
                heading: if part == heading { "" } else { part },
                name,
                href: place.page(page),
                is_current: *section == current,
            });
            heading = part;
        }

        Self(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_instance_has_one_heading() {
        let sections = Sections::of(&Place::instance(), Section::Health, false);
        let headings: Vec<&str> = sections.0.iter().map(|entry| entry.heading).collect();
        let shown: Vec<&str> = headings.iter().copied().filter(|text| !text.is_empty()).collect();
        assert_eq!(
            (shown.as_slice(), headings[0]),
            (["Relay", "Administration"].as_slice(), "Relay")
        );
    }
}
