//! Pages of projects and groups: start pages, overviews, search, members, access tokens, settings, and new ones.

use serde_json::json;

use crate::access::People;
use crate::http::eventually;
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

const HOSTILE: &str = "<script>alert(1)</script>\"'";

fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

/// A group and a project with a hostile name and description.
fn hostile(engine: &Engine) -> Server {
    let server = start(engine);
    let text = json!({ "name": HOSTILE, "description": HOSTILE }).to_string();
    server.call("PUT", "/api/v4/groups/gear", &text).checked(200);
    server.call("PUT", "/api/v4/projects/1", &text).checked(200);
    server
}

fn check_shows_text(page: &str, path: &str) {
    assert!(page.contains("&#60;script&#62;alert(1)"), "{path}: {page}");
    assert!(!page.contains("<script>alert"), "{path}");
}

pub(crate) fn an_empty_instance_shows_the_first_steps(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let page = Visitor::admin(&server).page("/");
    for step in ["Receive from GitLab", "Send from your platform", "Look at a demo"] {
        assert!(page.contains(step), "{step}");
    }

    server.make_project();
    assert!(!Visitor::admin(&server).page("/").contains("Look at a demo"));
}

pub(crate) fn the_start_page_filters_projects_and_groups(engine: Engine) {
    let server = start(&engine);
    let admin = Visitor::admin(&server);
    let page = admin.page("/?filter=rop");
    assert!(page.contains(r#"href="/gear/rope""#) && !page.contains(r#"href="/groups/gear""#));
    assert!(admin.page("/?filter=nothing").contains("No group and no project"));
}

pub(crate) fn the_start_page_of_a_group_lists_its_subgroups_and_projects(engine: Engine) {
    let server = start(&engine);
    server.create(
        "/api/v4/groups",
        &json!({ "name": "Ice", "path": "ice", "parent_id": 1 }),
    );

    let page = Visitor::admin(&server).page("/groups/gear");
    assert!(page.contains(r#"href="/groups/gear/ice""#) && page.contains(r#"href="/gear/rope""#));
}

pub(crate) fn start_pages_keep_other_addresses_free(engine: Engine) {
    let server = start(&engine);
    let admin = Visitor::admin(&server);
    assert!(
        admin
            .open("/api/v5/projects")
            .checked(404)
            .content_type()
            .contains("json")
    );
    let reply = server.call("POST", "/gear/rope", "{}");
    assert!(reply.checked(404).content_type().contains("json"));
    admin.open("/gear/nothing").checked(404);
}

pub(crate) fn the_overview_begins_with_what_needs_attention(engine: Engine) {
    let server = start(&engine);
    let admin = Visitor::admin(&server);
    for path in ["/gear/rope", "/groups/gear/-/overview", "/admin"] {
        assert!(admin.page(path).contains("needs attention."), "{path}");
    }

    // The guard refuses the address at the time of the call.
    server.make_hook("http://closed.invalid/in", "");
    server.report(1).expect("a report");
    eventually("the webhook fails", || admin.page("/admin").contains("closed.invalid"));
    let page = admin.page("/groups/gear/-/overview");
    assert!(page.contains(r#"href="/gear/rope/-/hooks/1""#), "{page}");
}

pub(crate) fn members_without_a_higher_role_see_the_facts_of_a_project_only(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (id, token) = people.make("dana", "api");
    people.add("projects/1", id, 30);

    let dana = Visitor::signed_in(&server, &token);
    assert!(dana.page("/gear/rope").contains("Maintainers see its webhooks"));
    dana.open("/groups/gear").checked(404);
    dana.open("/admin").checked(403);
}

pub(crate) fn the_search_box_leads_to_pages(engine: Engine) {
    let server = start(&engine);
    server.make_hook("https://ci.example.com/in", r#","name":"Rope CI""#);
    let page = Visitor::admin(&server).page("/-/search?q=rope");
    for address in ["/gear/rope", "/gear/rope/-/hooks/1"] {
        assert!(page.contains(&format!(r#"href="{address}""#)), "{address}");
    }

    let page = Visitor::admin(&server).page("/-/search?q=%3Cscript%3Ealert(1)");
    assert!(page.contains("Nothing was found"));
    check_shows_text(&page, "search");
}

pub(crate) fn a_member_is_added_changed_and_removed_in_the_browser(engine: Engine) {
    let server = start(&engine);
    let (id, _) = People { server: &server }.make("dana", "api");
    let admin = Visitor::admin(&server);
    let list = "/groups/gear/-/members";
    let member = format!("{list}/{id}");
    let shown = || server.get(&format!("/api/v4/groups/gear/members/{id}"));

    let fields = [
        ("username", "dana"),
        ("access_level", "30"),
        ("expires_at", "2099-01-02"),
    ];
    admin.submit(list, &fields).checked(303);
    assert_eq!(
        (shown()["access_level"].as_i64(), shown()["expires_at"].as_str()),
        (Some(30), Some("2099-01-02"))
    );

    admin
        .submit(&member, &[("access_level", "50"), ("expires_at", "")])
        .checked(303);
    assert_eq!(
        (shown()["access_level"].as_i64(), shown()["expires_at"].as_str()),
        (Some(50), None)
    );

    assert!(
        admin
            .submit(&member, &[("remove", "true")])
            .checked(200)
            .body
            .contains("Remove member?")
    );
    let reply = admin
        .submit(&member, &[("remove", "true"), ("confirmed", "true")])
        .checked(303);
    assert!(
        admin
            .page(reply.header("location").expect("an address"))
            .contains("The member is removed.")
    );
    server
        .call("GET", &format!("/api/v4/groups/gear/members/{id}"), "")
        .checked(404);
}

pub(crate) fn an_unknown_username_is_an_error_of_its_field(engine: Engine) {
    let server = start(&engine);
    let fields = [("username", HOSTILE), ("access_level", "30")];
    let reply = Visitor::admin(&server).submit("/gear/rope/-/members", &fields);
    reply.check_refusal(422, "No user has this username");
    check_shows_text(&reply.body, "members");
}

pub(crate) fn a_maintainer_gives_no_higher_role_in_the_browser(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (id, token) = people.make("mia", "api");
    people.make("dana", "api");
    people.add("projects/1", id, 40);

    let mia = Visitor::signed_in(&server, &token);
    let fields = [("username", "dana"), ("access_level", "50")];
    mia.submit("/gear/rope/-/members", &fields)
        .check_refusal(422, "Nobody can give a role above their own");
}

pub(crate) fn an_access_token_is_made_shown_once_and_revoked(engine: Engine) {
    let server = start(&engine);
    let admin = Visitor::admin(&server);
    let list = "/gear/rope/-/access_tokens";
    let fields = [("name", HOSTILE), ("scopes", "report"), ("access_level", "40")];
    let page = admin.submit(list, &fields).checked(200).body;
    check_shows_text(&page, "new token");

    let token = page.split(r#"<code id="token">"#).nth(1).expect("a token");
    let token = token.split('<').next().expect("its text");
    assert!(!token.is_empty());
    let page = admin.page("/gear/rope/-/settings/access_tokens");
    assert!(!page.contains(token));
    check_shows_text(&page, "tokens");

    let id = server.get("/api/v4/projects/1/access_tokens")[0]["id"].to_string();
    let address = format!("{list}/{id}");
    assert!(
        admin
            .submit(&address, &[])
            .checked(200)
            .body
            .contains("Revoke access token?")
    );
    admin.submit(&address, &[("confirmed", "true")]).checked(303);
    assert_eq!(server.get("/api/v4/projects/1/access_tokens?state=active"), json!([]));
}

pub(crate) fn a_token_without_a_scope_is_refused_beside_the_scopes(engine: Engine) {
    let server = start(&engine);
    Visitor::admin(&server)
        .submit(
            "/groups/gear/-/access_tokens",
            &[("name", "ci"), ("access_level", "40")],
        )
        .check_refusal(422, "Choose at least one scope");
}

pub(crate) fn settings_are_saved_and_lead_to_the_new_path(engine: Engine) {
    let server = start(&engine);
    let fields = [
        ("name", "Line"),
        ("path", "line"),
        ("description", "Long"),
        ("visibility", "public"),
    ];
    let reply = Visitor::admin(&server)
        .submit("/gear/rope/-/settings", &fields)
        .checked(303);
    assert_eq!(reply.header("location"), Some("/gear/line/-/settings?done=saved"));

    let shown = server.get("/api/v4/projects/1");
    assert_eq!(
        (&shown["name"], &shown["visibility"]),
        (&json!("Line"), &json!("public"))
    );
}

pub(crate) fn a_refused_path_is_an_error_of_its_field(engine: Engine) {
    let server = start(&engine);
    let fields = [("name", HOSTILE), ("path", "a b"), ("visibility", "private")];
    let reply = Visitor::admin(&server)
        .submit("/groups/gear/-/settings", &fields)
        .checked(422);
    assert!(reply.body.contains(r##"href="#path""##) && reply.body.contains(r#"value="a b""#));
    check_shows_text(&reply.body, "settings");
}

pub(crate) fn a_project_is_moved_in_the_browser(engine: Engine) {
    let server = start(&engine);
    server.create("/api/v4/groups", &json!({ "name": "Ice", "path": "ice" }));
    let admin = Visitor::admin(&server);
    let page = "/gear/rope/-/settings/transfer";
    admin
        .submit(page, &[("namespace", "nothing")])
        .check_refusal(422, "There is no such group");

    let reply = admin.submit(page, &[("namespace", "ice")]).checked(303);
    assert_eq!(reply.header("location"), Some("/ice/rope/-/settings?done=moved"));
}

pub(crate) fn a_project_is_deleted_when_its_path_is_typed(engine: Engine) {
    let server = start(&engine);
    let admin = Visitor::admin(&server);
    let page = "/gear/rope/-/settings/delete";
    admin
        .submit(page, &[("typed", "rope")])
        .check_refusal(422, "This is not the path");

    let reply = admin.submit(page, &[("typed", "gear/rope")]).checked(303);
    assert_eq!(reply.header("location"), Some("/groups/gear?done=deleted"));
    admin.open("/gear/rope").checked(404);
}

pub(crate) fn groups_and_projects_are_created_in_the_browser(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let admin = Visitor::admin(&server);
    let reply = admin.submit(
        "/-/groups/new",
        &[("name", "Gear"), ("path", "gear"), ("visibility", "private")],
    );
    assert_eq!(
        reply.checked(303).header("location"),
        Some("/groups/gear?done=group-added")
    );

    let fields = [("name", "Rope"), ("path", "rope"), ("visibility", "internal")];
    admin
        .submit("/-/projects/new", &fields)
        .check_refusal(422, "Enter the full path of a group");
    let fields = [
        ("name", "Rope"),
        ("path", "rope"),
        ("group", "gear"),
        ("visibility", "internal"),
    ];
    let reply = admin.submit("/-/projects/new", &fields).checked(303);
    assert_eq!(reply.header("location"), Some("/gear/rope?done=project-added"));
    assert_eq!(server.get("/api/v4/projects/1")["visibility"], "internal");
}

pub(crate) fn only_administrators_create_groups_and_delete_projects_in_the_browser(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (id, token) = people.make("olga", "api");
    people.add("groups/1", id, 50);

    let olga = Visitor::signed_in(&server, &token);
    olga.open("/-/groups/new").checked(403);
    olga.open("/-/projects/new").checked(403);
    assert!(!olga.page("/gear/rope/-/settings").contains("Delete project"));
    olga.submit("/gear/rope/-/settings/delete", &[("typed", "gear/rope")])
        .checked(403);
}

pub(crate) fn hostile_names_are_text_on_pages_of_places(engine: Engine) {
    let server = hostile(&engine);
    let admin = Visitor::admin(&server);
    for path in [
        "/",
        "/groups/gear",
        "/gear/rope",
        "/groups/gear/-/overview",
        "/gear/rope/-/members",
        "/groups/gear/-/settings",
        "/gear/rope/-/settings",
        "/-/search?q=rope",
    ] {
        check_shows_text(&admin.page(path), path);
    }
}
