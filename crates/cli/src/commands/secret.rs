//! `quickdraw secret`: generates a secret token or a signing token.

use quickdraw_domain::signature::SigningToken;

use super::say;
use crate::system::random;

pub(crate) fn run(signing: bool) -> anyhow::Result<()> {
    let bytes = random::<32>()?;
    if signing {
        say(SigningToken::from_key(&bytes).to_text().expose());
    } else {
        say(hex::encode(bytes));
    }

    Ok(())
}
