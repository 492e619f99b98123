//! Relative images in Markdown get absolute addresses, because a receiver cannot know what they are relative to.
//!
//! Source: GitLab's `lib/gitlab/hook_data/base_builder.rb` and its webhooks page (`behaviour.md` section 14 of our notes on
//! the contract). Rewritten is the inline form `![text](target)` only, and nothing within fenced code or an HTML block.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Instance;
use crate::scope::Project;

/// Where links to uploaded files lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadLinks {
    /// `<base>/<group>/<project>/uploads/…`, as GitLab did for years.
    #[default]
    ProjectPath,
    /// `<base>/-/project/<id>/uploads/…`, as GitLab 19 does: such links survive a renamed project.
    ProjectId,
}

/// A Markdown text with absolute images. Every look forward is either used up or never made again, so the time it takes grows
/// with the text and no faster: what is in it is any user's.
pub(super) fn absolute<'a>(text: &'a str, project: &Project, instance: &Instance<'_>) -> Cow<'a, str> {
    let (mut rewritten, mut copied, mut at) = (String::new(), 0, 0);
    // Where there is nothing more to be found: closing fences and tags, and ends of images in the line that ends there.
    let (mut fences, mut tags, mut no_image_before, mut line_end) = (true, true, 0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if at == 0 || text.as_bytes()[at - 1] == b'\n' {
            if fences && rest.starts_with("```") {
                match code_block(rest) {
                    Some(length) => {
                        at += length;
                        continue;
                    }
                    None => fences = false,
                }
            }
            if tags && rest.starts_with('<') {
                match html_block(rest) {
                    Ok(Some(length)) => {
                        at += length;
                        continue;
                    }
                    Ok(None) => {}
                    Err(NoClosingTag) => tags = false,
                }
            }
        }
        if at >= no_image_before && rest.starts_with("![") {
            if at >= line_end {
                line_end = at + rest.find('\n').unwrap_or(rest.len());
            }
            match image(&text[at..line_end]) {
                Ok((before, target)) => {
                    if !is_absolute(target) {
                        rewritten.push_str(&text[copied..at + before]);
                        push_base(&mut rewritten, target, project, instance);
                        rewritten.push_str(target);
                        copied = at + before + target.len();
                    }
                    at += before + target.len() + 1;
                }
                Err(searched) => {
                    no_image_before = at + searched;
                    at += 2;
                }
            }
        } else {
            at += next_start(rest);
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    rewritten.push_str(&text[copied..]);
    Cow::Owned(rewritten)
}

/// Where a block or an image can begin next: at an exclamation mark or behind the end of a line.
fn next_start(text: &str) -> usize {
    let next = text.bytes().enumerate().skip(1).find(|(_, byte)| matches!(byte, b'!' | b'\n'));
    match next {
        _ if text.starts_with('\n') => 1,
        Some((at, b'\n')) => at + 1,
        Some((at, _)) => at,
        None => text.len(),
    }
}

fn is_absolute(target: &str) -> bool {
    ["http://", "https://", "//"].iter().any(|start| target.starts_with(start))
}

fn push_base(to: &mut String, target: &str, project: &Project, instance: &Instance<'_>) {
    to.push_str(instance.base_url.trim_end_matches('/'));
    if target.starts_with("/uploads") {
        match instance.upload_links {
            UploadLinks::ProjectPath => to.extend(["/", &project.path_with_namespace]),
            UploadLinks::ProjectId => to.push_str(&format!("/-/project/{}", project.id)),
        }
    } else if !target.starts_with('/') {
        to.push('/');
    }
}

/// Of the rest of a line that begins as an image does: how much comes before its target, and the target. The text is the
/// shortest one, and so is the target: up to the first `](` and the first `)`. Otherwise, up to where there is none.
fn image(line: &str) -> Result<(usize, &str), usize> {
    let before = line.find("](").ok_or(line.len())? + 2;
    match line[before..].find(')') {
        None => Err(line.len()),
        Some(0) => Err(before),
        Some(end) => Ok((before, &line[before..before + end])),
    }
}

/// The length of a fenced block that the text begins with.
fn code_block(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("```")?;
    closing_line(inside, |line| line.strip_prefix("```")).map(|length| 3 + length)
}

/// There is no line any more that is one closing tag.
struct NoClosingTag;

/// The length of a block of HTML that the text begins with: from a line that is one opening tag to a line that is one
/// closing tag. `None`: its first line is no such thing.
fn html_block(text: &str) -> Result<Option<usize>, NoClosingTag> {
    let Some((first, rest)) = text.split_once('\n') else { return Ok(None) };
    let tag = first.trim_end_matches(' ').strip_prefix('<').and_then(|tag| tag.strip_suffix('>'));
    if tag.is_none_or(|tag| tag.is_empty() || tag.contains('>')) {
        return Ok(None);
    }
    let length = closing_line(rest, closing_tag).ok_or(NoClosingTag)?;
    Ok(Some(first.len() + 1 + length))
}

/// What follows the closing tag that a line begins with.
fn closing_tag(line: &str) -> Option<&str> {
    let tag = line.strip_prefix("</")?;
    let end = tag.find('>').filter(|end| *end > 0)?;
    Some(&tag[end + 1..])
}

/// Where the first line ends that closes a block: after it there are only blanks. Something stands between.
fn closing_line(text: &str, closes: impl Fn(&str) -> Option<&str>) -> Option<usize> {
    let mut begins = text.find('\n')? + 1;
    // The first line belongs to the block whatever it says, and a block that is empty is none.
    if begins == 1 {
        begins += text[1..].find('\n')? + 1;
    }
    loop {
        let line = text[begins..].split('\n').next().unwrap_or_default();
        if closes(line).is_some_and(|after| after.bytes().all(|byte| byte == b' ')) {
            return Some(begins + line.len());
        }
        begins += line.len() + 1;
        if begins > text.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::tests::project;

    fn check(text: &str, expected: &str) {
        check_with(text, expected, UploadLinks::ProjectPath);
    }

    fn check_with(text: &str, expected: &str, upload_links: UploadLinks) {
        let instance = Instance { base_url: "https://git.example.com/", upload_links };
        assert_eq!(absolute(text, &project(), &instance), expected, "{text:?}");
    }

    fn stays(text: &str) {
        check(text, text);
    }

    #[test]
    fn uploads_lead_to_the_project_and_others_to_the_instance() {
        let upload = "See ![shot](/uploads/5c/a.png) here";
        check(upload, "See ![shot](https://git.example.com/gear/rope/uploads/5c/a.png) here");
        let by_id = "See ![shot](https://git.example.com/-/project/15/uploads/5c/a.png) here";
        check_with(upload, by_id, UploadLinks::ProjectId);
        check("![](/a.png)", "![](https://git.example.com/a.png)");
        check("![a](img.png)", "![a](https://git.example.com/img.png)");
        check("![a](data:image/png;base64,x)", "![a](https://git.example.com/data:image/png;base64,x)");
        check(
            "![a](/x.png \"t\")![b](y.png)",
            "![a](https://git.example.com/x.png \"t\")![b](https://git.example.com/y.png)",
        );
        check("![a](/x(1).png)", "![a](https://git.example.com/x(1).png)");
        check("![a[0](/x.png)", "![a[0](https://git.example.com/x.png)");
        check("![a]() ![b](/x.png)", "![a]() ![b](https://git.example.com/x.png)");
        check("![a[0]](/x.png)", "![a[0]](https://git.example.com/x.png)");
        check(
            "`![a](/x.png)` ~~~\n    ![b](/y.png)",
            "`![a](https://git.example.com/x.png)` ~~~\n    ![b](https://git.example.com/y.png)",
        );
        check("é!![ü](/x.png)!", "é!![ü](https://git.example.com/x.png)!");
    }

    #[test]
    fn what_is_absolute_or_no_inline_image_stays() {
        for text in [
            "",
            "!",
            "![",
            "![a](",
            "![a]()",
            "![a](http://x/a.png)",
            "![a](https://x/a.png)",
            "![a](//x/a.png)",
            "[a](/x.png)",
            "![a][b]",
            "![a\nb](/x.png)",
            "![a](/x\n.png)",
            "plain",
        ] {
            stays(text);
        }
        check("![a](HTTP://x)", "![a](https://git.example.com/HTTP://x)");
    }

    #[test]
    fn code_and_html_blocks_stay() {
        stays("```\n![a](/x.png)\n```");
        stays("```md\n![a](/x.png)\n```  \n");
        stays("<div>\n![a](/x.png)\n</div>");
        stays("text\n<details open>\n\n![a](/x.png)\n</details>\nmore");
        check("```\n![a](/x)\n```\n![b](/y)", "```\n![a](/x)\n```\n![b](https://git.example.com/y)");
        check("```\n![a](/x) is never closed", "```\n![a](https://git.example.com/x) is never closed");
        check(" ```\n![a](/x)\n ```", " ```\n![a](https://git.example.com/x)\n ```");
        check("<b>![a](/x)</b>", "<b>![a](https://git.example.com/x)</b>");
        check("~~~\n![a](/x)\n~~~", "~~~\n![a](https://git.example.com/x)\n~~~");
    }

    #[test]
    fn a_long_text_of_beginnings_takes_no_longer_than_its_length() {
        // A megabyte of each takes minutes where every beginning looks to the end.
        for piece in ["<a>\n", "![", "```a\n", "![a", "!", "![a](", "![a]()", "</a", "<a>", "\n"] {
            let text = piece.repeat((1 << 20) / piece.len());
            stays(&text);
        }
    }
}
