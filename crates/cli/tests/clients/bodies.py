"""Reads every composed sample with pydantic-gitlab-webhooks, if the library knows its kind."""

import json
import pathlib
import sys

from pydantic_gitlab_webhooks import validate_event_header_and_body_dict

# In this library, confidential kinds have the header of their public kind.
HEADERS = {
    "push_hooks": "Push Hook",
    "tag_push_hooks": "Tag Push Hook",
    "issue_hooks": "Issue Hook",
    "confidential_issue_hooks": "Issue Hook",
    "note_hooks": "Note Hook",
    "confidential_note_hooks": "Note Hook",
    "merge_request_hooks": "Merge Request Hook",
    "job_hooks": "Job Hook",
    "pipeline_hooks": "Pipeline Hook",
    "wiki_page_hooks": "Wiki Page Hook",
    "deployment_hooks": "Deployment Hook",
    "feature_flag_hooks": "Feature Flag Hook",
    "release_hooks": "Release Hook",
    "emoji_hooks": "Emoji Hook",
    "resource_access_token_hooks": "Resource Access Token Hook",
    "member_hooks": "Member Hook",
    "subgroup_hooks": "Subgroup Hook",
    "project_hooks": "Project Hook",
}

# Bodies of GitLab that the types of this library do not allow: emoji on objects other than comments on issues, work
# items of groups, whose project is null, and jobs of pipelines that no other pipeline started.
NOT_KNOWN_THERE = {
    "emoji_hooks/sample-merge_request.json",
    "issue_hooks/sample-epic.json",
    "job_hooks/sample-alone.json",
}

read = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/sample*.json")):
    header = HEADERS.get(path.parent.name)
    if header is None:
        continue
    if f"{path.parent.name}/{path.name}" in NOT_KNOWN_THERE:
        continue
    try:
        validate_event_header_and_body_dict(header, json.loads(path.read_text()))
    except Exception as error:
        sys.exit(f"{path}: {error}")
    read += 1
assert read >= 37, read
print(f"pydantic-gitlab-webhooks reads {read} composed bodies of {len(HEADERS)} kinds")
