//! Relative images in Markdown get absolute addresses, because a receiver cannot know what they are relative to.
//!
//! The rules follow the regular expressions in GitLab's `lib/gitlab/hook_data/base_builder.rb` and
//! `lib/gitlab/regex.rb`. Images of the inline form `![text](target)` within one line are rewritten, but not in a
//! fenced block or a block of HTML.
//!
//! A parser of Markdown, such as `pulldown-cmark`, finds other images. GitLab rewrites images in code spans, in
//! indented code, in `~~~` fences and in a fence without an end, and a parser does not. A parser also finds images by
//! reference, images whose text has two lines, and images after an empty line in HTML, which GitLab leaves unchanged.

use std::borrow::Cow;
use std::ops::Range;

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

/// Makes the images of a Markdown text absolute. Any user can write the text, so the time must grow with its length and
/// no faster: no search covers the same part of it twice.
pub(super) fn absolute<'a>(text: &'a str, project: &Project, instance: &Instance<'_>) -> Cow<'a, str> {
    let mut rewritten = String::new();
    let mut copied = 0;

    let mut blocks = Blocks {
        may_end_fence: true,
        may_end_html: true,
    };

    let mut at = 0;

    while at < text.len() {
        // A block ends with its last line, so that nothing is left of that line.
        at += blocks.length(&text[at..]).unwrap_or(0);

        let line = first_line(&text[at..]);

        let mut from = 0;
        while let Some(target) = next_target(line, from) {
            from = target.end;

            let start = at + target.start;
            let target = &line[target];
            if is_absolute(target) {
                continue;
            }

            rewritten.push_str(&text[copied..start]);
            push_base(&mut rewritten, target, project, instance);
            copied = start;
        }

        at += line.len() + 1;
    }

    if copied == 0 {
        return Cow::Borrowed(text);
    }

    rewritten.push_str(&text[copied..]);
    Cow::Owned(rewritten)
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

/// Finds the target of the next image in a line. The text of an image ends at the first `](`, and its target at the
/// first `)`. Without a target there is no image.
fn next_target(line: &str, mut from: usize) -> Option<Range<usize>> {
    loop {
        let image = from + line[from..].find("![")?;
        let start = image + line[image..].find("](")? + 2;
        let end = start + line[start..].find(')')?;
        if end > start {
            return Some(start..end);
        }

        from = end;
    }
}

fn is_absolute(target: &str) -> bool {
    ["http://", "https://", "//"]
        .iter()
        .any(|start| target.starts_with(start))
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

/// Finds the blocks in which images stay unchanged.
struct Blocks {
    /// False once a search has shown that the rest of the text has no line that ends a fenced block.
    may_end_fence: bool,

    /// False once a search has shown that the rest of the text has no line that ends a block of HTML.
    may_end_html: bool,
}

impl Blocks {
    /// Returns the length of the block at the beginning of the text, which is the beginning of a line. The end of the
    /// block's last line is not a part of it.
    fn length(&mut self, text: &str) -> Option<usize> {
        if let Some(inside) = text.strip_prefix("```")
            && self.may_end_fence
        {
            let length = closing_line(inside, |line| line.strip_prefix("```"));
            self.may_end_fence = length.is_some();
            return Some("```".len() + length?);
        }

        let first = first_line(text);
        if self.may_end_html && is_opening_tag(first) && first.len() < text.len() {
            let inside = first.len() + 1;
            let length = closing_line(&text[inside..], closing_tag);
            self.may_end_html = length.is_some();
            return Some(inside + length?);
        }

        None
    }
}

/// Whether a line is one opening tag, with nothing but spaces after it.
fn is_opening_tag(line: &str) -> bool {
    let tag = line
        .trim_end_matches(' ')
        .strip_prefix('<')
        .and_then(|tag| tag.strip_suffix('>'));
    tag.is_some_and(|tag| !tag.is_empty() && !tag.contains('>'))
}

/// Returns the text after the closing tag at the beginning of a line.
fn closing_tag(line: &str) -> Option<&str> {
    let tag = line.strip_prefix("</")?;
    let end = tag.find('>').filter(|end| *end > 0)?;
    Some(&tag[end + 1..])
}

/// Finds the end of the first line that closes a block. In that line, only spaces may follow. The block is not empty.
fn closing_line(text: &str, closes: impl Fn(&str) -> Option<&str>) -> Option<usize> {
    let mut begins = text.find('\n')? + 1;
    // The first line belongs to the block, whatever its text is. An empty first line needs a second one.
    if begins == 1 {
        begins += text[1..].find('\n')? + 1;
    }

    loop {
        let line = first_line(&text[begins..]);
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
    use crate::report::tests::project;

    fn check(text: &str, expected: &str) {
        check_with(text, expected, UploadLinks::ProjectPath);
    }

    fn check_with(text: &str, expected: &str, upload_links: UploadLinks) {
        let instance = Instance {
            base_url: "https://git.example.com/",
            upload_links,
        };
        assert_eq!(absolute(text, &project(), &instance), expected, "{text:?}");
    }

    fn stays(text: &str) {
        check(text, text);
    }

    #[test]
    fn uploads_lead_to_the_project_and_others_to_the_instance() {
        let upload = "See ![shot](/uploads/5c/a.png) here";
        check(
            upload,
            "See ![shot](https://git.example.com/gear/rope/uploads/5c/a.png) here",
        );

        let by_id = "See ![shot](https://git.example.com/-/project/15/uploads/5c/a.png) here";
        check_with(upload, by_id, UploadLinks::ProjectId);
        check("![](/a.png)", "![](https://git.example.com/a.png)");
        check("![a](img.png)", "![a](https://git.example.com/img.png)");

        check(
            "![a](data:image/png;base64,x)",
            "![a](https://git.example.com/data:image/png;base64,x)",
        );

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

        check(
            "```\n![a](/x)\n```\n![b](/y)",
            "```\n![a](/x)\n```\n![b](https://git.example.com/y)",
        );

        check(
            "```\n![a](/x) is never closed",
            "```\n![a](https://git.example.com/x) is never closed",
        );

        check(" ```\n![a](/x)\n ```", " ```\n![a](https://git.example.com/x)\n ```");
        check("<b>![a](/x)</b>", "<b>![a](https://git.example.com/x)</b>");
        check("~~~\n![a](/x)\n~~~", "~~~\n![a](https://git.example.com/x)\n~~~");
    }

    #[test]
    fn a_long_text_of_beginnings_takes_no_longer_than_its_length() {
        // A megabyte of each takes minutes where every beginning looks to the end.
        for piece in [
            "<a>\n", "![", "```a\n", "![a", "!", "![a](", "![a]()", "</a", "<a>", "\n",
        ] {
            let text = piece.repeat((1 << 20) / piece.len());
            stays(&text);
        }
    }
}
