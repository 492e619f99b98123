//! Every form of a secret is masked, in every text, also where the end of the text cuts it off.

use base64::engine::general_purpose::URL_SAFE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;
use crate::Secret;
use crate::audience::tests::hook;
use crate::hook::{HookUrl, NamedValues};
use crate::scope::Scope;

fn knowing(secret: &str) -> Redactor {
    let mut redactor = Redactor::default();
    redactor.add(secret.as_bytes());
    redactor
}

fn check_masked(secret: &str, shown: &str, masked: &str) {
    assert_eq!(
        knowing(secret).text(shown.to_owned()),
        masked,
        "{secret:?} in {shown:?}"
    );
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[test]
fn an_echoed_secret_is_masked_at_every_position() {
    check_masked("s3cret", "s3cret, [s3cret] s3cre!", "[REDACTED], [[REDACTED]] s3cre!");
    check_masked("s3cret", "S3CRET", MASK);
    check_masked("abc", "abc", "abc");
    check_masked("s3cret", "", "");
}

#[test]
fn the_beginning_of_a_secret_at_the_end_of_a_text_is_masked() {
    check_masked("s3cret", "you sent s3cre", "you sent [REDACTED]");
    check_masked("s3cret", "you sent s3c", "you sent s3c");
    check_masked("pass/word", "?key=pass%2Fwo", "?key=[REDACTED]");
    check_masked("pass/word", "?key=pass%2", "?key=[REDACTED]");
    check_masked(r#"pass"word"#, r#"{"a":"pass\"#, r#"{"a":"[REDACTED]"#);
}

#[test]
fn escapes_do_not_hide_a_secret() {
    check_masked(
        r#"can"ary\token"#,
        r#"{"t":"can\"ary\\token"}"#,
        r#"{"t":"[REDACTED]"}"#,
    );

    check_masked(
        r#"can"ary\token"#,
        r#"{\"t\":\"can\\\"ary\\\\token\"}"#,
        r#"{\"t\":\"[REDACTED]\"}"#,
    );

    check_masked("canary%2Fpass%21word", "user canary/pass!word", "user [REDACTED]");
    check_masked("canary/pass!word", "user canary%2fpass%21word.", "user [REDACTED].");
    check_masked("canary/pass", "canary%252Fpass", MASK);
    check_masked("canary/pass", r"canary\/pass", MASK);
    check_masked("can<ary>&co", "<p>can&lt;ary&#62;&amp;co</p>", "<p>[REDACTED]</p>");
    check_masked("canäry😀x", r"a can\u00e4ry\ud83d\ude00x", "a [REDACTED]");
    check_masked("canary token", "t=canary+token&u=1", "t=[REDACTED]&u=1");

    check_masked(
        r"canary\token",
        "%7B%22a%22%3A%22canary%5C%5Ctoken%22%7D",
        "%7B%22a%22%3A%22[REDACTED]%22%7D",
    );
}

#[test]
fn base64_does_not_hide_a_secret_at_any_alignment() {
    for before in ["", "a", "ab", "abc"] {
        for after in ["", "!", "!!"] {
            let whole = format!("{before}canary?~token{after}");
            for encoded in [
                STANDARD.encode(&whole),
                URL_SAFE.encode(&whole),
                STANDARD_NO_PAD.encode(&whole),
            ] {
                check_masked("canary?~token", &format!("<{encoded}>"), "<[REDACTED]>");
                check_masked("canary?~token", &format!("<{}>", percent(&encoded)), "<[REDACTED]>");
            }
        }
    }

    let long = STANDARD.encode(format!("{}canary-token{}", "x".repeat(50), "y".repeat(50)));
    let broken: Vec<&str> = [&long[..60], &long[60..120], &long[120..]].to_vec();
    assert!(!knowing("canary-token").text(broken.join("\n")).contains(&long[64..80]));
}

#[test]
fn each_secret_of_a_hook_is_known() {
    let mut hook = hook(Scope::Instance, &[]);
    let mut variables = NamedValues::default();
    variables.set("v", Secret::new("Canary-In-Host")).expect("a variable");
    hook.url = HookUrl::parse_with("http://me%2Fyou:pass%21+word@{v}.example.com/", &variables).expect("a URL");
    hook.url_variables = variables;
    hook.token = Some(Secret::new("canary-token"));
    hook.custom_headers
        .set("X-A", Secret::new("Bearer canary-bearer"))
        .expect("a header");
    hook.custom_headers
        .set("X-B", Secret::new("Basic Y2FuYXJ5Om9mLWJhc2lj"))
        .expect("a header");
    hook.signing_token = Some(crate::signature::SigningToken::from_key(
        b"canary-of-thirty-two-bytes-long!",
    ));

    let redactor = Redactor::of(&hook);
    for shown in [
        "canary-in-host.example.com",
        "me/you",
        "pass! word",
        "bWUveW91OnBhc3MhIHdvcmQ=",
        "canary-token",
        "canary-bearer",
        "of-basic",
        "canary-of-thirty-two-bytes-long!",
        "Y2FuYXJ5LW9mLXRoaXJ0eS10d28tYnl0ZXMtbG9uZyE=",
    ] {
        assert_eq!(redactor.text(format!("<{shown}>")), "<[REDACTED]>", "{shown}");
    }

    let error = r#"Query { name: Name("canary-in-host.example.com.") }"#;
    assert_eq!(
        redactor.text(error.to_owned()),
        r#"Query { name: Name("[REDACTED].") }"#
    );

    assert_eq!(
        redactor.text("example.com".to_owned()),
        "example.com",
        "the shown URL contains it"
    );
}

#[test]
fn the_cut_off_end_of_each_header_is_masked() {
    let redactor = knowing("canary-token");
    let lines = "x-a: canary-to\nx-canary-token: b\nx-c: \n";
    assert_eq!(
        redactor.header_lines(lines),
        "x-a: [REDACTED]\nx-[REDACTED]: b\nx-c: \n"
    );
}

proptest! {
    #[test]
    fn no_form_of_a_secret_is_left(
        secret in "[ -~äß😀]{4,40}", before in "[a-z]{0,4}", after in "[a-z]{0,4}", spelling in 0..8usize, cut in 0..3usize
    ) {
        let whole = format!("{before}{secret}{after}");
        let shown = match spelling {
            0 => secret.clone(),
            1 => percent(&secret),
            2 => json(&secret),
            3 => json(&json(&secret)),
            4 => percent(&percent(&secret)),
            5 => STANDARD.encode(&whole),
            6 => URL_SAFE.encode(&whole),
            _ => json(&percent(&secret)),
        };
        let redactor = knowing(&secret);
        // Backslashes at the edges of a secret have no meaning and are not masked.
        let left = |shown: &str| {
            let left = redactor.text(shown.to_owned()).replace(MASK, "");
            Plain::of_cut_off(left.as_bytes()).unwrap_or_else(|| Plain::of(left.as_bytes())).bytes
        };
        prop_assume!(Plain::of(secret.as_bytes()).bytes.len() >= SHORTEST);
        prop_assert_eq!(left(&format!("«{shown}»")), "«»".as_bytes(), "{} as {}", secret, shown);
        let mut end = shown.len() - cut.min(shown.len());
        while !shown.is_char_boundary(end) {
            end -= 1;
        }
        // Shorter beginnings cannot be distinguished from ordinary text.
        let is_base64 = matches!(spelling, 5 | 6);
        prop_assert!(is_base64 || left(&shown[..end]).len() < SHORTEST, "{} cut to {}", secret, &shown[..end]);
    }

    #[test]
    fn a_text_without_the_secret_stays_as_it_is(text in "[a-f0-9 %\\\\&;\"]{0,60}") {
        prop_assert_eq!(knowing("xyz-never-there").text(text.clone()), text);
    }
}
