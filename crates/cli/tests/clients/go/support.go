package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strings"

	gitlab "github.com/xanzy/go-gitlab"
)

var (
	base     = os.Getenv("QUICKDRAW_URL")
	receiver = os.Getenv("RECEIVER_URL")
	inbox    = receiver + "/in"
	api      = client(os.Getenv("QUICKDRAW_TOKEN"))
	// received is the number of deliveries that were read.
	received = 0
)

// rotate rotates a token and returns the new one. It sends the JSON null, as newer versions of the library do for nil
// options.
func rotate(path, old string) gitlab.PersonalAccessToken {
	var options *struct{}
	var token gitlab.PersonalAccessToken
	call(http.MethodPost, path+"/rotate", options, &token)
	check(token.Token != "" && token.Token != old && token.Active && token.ExpiresAt != nil, token.ID)
	refused(failure(client(old).Users.CurrentUser()), 401, "401 Unauthorized")
	must(client(token.Token).Users.CurrentUser())
	return token
}

// report reports an event of a project to the server.
func report(project int, trigger, object string) {
	text := fmt.Sprintf(`{"trigger": %q, "object": %s}`, trigger, object)
	url := fmt.Sprintf("%s/api/v1/projects/%d/events", base, project)
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(text))
	check(err == nil, err)
	request.Header.Set("PRIVATE-TOKEN", os.Getenv("QUICKDRAW_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	check(err == nil && response.StatusCode == http.StatusAccepted, err, response)
	response.Body.Close()
}

// delivery waits for the next request to the receiver and reads it with go-gitlab.
func delivery() (interface{}, map[string]string, []byte) {
	response, err := http.Get(fmt.Sprintf("%s/%d", receiver, received))
	check(err == nil && response.StatusCode == http.StatusOK, "no delivery arrived", err)
	defer response.Body.Close()
	received++
	var request struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	check(json.NewDecoder(response.Body).Decode(&request) == nil, "failed to read the record of the receiver")
	kind := gitlab.EventType(request.Headers["X-Gitlab-Event"])
	if kind == gitlab.EventTypeSystemHook {
		event, err := gitlab.ParseSystemhook([]byte(request.Body))
		check(err == nil, err, request.Body)
		return event, request.Headers, []byte(request.Body)
	}
	event, err := gitlab.ParseWebhook(kind, []byte(request.Body))
	check(err == nil, err, request.Body)
	return event, request.Headers, []byte(request.Body)
}

// call makes a request for which the library has no method.
func call(method, path string, options, answer interface{}) {
	err := try(method, path, options, answer)
	check(err == nil, method, path, err)
}

func try(method, path string, options, answer interface{}) error {
	request, err := api.NewRequest(method, path, options, nil)
	check(err == nil, err)
	_, err = api.Do(request, answer)
	return err
}

func client(token string) *gitlab.Client {
	client, err := gitlab.NewClient(token, gitlab.WithBaseURL(base), gitlab.WithoutRetries())
	check(err == nil, err)
	return client
}

func ptr[T any](value T) *T { return &value }

func must[T any](value T, _ *gitlab.Response, err error) T {
	check(err == nil, err)
	return value
}

func failure[T any](_ T, _ *gitlab.Response, err error) error { return err }

func refused(err error, status int, text string) *http.Response {
	var answer *gitlab.ErrorResponse
	isAnswer := errors.As(err, &answer)
	check(isAnswer, fmt.Sprintf("not refused with %d %s: %v", status, text, err))
	isExpected := answer.Response.StatusCode == status && strings.Contains(answer.Message, text)
	check(isExpected, fmt.Sprintf("expected %d %s, found %v", status, text, err))
	return answer.Response
}

// names joins names in sorted order, because GitLab's own order differs.
func names[T any](list []T, name func(T) string) string {
	found := []string{}
	for _, one := range list {
		found = append(found, name(one))
	}
	sort.Strings(found)
	return strings.Join(found, " ")
}

func same(found, expected interface{}) {
	check(found == expected, fmt.Sprintf("expected %v, found %v", expected, found))
}

// check ends the program with the calling lines of main.go unless a condition is true.
func check(isTrue bool, details ...interface{}) {
	if isTrue {
		return
	}
	fmt.Fprint(os.Stderr, "go-gitlab found: ", fmt.Sprintln(details...))
	for depth := 1; depth < 4; depth++ {
		if _, file, line, known := runtime.Caller(depth); known {
			fmt.Fprintf(os.Stderr, "  at %s:%d\n", file, line)
		}
	}
	os.Exit(1)
}
