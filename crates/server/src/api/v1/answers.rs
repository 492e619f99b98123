//! The parameter `status`: HTTP statuses, and words for groups of them.

use quickdraw_domain::outcome::Answers;

use crate::error::{ApiError, FieldError, Kind};
use crate::params::near;

/// Reads the statuses of a filter.
///
/// # Errors
/// A value that is neither a status nor one of the words, or too many values.
pub(super) fn answers(status: &[String]) -> Result<Answers, ApiError> {
    if let Some(answers) = Answers::parse(status) {
        return Ok(answers);
    }

    if status.len() > Answers::MAX_WORDS {
        let detail = format!("status has too many values (maximum is {})", Answers::MAX_WORDS);
        return Err(ApiError::field("status", detail));
    }

    let is_wrong = |word: &&String| Answers::parse(&[word]).is_none();
    let wrong = status.iter().find(is_wrong).map_or("", String::as_str);
    let meant = near::nearest(wrong, Answers::WORDS.into_iter());

    let hint = meant
        .map(|meant| format!("; did you mean {meant}?"))
        .unwrap_or_default();
    let words = Answers::WORDS.join(", ");

    let error = FieldError {
        field: "status".to_owned(),
        detail: format!("status must be an HTTP status from 100 to 599, or one of {words}{hint}"),
        choices: Answers::WORDS.map(str::to_owned).into(),
        did_you_mean: meant.map(str::to_owned),
    };
    Err(ApiError::fields(Kind::InvalidParameter, vec![error]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_status_gets_the_words_and_the_near_one() {
        let read = |word: &str| answers(&[word.to_owned()]);
        assert!(read("404").is_ok() && read("successful").is_ok());

        let Err(ApiError::Fields(_, _, problem)) = read("succesful") else {
            panic!("the word is misspelled");
        };
        let error = &problem.errors[0];
        assert_eq!(error.did_you_mean.as_deref(), Some("successful"));
        assert_eq!(error.choices, Answers::WORDS);
    }
}
