package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	gitlab "github.com/xanzy/go-gitlab"
)

// kinds has the headers of the kinds that the library reads as webhooks. It reads other kinds as system hooks.
var kinds = map[string]gitlab.EventType{
	"push_hooks": gitlab.EventTypePush, "tag_push_hooks": gitlab.EventTypeTagPush,
	"issue_hooks": gitlab.EventTypeIssue, "confidential_issue_hooks": gitlab.EventConfidentialIssue,
	"note_hooks": gitlab.EventTypeNote, "confidential_note_hooks": gitlab.EventConfidentialNote,
	"merge_request_hooks": gitlab.EventTypeMergeRequest, "job_hooks": gitlab.EventTypeJob,
	"pipeline_hooks": gitlab.EventTypePipeline, "wiki_page_hooks": gitlab.EventTypeWikiPage,
	"deployment_hooks": gitlab.EventTypeDeployment, "release_hooks": gitlab.EventTypeRelease,
	"subgroup_hooks": gitlab.EventTypeSubGroup,
}

// samples reads every composed body in a folder if the library knows its kind, and returns the number of bodies.
func samples(folder string) int {
	files, err := filepath.Glob(filepath.Join(folder, "*", "sample*.json"))
	check(err == nil, err)
	read := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		check(err == nil, err)
		header, isKnown := kinds[filepath.Base(filepath.Dir(file))]
		if isKnown {
			_, err = gitlab.ParseWebhook(header, body)
		} else {
			_, err = gitlab.ParseSystemhook(body)
		}
		if !isKnown && err != nil && strings.HasPrefix(err.Error(), "unexpected system hook type") {
			continue
		}
		check(err == nil, file, err)
		read++
	}
	check(read >= 53, read)
	return read
}

// field returns the value at a path of names in a body.
func field(body []byte, path ...string) interface{} {
	var value interface{}
	check(json.Unmarshal(body, &value) == nil, string(body))
	for _, name := range path {
		object, isObject := value.(map[string]interface{})
		check(isObject, fmt.Sprint("no object above ", name, " in ", string(body)))
		value = object[name]
	}
	return value
}
