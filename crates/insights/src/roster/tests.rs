//! Tests of the examples of identities, and of matches that must not happen.

use super::*;
use crate::commits::Author;
use crate::people::User;
use quickdraw_domain::Timestamp;

fn handle(text: &str) -> Handle {
    Handle::try_from(text.to_owned()).expect("a handle")
}

fn handles(all: &[&str]) -> BTreeSet<Handle> {
    all.iter().map(|text| handle(text)).collect()
}

fn author(name: &str, email: &str) -> Author {
    Author {
        name: name.to_owned(),
        email: email.to_owned(),
    }
}

fn user(id: i64, username: &str, name: &str) -> User {
    User {
        id,
        seen_at: Timestamp::default(),
        username: username.to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn a_mailmap_maps_pairs_before_addresses() {
    let mut roster = Roster::default();
    let ann = roster.add_member("Ann", handles(&["ann@a"])).expect("added");
    let joe = roster.add_member("Joe", handles(&["joe@a"])).expect("added");
    let text = "# our team\nAnn <ann@a> Ann Old <ann@x>\n<joe@a> <joe@desk.local>\n";

    assert_eq!(roster.import_mailmap(text).map(|imported| imported.lines), Ok(2));

    let resolver = Resolver::new(&roster, &[]);
    assert_eq!(resolver.author(&author("ann old", "ANN@X")), Who::Member(ann));

    assert_eq!(
        resolver.author(&author("A.", "ann@x")),
        Who::Unmatched,
        "another name is another person"
    );

    assert_eq!(resolver.author(&author("someone", "Joe@Desk.local")), Who::Member(joe));

    let before = roster.clone();
    let errors = roster
        .import_mailmap("Ann <ann@a>\nno address here\n")
        .expect_err("a bad line");
    assert_eq!((errors.len(), errors[0].line), (1, 2));
    assert_eq!(roster, before, "nothing is imported");
}

#[test]
fn private_addresses_and_accounts_are_known_by_number_first() {
    let mut roster = Roster::default();
    let jo = roster.add_member("Jo", handles(&["#77"])).expect("added");
    let ida = roster.add_member("Ida", handles(&["@ida"])).expect("added");

    let users = [
        user(77, "jdoe", "Jo Doe"),
        user(78, "ida", "Ida"),
        user(79, "renovate", "Renovate"),
    ];
    let resolver = Resolver::new(&roster, &users);
    assert_eq!(
        resolver.author(&author("J", "77-jdoe@users.noreply.gitlab.example.com")),
        Who::Member(jo)
    );

    assert_eq!(
        resolver.author(&author("J", "jdoe@users.noreply.gitlab.example.com")),
        Who::Member(jo),
        "the older form without an id"
    );

    assert_eq!(
        (resolver.user(77), resolver.user(78), resolver.user(79)),
        (Who::Member(jo), Who::Member(ida), Who::Bot)
    );

    assert_eq!(resolver.author(&author("x", "[redacted]")), Who::Unmatched);
    assert_eq!(
        resolver.author(&author("CI", "project_7_bot_0f@noreply.gitlab.example.com")),
        Who::Bot
    );

    assert_eq!(resolver.author(&author("dependabot[bot]", "x@y")), Who::Bot);
    assert_eq!(
        resolver.author(&author("Abbott", "project_7_bot@home.example")),
        Who::Unmatched,
        "not an address of GitLab"
    );
}

#[test]
fn bots_are_known_by_their_display_names_unless_marked_as_people() {
    let users = [
        user(5, "duo-42", "GitLab Duo"),
        user(6, "ida", "Ida Bot"),
        user(7, "my-bot", "Mia"),
    ];
    let resolver = Resolver::new(&Roster::default(), &users);
    assert_eq!(
        (resolver.user(5), resolver.user(6), resolver.user(7)),
        (Who::Bot, Who::Unmatched, Who::Bot)
    );

    assert_eq!(resolver.author(&author("GitLab Duo", "duo@x.example")), Who::Bot);

    let mut roster = Roster::default();
    roster.mark(handle("#7"), Some(Mark::Person)).expect("marked");

    assert_eq!(
        Resolver::new(&roster, &users).user(7),
        Who::Unmatched,
        "marked as a person"
    );
}

#[test]
fn marks_are_switches_for_each_identity() {
    let mut roster = Roster::default();
    for (text, mark) in [
        ("@ghost", Mark::Person),
        ("ci@x", Mark::Bot),
        ("old@x", Mark::Ignored),
        ("ann@x", Mark::Bot),
    ] {
        roster.mark(handle(text), Some(mark)).expect("marked");
    }

    roster.add_member("Ann", handles(&["ann@x"])).expect("added");

    let of =
        |roster: &Roster, email: &str| Resolver::new(roster, &[user(5, "ghost", "Ghost")]).author(&author("n", email));
    assert_eq!(
        Resolver::new(&roster, &[user(5, "ghost", "Ghost")]).user(5),
        Who::Unmatched,
        "marked as a person"
    );

    assert_eq!(
        (of(&roster, "CI@x"), of(&roster, "old@x"), of(&roster, "ann@x")),
        (Who::Bot, Who::Ignored, Who::Bot)
    );

    roster.mark(handle("ci@x"), None).expect("removed");
    assert_eq!(of(&roster, "ci@x"), Who::Unmatched);
}

#[test]
fn an_address_belongs_to_one_member_and_errors_name_both() {
    let mut roster = Roster::default();
    let ann = roster.add_member("Ann", handles(&["a@x"])).expect("added");
    let error = roster
        .add_member("Bob", handles(&["A@X"]))
        .expect_err("it belongs to Ann");
    assert_eq!(
        error.to_string(),
        "a@x belongs to Ann (member 1); remove it there first, or merge both members"
    );

    let bob = roster.add_member("Bob", handles(&["b@x"])).expect("added");
    assert!(roster.change_member(bob, None, Some(handles(&["a@x"]))).is_err());
    roster.merge(bob, ann).expect("merged");

    let who = |roster: &Roster| Resolver::new(roster, &[]).author(&author("b", "b@x"));
    assert_eq!(who(&roster), Who::Member(ann));
    assert!(roster.merge(ann, bob).is_err(), "no circles");

    let cy = roster.add_member("Cy", BTreeSet::new()).expect("added");
    roster.merge(ann, cy).expect("merged");

    assert!(
        roster.merge(ann, bob).is_err() && roster.merge(cy, bob).is_err(),
        "no longer circles either"
    );

    roster.unmerge(ann).expect("unmerged");
    roster.unmerge(bob).expect("unmerged");
    assert_eq!(who(&roster), Who::Member(bob));
    roster.merge(bob, ann).expect("merged");
    roster.delete_member(ann).expect("deleted");
    assert_eq!(who(&roster), Who::Member(bob), "a member of its own again");
}

#[test]
fn teams_have_dates() {
    let mut roster = Roster::default();
    let ann = roster.add_member("Ann", BTreeSet::new()).expect("added");
    let team = roster.add_team("Ropes").expect("added");
    let day = |text: &str| Some(text.parse().expect("a date"));

    let spring = Enrolment {
        member: ann,
        from: day("2026-03-01"),
        to: day("2026-06-01"),
    };
    roster.enrol(team, spring.clone()).expect("enrolled");
    roster.enrol(team, spring.clone()).expect("repeated");
    assert_eq!(roster.teams()[&team].people, [spring]);

    assert!(
        roster
            .enrol(
                team,
                Enrolment {
                    member: ann,
                    from: day("2026-05-31"),
                    to: None
                }
            )
            .is_err(),
        "overlaps"
    );

    roster
        .enrol(
            team,
            Enrolment {
                member: ann,
                from: day("2026-06-01"),
                to: None,
            },
        )
        .expect("enrolled again later");

    assert!(
        roster
            .enrol(
                team,
                Enrolment {
                    member: ann,
                    from: day("2026-03-01"),
                    to: day("2026-03-01")
                }
            )
            .is_err()
    );

    assert!(roster.add_team("Ropes").is_err());
    roster.leave(team, ann).expect("left");
    assert!(roster.leave(team, ann).is_err());
}

#[test]
fn csv_comes_back_as_it_was_written() {
    let text = "member,team,email,username,from,to\nAnn,Ropes,ann@a,ann,2026-03-01,\nAnn,,ann@x,#7,,\nBob,Ropes,bob@a,,,2026-06-01\n";
    let mut roster = Roster::default();
    let imported = roster.import_csv(text).expect("read");
    assert_eq!((imported.lines, imported.members, imported.teams), (3, 2, 1));
    assert_eq!(roster.members()[&1].handles, handles(&["ann@a", "ann@x", "@ann", "#7"]));

    let before = roster.clone();
    roster.import_csv(&roster.to_csv()).expect("read");
    assert_eq!(roster, before, "an export changes nothing");

    let mut other = Roster::default();
    other.import_csv(&before.to_csv()).expect("read");
    assert_eq!(other.to_csv(), before.to_csv());

    let mut namesakes = roster.clone();
    for handle in ["i1@x", "i2@x"] {
        namesakes.add_member("Ida", handles(&[handle])).expect("added");
    }

    namesakes.add_member("=HYPERLINK(1)", BTreeSet::new()).expect("added");

    let written = namesakes.to_csv();
    assert!(
        written.contains("#5,,i2@x,,,") && written.contains("'=HYPERLINK"),
        "{written}"
    );

    let copy = namesakes.clone();
    namesakes.import_csv(&written).expect("read");
    assert_eq!(namesakes, copy);

    let errors = namesakes
        .import_csv("member,team,email,username,from,to\nIda,,i3@x,,,\n")
        .expect_err("ambiguous");
    assert!(
        errors[0].message.contains("several members are named Ida"),
        "{errors:?}"
    );

    for (bad, line, part) in [
        ("name,team\n", 1, "the first line must be member,team,email"),
        (
            "member,team,email,username,from,to\n,x,,,,\n",
            2,
            "the first field is empty",
        ),
        (
            "member,team,email,username,from,to\nCy,,ann@a,,,\n",
            2,
            "ann@a belongs to Ann",
        ),
        ("member,team,email,username,from,to\nCy,,,,2026-01-01,\n", 2, "no team"),
        ("member,team,email,username,from,to\nCy,T,,,soon,\n", 2, "not a date"),
        ("member,team,email,username,from,to\nCy,T,,,\n", 2, "6"),
    ] {
        let errors = roster.import_csv(bad).expect_err(bad);
        assert!(
            errors[0].line == line && errors[0].message.contains(part),
            "{bad}: {errors:?}"
        );
    }

    assert_eq!(roster, before);
}

#[test]
fn suggestions_have_reasons_and_are_no_merges() {
    let mut roster = Roster::default();
    let ann = roster.add_member("Ann Lee", handles(&["#5"])).expect("added");
    let bob = roster.add_member("Guillaume", handles(&["@gui"])).expect("added");
    let users = [user(5, "alee", "Ann L."), user(6, "gui", "Gui"), user(7, "gui2", "Gui")];
    let resolver = Resolver::new(&roster, &users);

    let of = |name: &str, email: &str| -> Vec<(i64, f64)> {
        assert_eq!(resolver.author(&author(name, email)), Who::Unmatched);
        resolver
            .suggestions(&author(name, email))
            .iter()
            .map(|found| (found.member, found.score))
            .collect()
    };
    assert_eq!(of("ann lee", "x@y"), [(ann, 0.8)]);
    assert_eq!(of("Ann L.", "x@y"), [(ann, 0.7)]);
    assert_eq!(of("somebody", "gui+git@y"), [(bob, 0.5)]);
    assert_eq!(of("Guillaume", "x@y"), [], "one word does not identify a person");
    assert_eq!(of("Gui", "x@y"), [], "two accounts have it");
    assert_eq!(of("root", "gui@y"), []);
}
