//! The reasons for which a source refuses requests, in plain words and with the way to mend them.

use crate::ui::parts::sentence;

/// A reason for a refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reason {
    /// The reason as the end of an address, so that rows lead to it.
    pub(super) anchor: &'static str,

    /// The reason in a few words, for a row.
    pub(super) short: String,
    pub(super) words: String,

    /// The way to mend it; empty if there is none.
    pub(super) mend: &'static str,
}

/// The notes of refusals that have fixed words, with the words that people see and the way to mend the reason.
const KNOWN: [(&str, &str, &str, &str); 12] = [
    (
        "no token and no signature",
        "no-credential",
        "The request had no secret token and no signature",
        "Type the secret of this source into GitLab's webhook. If you do not have it any more, rotate the secret.",
    ),
    (
        "no X-Gitlab-Token",
        "no-token",
        "The request had no secret token",
        "Type the secret of this source into Secret token of GitLab's webhook, or change the required credentials.",
    ),
    (
        "no signature",
        "no-signature",
        "The request was not signed",
        "Type the signing token of this source into Signing token of GitLab's webhook. GitLab signs requests from \
         version 19.0 on; for older versions, let this source require a secret token.",
    ),
    (
        "two different tokens",
        "two-tokens",
        "The request had two different secret tokens",
        "A custom header of GitLab's webhook, or a proxy in front of this server, adds X-Gitlab-Token. Remove it there.",
    ),
    (
        "wrong token",
        "wrong-token",
        "The secret token is wrong",
        "GitLab's webhook has another secret token than this source. Type the secret of this source into it, without \
         blanks. If you do not have it any more, rotate the secret.",
    ),
    (
        "webhook-timestamp is missing or too far from the server's time",
        "wrong-time",
        "The time of the signature is missing, or too far from the time of this server",
        "Set the clocks of both servers by NTP. If the requests are delayed on their way, allow a larger difference of \
         time in the settings of this source.",
    ),
    (
        "wrong signature",
        "wrong-signature",
        "The signature is wrong",
        "GitLab's webhook has another signing token than this source, or a proxy changes the body. Type the signing \
         token of this source into the webhook; if you do not have it any more, rotate the secret.",
    ),
    (
        "this address is not allowed to post here",
        "address",
        "The address of the client is not in the list of this source",
        "Add the address to the allowed addresses of this source if it is GitLab's. If all requests come from the \
         address of your proxy, add the proxy to the setting server.trusted_proxies.",
    ),
    (
        "too many requests without a valid credential from this address",
        "strangers",
        "Too many requests without a valid credential came from this address",
        "Mend the reason for the refusals before this one: only requests that are refused count. Requests with a valid \
         credential are still accepted.",
    ),
    (
        "the body is too large",
        "too-large",
        "The body is larger than this source allows",
        "Raise the largest body in the settings of this source.",
    ),
    (
        "the body arrived too slowly",
        "too-slow",
        "The body arrived too slowly",
        "Check the network, and the proxy between GitLab and this server.",
    ),
    (
        "the body took too long to arrive",
        "too-slow",
        "The body arrived too slowly",
        "Check the network, and the proxy between GitLab and this server.",
    ),
];

/// The reasons whose notes differ from request to request, by a part of the note.
const BY_PART: [(&str, &str, &str, &str); 4] = [
    (
        "this source serves ",
        "instance",
        "Another GitLab than the one of this source",
        "Change the GitLab of this source, or add a source for the other GitLab.",
    ),
    (
        "another source already serves ",
        "taken",
        "Another source serves this GitLab",
        "Delete the webhook in GitLab that has the wrong address, or write this GitLab into the settings of this source.",
    ),
    (
        "sender_rate_limit",
        "senders",
        "Too many requests with a valid credential",
        "Raise the limit of requests with a valid credential. GitLab does not send these events again: compare with \
         GitLab to find and repair gaps.",
    ),
    (
        "is present twice with different values",
        "twice",
        "A header is present twice",
        "A custom header of GitLab's webhook, or a proxy in front of this server, adds the header. Remove it there.",
    ),
];

impl Reason {
    /// The reason for the status and the note of a request that was refused.
    pub(super) fn of(status: u16, note: &str) -> Self {
        if let Some((_, anchor, words, mend)) = KNOWN.iter().find(|(known, ..)| *known == note) {
            return Self::new(anchor, words, words, mend);
        }

        let words = sentence(note);
        if let Some((_, anchor, short, mend)) = BY_PART.iter().find(|(part, ..)| note.contains(part)) {
            return Self::new(anchor, short, &words, mend);
        }

        let (anchor, short, mend) = match status {
            400 => (
                "body",
                "The body cannot be read",
                "Only GitLab's webhooks can post here: the body must be a JSON object. A custom template in GitLab's \
                 webhook must make one, too.",
            ),
            415 => (
                "compressed",
                "The body is compressed",
                "Let the proxy pass the body on as GitLab sent it.",
            ),
            503 => (
                "unavailable",
                "The server was busy",
                "The server or its database was busy or stopping. GitLab does not send these events again: compare \
                 with GitLab to find and repair gaps.",
            ),
            _ => ("other", words.as_str(), ""),
        };
        Self::new(anchor, short, &words, mend)
    }

    fn new(anchor: &'static str, short: &str, words: &str, mend: &'static str) -> Self {
        Self {
            anchor,
            short: short.to_owned(),
            words: words.to_owned(),
            mend,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::Wrong;

    #[test]
    fn every_wrong_credential_has_words_and_a_way_to_mend_it() {
        for wrong in [
            Wrong::Nothing,
            Wrong::NoToken,
            Wrong::NoSignature,
            Wrong::TwoTokens,
            Wrong::Token,
            Wrong::Time,
            Wrong::Signature,
        ] {
            let reason = Reason::of(401, wrong.text());
            assert!(reason.anchor != "other" && !reason.mend.is_empty(), "{}", wrong.text());
        }
    }

    #[test]
    fn reasons_that_name_a_value_keep_it() {
        let note = "this source serves https://a.example, but X-Gitlab-Instance names another GitLab";
        let reason = Reason::of(403, note);
        assert_eq!(
            (reason.anchor, reason.words.as_str()),
            (
                "instance",
                "This source serves https://a.example, but X-Gitlab-Instance names another GitLab"
            )
        );

        let unknown = Reason::of(418, "a teapot");
        assert_eq!((unknown.words.as_str(), unknown.mend), ("A teapot", ""));
    }
}
